"""Training patches, feeds, losses and loops; calibration of what was trained."""
