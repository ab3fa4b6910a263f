"""Likelihood fits of the candidates: significance, flux, spectrum and position."""

from .command import refit_catalog, refit_to_file

__all__ = ["refit_catalog", "refit_to_file"]
