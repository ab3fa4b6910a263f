"""Point sources in Fermi-LAT photons, found and classified by neural networks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0.dev0"

__all__ = ["FindConfig", "find_sources"]

if TYPE_CHECKING:
    from .config import FindConfig
    from .pipeline import find_sources


def __getattr__(name: str) -> Any:
    # imported on first use: `import fermi_unek` stays quick
    if name == "find_sources":
        from .pipeline import find_sources

        return find_sources
    if name == "FindConfig":
        from .config import FindConfig

        return FindConfig
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
