"""The page: one HTML file that holds all it shows and opens from disk without a network."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from astropy.table import Table

from ..catalog.record import Catalog
from ..catalog.schema import NOT_A_FERMI_PRODUCT
from ..outputs import replacing
from ..progress import Progress, silent
from ..sky.counts import SkyCounts
from .content import page_data
from .lines import summary_line

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
    text = render(catalog, data, None if reference is None else _compared(catalog, reference))
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def render(catalog: Catalog, data: Mapping[str, Any], comparison: Comparison | None = None) -> str:
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
    return environment.get_template("page.html").render(
        summary=summary_line(catalog),
        notice=NOT_A_FERMI_PRODUCT,
        style=(folder / "page.css").read_text(encoding="utf-8"),
        script=(folder / "page.js").read_text(encoding="utf-8"),
        data=embedded_json(data),
        comparison=comparison,
        figures=[] if comparison is None else _figures(comparison),
        provenance=grouped(catalog.header),
    )


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
        groups[heading or "Run"].append((rest if heading else key, value))
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
