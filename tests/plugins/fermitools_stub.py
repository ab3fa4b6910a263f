"""A fermipy GTAnalysis without the Fermitools: its nine compiled modules, empty.

Everything of fermipy that is Python runs for real (configuration, components, ROI model,
sources); what would call C++ (the likelihood, gtselect, gtbin, ...) is not there.
"""

from __future__ import annotations

import os
import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

from astropy.io import fits

COMPILED = (
    "pyLikelihood",
    "pyIrfLoader",
    "SrcModel",
    "AnalysisBase",
    "LikelihoodState",
    "SummedLikelihood",
    "BinnedAnalysis",
    "GtApp",
    "FluxDensity",
)


class _Anything(type):
    """A class whose attributes, calls and items are itself."""

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return cls

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        return cls

    def __getitem__(cls, key: Any) -> Any:
        return cls


class Compiled(metaclass=_Anything):
    """Stands for any class of the compiled modules."""


def _module(name: str) -> types.ModuleType:
    module = types.ModuleType(name)
    module.__spec__ = ModuleSpec(name, None)
    # fermipy subclasses some of these: a plain class for each
    for attribute in (name, "SourceModel", "LikelihoodState", "BinnedAnalysis", "SummedLikelihood"):
        setattr(module, attribute, type(attribute, (), {}))
    module.__getattr__ = lambda attribute: _plain(attribute)  # type: ignore[method-assign]
    return module


def _plain(attribute: str) -> Any:
    if attribute.startswith("__"):
        raise AttributeError(attribute)
    return Compiled


def stub_fermitools() -> list[str]:
    """Put the stubs where Python looks for modules; the names of those that were not there."""
    absent = [name for name in COMPILED if name not in sys.modules]
    sys.modules.update({name: _module(name) for name in absent})
    os.environ["PFILES"] = ";"
    os.environ.pop("FERMIPY_WORKDIR", None)
    return absent


@contextmanager
def without_fermitools() -> Iterator[None]:
    """The nine modules stubbed; fermipy forgets afterwards what it imported with them."""
    before = set(sys.modules)
    environment = {name: os.environ.get(name) for name in ("PFILES", "FERMIPY_WORKDIR")}
    absent = stub_fermitools()
    try:
        yield
    finally:
        for name in [*absent, *(set(sys.modules) - before)]:
            if name in absent or name.split(".")[0] == "fermipy":
                sys.modules.pop(name, None)
        for name, value in environment.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def source_maps(folder: Path, number: int) -> None:
    """What gtsrcmaps leaves for each component, without maps in it."""
    for index in range(number):
        fits.PrimaryHDU().writeto(folder / f"srcmap_{index:02d}.fits", overwrite=True)
