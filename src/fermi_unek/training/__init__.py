"""Training of the networks: skies, datasets, losses, loops, calibration."""
