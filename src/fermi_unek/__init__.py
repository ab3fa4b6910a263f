"""Point sources in Fermi-LAT photons, found and classified by neural networks."""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING as _TYPE_CHECKING

__version__ = "0.1.0.dev0"

if _TYPE_CHECKING:
    from .catalog import Catalog
    from .config import FindConfig
    from .pipeline import find_sources

__all__ = ["Catalog", "FindConfig", "__version__", "find_sources"]

_ROOMS = {"Catalog": ".catalog", "FindConfig": ".config", "find_sources": ".pipeline"}


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> object:
    # imported on first use: `import fermi_unek` stays quick
    if name not in _ROOMS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(_import_module(_ROOMS[name], __name__), name)
