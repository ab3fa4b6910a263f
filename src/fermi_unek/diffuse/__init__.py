"""Galactic and isotropic emission: official files, the package's own shape, expected counts."""
