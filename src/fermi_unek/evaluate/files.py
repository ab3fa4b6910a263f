"""Score or compare a catalog file in one call: tables, figures and a text in a folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from astropy.table import Table

from ..catalog.io import read_catalog
from ..catalog.releases import later_releases, load_release
from ..catalog.tables import column_names, source_table, with_places
from ..errors import InputError
from ..outputs import check_folder, staging
from ..sky.io.files import open_fits
from .classes import CLASS_FILES, catalog_class_scores, write_class_scores
from .compare import Comparison, compare, comparison_text
from .extended import EXTENSION
from .injection import Injection
from .scores import TRUTH_COLUMNS, Scores, score, summary_text

WIDE_RADIUS_DEG = 0.5
"""Also reported: the radius of the first study (Panes et al. 2021)."""

_COUNTED = (
    *(f"completeness_{of}" for of in
      ("flux", "energy_flux", "ts", "signif", "latitude", "b", "neighbour")),
    *("purity", "purity_flux", "purity_energy_flux", "purity_ts", "purity_b", "calibration"),
)  # fmt: skip
SCORE_TABLES = (
    *("headline", "pointing", "curve", "radius", "offsets", "coverage", "pairs", "extended"),
    *_COUNTED,
    *(f"{name}_cut" for name in _COUNTED),
)
SCORE_FIGURES = (
    *("completeness", "completeness_cut", "purity", "purity_cut", "curve", "calibration"),
    *("offsets", "coverage", "radius", "neighbours"),
)
SCORE_FILES = (
    "summary.txt",
    *(f"{name}.ecsv" for name in SCORE_TABLES),
    *(f"{name}.png" for name in SCORE_FIGURES),
)
COMPARISON_TABLES = (
    *("detected", "detected_b", "curve", "radius", "missed", "extended", "new", "later"),
)
COMPARISON_FIGURES = ("detected", "curve", "radius", "missed")
SIDE_BY_SIDE = ("side_by_side.fits", "side_by_side.csv", "side_by_side.html")
COMPARISON_FILES = (
    "summary.txt",
    *(f"{name}.ecsv" for name in COMPARISON_TABLES),
    *(f"{name}.png" for name in COMPARISON_FIGURES),
    *SIDE_BY_SIDE,
)


INJECTION_FILES = ("summary.txt", "completeness.ecsv", "injected.fits", "injection.png")


def read_truth_table(path: str | Path) -> Table:
    """The true sources of a simulated sky.

    Parameters
    ----------
    path : str or Path
        FITS table with at least GLON, GLAT, Flux1000 and Ideal_TS in its first extension.

    Returns
    -------
    astropy Table
        With the table of extended sources, where the file has one, as `meta["EXTENDED"]`.

    Raises
    ------
    InputError
        When there is no such file, or it lacks a column.
    """
    if not Path(path).is_file():
        raise InputError(f"{path}: no such file, expected the truth.fits of a simulation")
    with open_fits(Path(path)) as hdus:
        if len(hdus) < 2 or not column_names(hdus[1]):
            raise InputError(f"{path}: holds no table, expected the truth.fits of a simulation")
        table = source_table(hdus[1], path)
        if EXTENSION in hdus:
            table.meta[EXTENSION] = source_table(hdus[EXTENSION], path)
    missing = [name for name in TRUTH_COLUMNS if name not in table.colnames]
    if missing:
        raise InputError(
            f"{path}: has no column {', '.join(missing)}, expected the truth.fits of a simulation"
        )
    return with_places(table, path, "GLON", "GLAT")


def evaluate_files(
    catalog_path: str | Path,
    truth_path: str | Path,
    out_dir: str | Path | None = None,
    *,
    radius_deg: float = 0.3,
    overwrite: bool = False,
) -> str:
    """Score a catalog of a simulated sky.

    Parameters
    ----------
    catalog_path, truth_path : str or Path
        Written by `find` and by `simulate`.
    out_dir : str or Path, optional
        Folder for the files of `SCORE_FILES`, and of `CLASS_FILES` where the catalog is
        classified; nothing is written when absent.
    radius_deg : float
        Matching radius; the rates at 0.5 deg are reported beside.
    overwrite : bool
        Whether files of these names may be replaced.

    Returns
    -------
    str
        The summary, as in summary.txt.

    Raises
    ------
    InputError
        For a file that cannot be used.
    OutputError
        When the output exists or cannot be written; nothing is left half-written.
    """
    if out_dir is not None:
        check_folder(out_dir, (*SCORE_FILES, *CLASS_FILES), overwrite)
    catalog, truth = read_catalog(catalog_path), read_truth_table(truth_path)
    scores = score(catalog, truth, radius_deg)
    parts = [f"{catalog_path} against {truth_path}", scores.to_text()]
    if radius_deg != WIDE_RADIUS_DEG:
        parts.append(summary_text(catalog, truth, WIDE_RADIUS_DEG))
    classes = catalog_class_scores(catalog, truth, radius_deg)
    if classes is not None:
        parts.append(f"classes\n{classes.to_text()}")
    text = "\n\n".join(parts) + "\n"
    if out_dir is not None:
        from .score_plots import plot_scores

        def draw(folder: Path) -> None:
            plot_scores(scores, folder)
            if classes is not None:
                write_class_scores(classes, folder)

        _write(out_dir, text, scores, draw)
    return text


def compare_files(
    catalog_path: str | Path,
    reference: str | Path = "4FGL-DR2",
    radius_deg: float = 0.3,
    out_dir: str | Path | None = None,
    *,
    overwrite: bool = False,
) -> str:
    """Compare a catalog with a LAT catalog.

    Detections that a release does not have are looked up in the releases after it.

    Parameters
    ----------
    catalog_path : str or Path
        Written by `find`.
    reference : str or Path
        One of `RELEASES` or a FITS file.
    radius_deg : float
        Matching radius; the rates at 0.5 deg are reported beside.
    out_dir : str or Path, optional
        Folder for the files of `COMPARISON_FILES`; nothing is written when absent.
    overwrite : bool
        Whether files of these names may be replaced.

    Returns
    -------
    str
        The summary, as in summary.txt.

    Raises
    ------
    InputError
        For a file that cannot be used or an unknown release.
    OutputError
        When the output exists or cannot be written; nothing is left half-written.
    """
    if out_dir is not None:
        check_folder(out_dir, COMPARISON_FILES, overwrite)
    catalog, release = read_catalog(catalog_path), load_release(reference)
    later = [load_release(name) for name in later_releases(str(reference))]
    comparison = compare(catalog, release, radius_deg, later)
    parts = [f"{catalog_path} against {reference}", comparison.to_text()]
    if radius_deg != WIDE_RADIUS_DEG:
        parts.append(comparison_text(catalog, release, WIDE_RADIUS_DEG))
    text = "\n\n".join(parts) + "\n"
    if out_dir is not None:
        from .compare_plots import plot_comparison

        _write(out_dir, text, comparison, lambda folder: plot_comparison(comparison, folder))
    return text


def write_injection(injection: Injection, out_dir: str | Path) -> None:
    """Write the files of `INJECTION_FILES` into a folder, which is made."""
    from .injection_plots import plot_injection

    table = injection.completeness
    with staging(out_dir) as folder:
        (folder / "summary.txt").write_text(injection.to_text() + "\n", encoding="utf-8")
        table.write(folder / "completeness.ecsv", format="ascii.ecsv", formats=_formats(table))
        injection.sources.write(folder / "injected.fits", format="fits")
        plot_injection(injection, folder)


def _write(
    out_dir: str | Path,
    text: str,
    result: Scores | Comparison,
    draw: Callable[[Path], object],
) -> None:
    with staging(out_dir) as folder:
        (folder / "summary.txt").write_text(text, encoding="utf-8")
        for name, table in result.tables.items():
            if f"{name}.fits" in SIDE_BY_SIDE:
                _write_for_people(table, folder / name)
            else:
                table.write(folder / f"{name}.ecsv", format="ascii.ecsv", formats=_formats(table))
        draw(folder)


def _formats(table: Table) -> dict[str, str]:
    """Six digits of each rate; thresholds, places and what else is exact as far as float32 is."""
    exact = ("threshold", "Probability", "GLON", "GLAT")
    floats = [name for name in table.colnames if table[name].dtype.kind == "f"]
    return {name: ".9g" if name in exact else ".6g" for name in floats}


def _write_for_people(table: Table, stem: Path) -> None:
    """A table as FITS, as CSV, and as a page for a browser."""
    table.write(stem.with_suffix(".fits"), format="fits")
    floats = [name for name in table.colnames if table[name].dtype.kind == "f"]
    table.write(stem.with_suffix(".csv"), format="ascii.csv", formats=dict.fromkeys(floats, ".6g"))
    table.write(
        stem.with_suffix(".html"),
        format="ascii.html",
        formats=dict.fromkeys(floats, ".4f"),
        htmldict={"table_id": "side_by_side", "css": _CSS},
    )


_CSS = """body { font-family: sans-serif } table { border-collapse: collapse }
td, th { padding: 2px 8px; text-align: right; border-bottom: 1px solid #ddd }
th { position: sticky; top: 0; background: #eee }"""
