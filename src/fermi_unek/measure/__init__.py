"""Likelihood fits of the candidates: significance, flux, spectrum and position."""

from .command import refit_catalog, refit_to_file
from .kept import forget_regions

__all__ = ["forget_regions", "refit_catalog", "refit_to_file"]
