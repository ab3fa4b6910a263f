"""Catalogs that come with the fermipy package, column by column."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.table import Table

from ..errors import InputError

DR2_FILE, DR4_FILE = "gll_psc_v27.fit", "gll_psc_v35.fit"


def shipped_path(name: str) -> Path:
    """A file or folder below fermipy/data/catalogs.

    Raises
    ------
    InputError
        fermipy is not installed, or its release does not have it.
    """
    spec = find_spec("fermipy")
    for folder in list(spec.submodule_search_locations or []) if spec else []:
        path = Path(folder) / "data" / "catalogs" / name
        if path.exists():
            return path
    raise InputError(f"{name} was not found in the fermipy package; install it (pip install)")


def shipped_columns(name: str, columns: tuple[str, ...], hdu: int = 1) -> Table:
    """Columns of a catalog in native byte order, text stripped; CLASS1 in lower case.

    Raises
    ------
    InputError
        As `shipped_path`.
    """
    table = Table()
    with fits.open(shipped_path(name), memmap=True) as hdus:
        for column in columns:
            values = np.asarray(hdus[hdu].data[column])
            if values.dtype.kind in "SU":
                text = np.char.strip(values.astype("U32"))
                table[column] = np.char.lower(text) if column.startswith("CLASS") else text
            else:
                table[column] = values.astype(values.dtype.newbyteorder("="))
    return table
