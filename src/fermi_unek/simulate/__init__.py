"""Skies with a known truth: population, spectra, instrument, diffuse emission, photons."""
