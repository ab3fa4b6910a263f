"""Counts on the sky: read photon files and count cubes, rebin energy, cut patches."""
