"""Readers and writers of photon files, count cubes and binned skies."""
