"""Where a source is that a published catalog or its associations name, without a network."""

from __future__ import annotations

import difflib

import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import Table

from ..errors import InputError
from .releases import RELEASES, load_release

NAME_COLUMNS = ("Source_Name", "Extended_Source_Name", "ASSOC1")
"""Columns whose names count, the first that has one wins."""

_LATEST_FIRST = sorted(reversed(RELEASES), key=lambda name: not name.startswith("4FGL"))

ONE_PLACE_DEG = 0.5
"""Sources of one name (the Crab's three) that lie nearer than this are one place."""


def position_of(name: str) -> SkyCoord:
    """Galactic position of a source by its name, that of an extended source or of a counterpart.

    The latest release of 4FGL that has the name counts, then other lists; capitals and blanks do
    not. Where none has it, names of which it is the first word serve ("Crab" for "Crab Nebula").
    Of several sources in one place the most significant is taken.

    Raises
    ------
    InputError
        No release has the name, or it belongs to sources in several places.
    """
    wanted, first_word = _plain(name), name.strip().casefold() + " "
    known: dict[str, str] = {}
    for is_it in (
        lambda text: _plain(text) == wanted,
        lambda text: text.casefold().startswith(first_word),
    ):
        for release in _LATEST_FIRST:
            table = load_release(release)
            for column in [title for title in NAME_COLUMNS if title in table.colnames]:
                names = [str(text) for text in table[column]]
                rows = [row for row, text in enumerate(names) if is_it(text)]
                if rows and wanted:
                    return _place(name, release, table[rows])
                known |= {_plain(text): text for text in names}
    close = difflib.get_close_matches(wanted, known, n=3)
    hint = f"; did you mean {' or '.join(known[text] for text in close)}?" if close else ""
    raise InputError(f"no source or counterpart called {name!r} in {', '.join(RELEASES)}{hint}")


def _plain(name: str) -> str:
    return "".join(name.casefold().split())


def _place(name: str, release: str, sources: Table) -> SkyCoord:
    places = SkyCoord(
        np.asarray(sources["GLON"], float), np.asarray(sources["GLAT"], float), unit="deg",
        frame="galactic",
    )  # fmt: skip
    brightest = places[int(np.argmax(np.nan_to_num(np.asarray(sources["Signif_Avg"], float))))]
    if places.separation(brightest).deg.max() > ONE_PLACE_DEG:
        raise InputError(
            f"{name!r} is the name of {len(sources)} sources of {release} in several places: "
            f"{', '.join(sources['Source_Name'][:5])}; give one of them"
        )
    return brightest
