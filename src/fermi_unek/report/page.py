"""The page: one HTML file that holds all it shows and opens from disk without a network."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from astropy.table import Table

from ..catalog.record import Catalog
from ..catalog.schema import NOT_A_FERMI_PRODUCT
from ..outputs import replacing
from ..progress import Progress, silent
from ..sky.bins import ENERGY_EDGES_MEV
from ..sky.counts import SkyCounts
from .content import page_data
from .lines import without_folders
from .photons import covered_cone, observed_mev

if TYPE_CHECKING:
    from ..evaluate import Comparison

CAPTIONS = {
    "detected": "Detected fraction of the release's sources against significance, by sample "
    "(left) and by Galactic latitude (right), and against latitude (below).",
    "curve": "Against the probability threshold: number of detections (left), and the rates of "
    "detections matched and of sources detected (right).",
    "radius": "The same rates against the matching radius, those by chance dotted.",
    "missed": "Sources of the release above 10 sigma without a detection.",
}
"""What the figures of `evaluate.compare_plots` show, by the names of their files."""

MOST_FILES = 3
"""Input files that the head of a page names; of more it gives the number."""

GROUPS = {
    "setting": "Settings",
    "input": "Inputs",
    "photons": "Photons",
    "model": "Model",
    "version": "Software",
}
"""First words of the catalog's header and the heading they are listed under."""


def write_page(
    path: str | Path,
    catalog: Catalog,
    sky: SkyCounts | None = None,
    reference: Table | None = None,
    *,
    progress: Progress = silent,
) -> None:
    """Write the page of a catalog.

    It is one file of at most about 35 MB: the stamps take no more than 16 MB, and twenty thousand
    candidates about 700 bytes each when everything is filled. Those of highest probability are
    listed, and have stamps, first; 9,000 with everything filled and ten years make 21 MB.

    Parameters
    ----------
    path : str or Path
        HTML file; replaced when it exists.
    catalog : Catalog
        May have no rows. What a classification, a refit or an association filled is shown.
    sky : SkyCounts, optional
        The photons it was made from: for maps, stamps and, where times are known, light curves.
    reference : astropy Table, optional
        4FGL release of `load_release` to compare with.
    progress : Progress
        Wraps the cutting of stamps.
    """
    data = page_data(catalog, sky, reference, progress=progress)
    comparison = None if reference is None else _compared(catalog, reference)
    text = render(catalog, data, comparison, about(catalog, sky))
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def render(
    catalog: Catalog, data: Mapping[str, Any], comparison: Comparison | None, about: Sequence[str]
) -> str:
    """The HTML text of `page_data`'s data, with the figures of a comparison where there is one."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    folder = files("fermi_unek") / "data" / "report"
    environment = Environment(
        loader=FileSystemLoader(str(folder)),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["digest"] = _digest
    return environment.get_template("page.html").render(
        title=about[0],
        about=about[1:],
        notice=NOT_A_FERMI_PRODUCT,
        style=(folder / "page.css").read_text(encoding="utf-8"),
        script=(folder / "page.js").read_text(encoding="utf-8"),
        data=embedded_json(data),
        comparison=comparison,
        figures=[] if comparison is None else _figures(comparison),
        provenance=grouped(catalog.header),
    )


def about(catalog: Catalog, sky: SkyCounts | None = None) -> list[str]:
    """Field, data, energies, date, and whose product it is not: what a page is headed with."""
    lon, lat, radius = covered_cone(catalog.coverage)
    where = (
        "in the whole sky"
        if radius >= 180.0
        else f"within {radius:.1f}° of l {lon:.2f}°, b {lat:+.2f}°"
    )
    header = catalog.header
    files = [key for key, value in header.items() if _is_input_file(key, value)]
    data = [without_folders(key.removeprefix("input ")) for key in files]
    if len(data) > MOST_FILES:
        data = [f"{len(data):,} files"]
    if "event type" in header:
        data.append(f"event type {header['event type']}")
    return [
        f"Gamma-ray candidates {where}",
        ", ".join(data) or "data not named",
        _energies(header, sky),
        f"made {str(header.get('date', 'on an unknown date')).partition('T')[0]}",
        "not a product of the Fermi-LAT collaboration",
    ]


def _is_input_file(key: str, value: object) -> bool:
    return key.startswith("input ") and str(value).startswith("sha256 ")


def _energies(header: Mapping[str, object], sky: SkyCounts | None) -> str:
    """Energies of the photons, or, without them, of the bins that the header counts some in."""
    if sky is not None:
        low, high = observed_mev(sky)
        return f"{low / 1000:g} to {high / 1000:g} GeV"
    bins = [k for k in range(len(ENERGY_EDGES_MEV) - 1) if header.get(f"photons bin {k}")]
    if not bins:
        return "energies not recorded"
    low, high = ENERGY_EDGES_MEV[[bins[0], bins[-1] + 1]] / 1000.0
    return f"energy bins from {low:g} to {high:g} GeV"


def _digest(text: str) -> str:
    """By which the page's own rule (Content-Security-Policy) knows its style and its script."""
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return "sha256-" + base64.b64encode(digest).decode("ascii")


def embedded_json(data: Mapping[str, Any]) -> str:
    """JSON that stands inside a script element: no tag can begin or end in it."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def grouped(header: Mapping[str, object]) -> dict[str, list[tuple[str, object]]]:
    """Entries of a catalog's header under headings; what has none of its own comes first."""
    groups: dict[str, list[tuple[str, object]]] = {"Run": []}
    groups |= {heading: [] for heading in GROUPS.values()}
    for key, value in header.items():
        first, _, rest = key.partition(" ")
        heading = GROUPS.get(first) if rest else None
        value = without_folders(value) if isinstance(value, str) else value
        groups[heading or "Run"].append((without_folders(rest if heading else key), value))
    return {heading: entries for heading, entries in groups.items() if entries}


def _compared(catalog: Catalog, reference: Table) -> Comparison:
    from ..evaluate import compare

    return compare(catalog, reference)


def _figures(comparison: Comparison) -> list[tuple[str, str]]:
    """Data addresses of the comparison's figures, each with its caption."""
    from ..evaluate.compare_plots import plot_comparison

    with TemporaryDirectory() as folder:
        paths = plot_comparison(comparison, Path(folder))
        return [
            (
                "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode("ascii"),
                CAPTIONS.get(path.stem, path.stem),
            )
            for path in paths
        ]
