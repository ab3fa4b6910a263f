"""The published LAT catalogs, as the fermipy package ships them."""

from __future__ import annotations

from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.table import Table

from ..errors import InputError

RELEASES = {
    "3FGL": "gll_psc_v16.fit",
    "FL8Y": "gll_psc_8year_v5.fit",
    "4FGL": "gll_psc_v20.fit",
    "4FGL-DR2": "gll_psc_v27.fit",
    "4FGL-DR3": "gll_psc_v29.fit",
    "4FGL-DR4": "gll_psc_v35.fit",
    "FL16Y": "gll_psc_v41.fit",
}
"""Release name to its file in fermipy/data/catalogs: 4, 8, 8, 10, 12, 14 and 16 years."""

REQUIRED = ("Source_Name", "RAJ2000", "DEJ2000", "GLON", "GLAT", "Signif_Avg")


def release_path(name: str) -> Path:
    """Path of a release's file; `InputError` when its name or fermipy is not there."""
    if name not in RELEASES:
        raise InputError(
            f"reference {name!r} is neither a file nor one of {', '.join(sorted(RELEASES))}"
        )
    # fermipy itself is not imported: it is slow and wants the Fermitools
    spec = find_spec("fermipy")
    folders = list(spec.submodule_search_locations or []) if spec else []
    for folder in folders:
        path = Path(folder) / "data" / "catalogs" / RELEASES[name]
        if path.is_file():
            return path
    raise InputError(
        f"{RELEASES[name]} of {name} was not found in the fermipy package; install fermipy or give "
        "the catalog's path"
    )


def load_release(name: str | Path) -> Table:
    """The point source table of a LAT catalog.

    Parameters
    ----------
    name : str or Path
        One of `RELEASES`, or a FITS file with the columns of `REQUIRED`.

    Returns
    -------
    astropy Table
        As in the file, text without trailing blanks, nothing masked (blank or NaN instead);
        `meta["RELEASE"]` holds the name asked for, `meta["EXTENTS"]` the semimajor axis in
        degrees of each extended source by its Extended_Source_Name. The caller's own copy.

    Raises
    ------
    InputError
        When there is no such release or file, or the file is no LAT catalog.
    """
    if str(name) in RELEASES:
        path = release_path(str(name))
    elif Path(name).is_file():
        path = Path(name)
    else:
        path = release_path(str(name))
    table = _read(path, path.stat().st_mtime_ns).copy()
    table.meta["RELEASE"] = str(name) if str(name) in RELEASES else path.name
    return table


@lru_cache(maxsize=4)
def _read(path: Path, changed_ns: int) -> Table:
    try:
        with fits.open(path, memmap=False) as hdus:
            data = hdus[1].data if len(hdus) > 1 else np.zeros(0)
            names = getattr(data, "names", None) or []
            missing = [c for c in REQUIRED if c not in names]
            if missing:
                raise InputError(
                    f"{path}: HDU 1 is no LAT source table, it has no column {', '.join(missing)}"
                )
            columns = {c: data[c] for c in names}
            extents = _extents(hdus)
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"{path}: cannot be read as a FITS catalog ({error})") from error
    return Table({c: _native(v) for c, v in columns.items()}, meta={"EXTENTS": extents})


def _extents(hdus: fits.HDUList) -> dict[str, float]:
    """Semimajor axis, degrees, by name of the extended sources that a catalog describes."""
    if "ExtendedSources" not in hdus:
        return {}
    data = hdus["ExtendedSources"].data
    names = np.char.strip(np.asarray(data["Source_Name"]).astype(str)).tolist()
    return dict(zip(names, np.asarray(data["Model_SemiMajor"], float).tolist(), strict=True))


def later_releases(name: str) -> list[str]:
    """Releases after one of `RELEASES`, in order of time; empty for a file."""
    names = list(RELEASES)
    return names[names.index(name) + 1 :] if name in RELEASES else []


def _native(values: np.ndarray) -> np.ndarray:
    """Values in the machine's byte order, text without trailing blanks."""
    values = np.asarray(values)
    if values.dtype.kind in "US":
        return np.char.rstrip(values.astype(str))
    return values.astype(values.dtype.newbyteorder("="))
