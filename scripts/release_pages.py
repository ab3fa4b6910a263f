"""Files and pages of catalogs/ from the outputs of scripts/make_releases.sh.

    PYTHONPATH=src python scripts/release_pages.py SCRATCH TARGET [NAME]

With a name: the folder of one release, with catalog, figures of few colours and index.html.
Without: README.md of all releases that are there, and SHA256SUMS.
"""

from __future__ import annotations

import gzip
import hashlib
import html
import io
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.table import Table
from PIL import Image

from fermi_unek.catalog import Catalog, load_release, read_catalog
from fermi_unek.catalog.schema import NOT_A_FERMI_PRODUCT
from fermi_unek.evaluate import compare

POSITIONS = ("RAJ2000", "DEJ2000", "GLON", "GLAT")
COLOURS = 128
WIDEST_PIXELS = 1100
SIMULATED = "simulated-dr2"


@dataclass(frozen=True)
class Release:
    """What a release is made of, and what to keep in mind when it is read."""

    title: str
    data: str
    care: str


RELEASES = {
    "smc": Release(
        "Small Magellanic Cloud, 9 degrees",
        "P8R2 SOURCE, FRONT and BACK, 1 GeV to 1 TeV, 8.66 years (smc_ft1_p8r2_1GeV_r9.fits)",
        "The Cloud itself is extended: several candidates on it are one galaxy.",
    ),
    "j1120": Release(
        "Field at (251.5, +60.7), 5 degrees",
        "P8R2 SOURCE, FRONT and BACK, 1 to 500 GeV, 8.93 years (j1120_ft1_p8r2_1GeV_r5.fits)",
        "A field at high latitude.",
    ),
    "j2310": Release(
        "Field at (69.8, -57.8), 5 degrees",
        "P8R2 SOURCE, FRONT and BACK, 1 to 500 GeV, 8.93 years (j2310_ft1_p8r2_1GeV_r5.fits)",
        "A field at high latitude.",
    ),
    "crab": Release(
        "The Crab above 10 GeV, 20 x 20 degrees",
        "P8R2, FRONT and BACK, above 10 GeV, 7 years (crab_ft1_p8r2_10GeV.fits.gz)",
        "Two of six energy bins, the first of them by half: far from what the network was "
        "calibrated on. IC 443 and S 147 in the field are extended.",
    ),
    "gc-7yr": Release(
        "Galactic centre above 10 GeV, 20 x 10 degrees",
        "P8R2, FRONT and BACK, above 10 GeV, 7 years, the 3FHL data (fermi-3fhl-gc-events.fits.gz)",
        "Two of six energy bins, and the hardest place of the sky: not a list to publish from.",
    ),
    "gc-16yr": Release(
        "Galactic centre above 7 GeV, 8 x 8 degrees",
        "P8R3 CLEAN, PSF2 and PSF3, 16 years (fermi-gc/ccube_00.fits, ccube_01.fits)",
        "Two of six energy bins, the first of them by half, and the hardest place of the sky: not "
        "a list to publish from.",
    ),
    SIMULATED: Release(
        "A simulated 4FGL-DR2 sky with its truth",
        "fermi-unek simulate --population dr2 --years 10 --seed 9001 --background v07 (FRONT)",
        "Its truth holds sources far below what can be found; Ideal_TS says which could be. The "
        "scores of the classes flatter the classifier, since it learnt from the sources of DR2 "
        "(its card has the honest ones).",
    ),
}

INTRODUCTION = """\
# Releases

{notice}

Made by `scripts/make_releases.sh`, which names the data of each; the photons are public at the FSSC
and not part of this folder. `sha256sum -c SHA256SUMS` checks the files. Every folder holds the
catalog, a page of comparison (`index.html`), and its figures and tables. The header of a catalog
has the hashes of its inputs and networks: `fermi-unek info catalogs/smc/catalog.fits` prints it.

| release | data | candidates | matched with DR2 | DR2 above 10 sigma found | below |
|---|---|---|---|---|---|"""

CLOSING = """\
Numbers are of sources more than half a degree inside the field, matched within 0.3 degrees. A
candidate that 4FGL-DR2 does not have is not yet a new source: later releases have some of them, and
some are fluctuations. The PSF0 and PSF1 cubes of the Crab in the shared data (`fermipy-crab`, 20
photons above 400 GeV within a degree) have no list: too little to search."""

STYLE = """body { font-family: sans-serif; max-width: 70em; margin: 2em auto; padding: 0 1em }
pre { background: #f3f3f3; padding: 1em; overflow-x: auto }
img { max-width: min(100%, 55em); display: block; margin: 1em 0 }
.wide { overflow-x: auto } table { border-collapse: collapse; font-size: 90% }
td { white-space: nowrap }
td, th { padding: 2px 8px; text-align: right; border-bottom: 1px solid #ddd }
th { position: sticky; top: 0; background: #eee }"""

COLUMNS = {
    "Source_Name": "Name", "RAJ2000": "RA (°)", "DEJ2000": "Dec (°)",
    "GLON": "l (°)", "GLAT": "b (°)",
    "Conf_95_SemiMajor": "r95 (°)", "Probability": "Probability", "CLASS1": "Class", "Fake": "Fake",
    "ASSOC_FGL": "4FGL association", "Nearest_FGL": "Nearest 4FGL", "Sep_FGL": "Sep. (°)",
    "Flags": "Flags", "Selected": "Selected", "Signif_Avg": "Significance (σ)",
    "Flux1000": "Flux 1–100 GeV (cm⁻² s⁻¹)", "Unc_Flux1000": "Error", "PL_Index": "Index",
    "Variability_Index": "Variability index",
}  # fmt: skip


def make_release(name: str, scratch: Path, target: Path) -> None:
    """The folder of one release, made anew."""
    folder = target / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    catalog = read_catalog(scratch / f"{name}.fits")
    simulated = name == SIMULATED
    results = scratch / (f"{name}-score" if simulated else f"{name}-dr2")
    put(scratch / f"{name}.fits", folder / "catalog.fits", zipped=simulated)
    if simulated:
        put_truth(scratch / "sky" / "truth.fits", folder / "truth.fits.gz")
        for table in ("headline", "calibration"):
            shutil.copy(results / f"{table}.ecsv", folder)
    else:
        shutil.copy(results / "side_by_side.csv", folder)
    figures = sorted(results.glob("*.png"))
    for figure in figures:
        with Image.open(figure) as image:
            shrunk(image).save(folder / figure.name, optimize=True)
    # the paths of this machine say nothing to the reader
    text = (results / "summary.txt").read_text(encoding="utf-8").replace(f"{scratch}/", "")
    (folder / "summary.txt").write_text(text, encoding="utf-8")
    page = page_of(RELEASES[name], catalog, text, [one.name for one in figures], simulated)
    (folder / "index.html").write_text(page, encoding="utf-8")


def put(source: Path, place: Path, *, zipped: bool) -> None:
    """Copy a file, gzipped without name and time so that its checksum stays."""
    if not zipped:
        shutil.copy(source, place)
        return
    packed = gzip.compress(source.read_bytes(), compresslevel=9, mtime=0)
    place.with_name(place.name + ".gz").write_bytes(packed)


def put_truth(source: Path, place: Path) -> None:
    """The true sources, all but their positions in single precision."""
    truth = Table.read(source, hdu=1, format="fits", mask_invalid=False)
    for name in truth.colnames:
        if truth[name].dtype.kind == "f" and name not in POSITIONS:
            truth[name] = truth[name].astype("f4")
    written = io.BytesIO()
    truth.write(written, format="fits")
    place.write_bytes(gzip.compress(written.getvalue(), compresslevel=9, mtime=0))


def shrunk(image: Image.Image) -> Image.Image:
    """An image of few colours, no wider than a page."""
    plain = image.convert("RGB")
    if plain.width > WIDEST_PIXELS:
        height = round(plain.height * WIDEST_PIXELS / plain.width)
        plain = plain.resize((WIDEST_PIXELS, height), Image.Resampling.LANCZOS)
    return plain.quantize(COLOURS, dither=Image.Dither.NONE)


def page_of(
    release: Release, catalog: Catalog, text: str, figures: list[str], simulated: bool
) -> str:
    """index.html of a release."""
    against = "its truth" if simulated else "4FGL-DR2"
    parts = [
        f"<!DOCTYPE html><meta charset='utf-8'><title>{html.escape(release.title)}</title>",
        f"<style>{STYLE}</style><h1>{html.escape(release.title)}</h1>",
        f"<p><b>{html.escape(NOT_A_FERMI_PRODUCT)}</b></p>",
        f"<p>Data: {html.escape(release.data)}. {html.escape(release.care)}</p>",
        f"<p>Network: {html.escape(network_of(catalog))}. {len(catalog)} candidates of "
        f"probability {catalog.header.get('setting threshold', '?')} and above.</p>",
        f"<h2>Against {against}</h2><pre>{html.escape(text)}</pre>",
        *(f"<img src='{name}' alt='{name[:-4]}'>" for name in figures),
        "<h2>Candidates</h2>",
        "<p>The surest 500; all are in the catalog.</p>" if len(catalog) > 500 else "",
        f"<div class='wide'>{table_of(catalog)}</div>",
    ]
    return "\n".join(part for part in parts if part) + "\n"


def table_of(catalog: Catalog, most: int = 500) -> str:
    """The surest candidates as HTML; degrees throughout."""
    order = np.argsort(-np.asarray(catalog.table["Probability"], float), kind="stable")[:most]
    if not len(order):
        return "<p>None.</p>"
    rows = catalog.table[order]
    shown = Table({new: np.asarray(rows[old]) for old, new in COLUMNS.items()})
    for name in (name for name in shown.colnames if "(°)" in name or name == "Probability"):
        shown[name] = [f"{value:.3f}" if np.isfinite(value) else "" for value in shown[name]]
    for old in ("Signif_Avg", "Flux1000", "Unc_Flux1000", "PL_Index", "Variability_Index"):
        values = np.asarray(rows[old], float)
        shown[COLUMNS[old]] = [f"{value:.3g}" if np.isfinite(value) else "" for value in values]
    return "\n".join(shown.pformat(html=True, max_lines=-1, max_width=-1))


def network_of(catalog: Catalog) -> str:
    """Name and hash of the networks that made a catalog."""
    models = [
        key
        for key in catalog.header
        if key.startswith(("model ", "class ")) and key.endswith((" model", " sha256"))
    ]
    return ", ".join(f"{catalog.header[key]!s:.20}" for key in models) or "unknown"


def make_readme(target: Path) -> None:
    """README.md with the numbers of all releases, and the checksums of all files."""
    names = [name for name in RELEASES if (target / name / "index.html").is_file()]
    lines = INTRODUCTION.format(notice=NOT_A_FERMI_PRODUCT).splitlines()
    lines += [field_row(name, target) for name in names if name != SIMULATED]
    if SIMULATED in names:
        lines += ["", *simulated_lines(target / SIMULATED)]
    lines += ["", "## Read with care", ""]
    lines += [f"- **{name}**: {RELEASES[name].care}" for name in names]
    lines += ["", *CLOSING.splitlines(), "", *networks_of(names, target)]
    (target / "README.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    sums = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(target)}"
        for path in sorted(target.rglob("*"))
        if path.is_file() and path.name != "SHA256SUMS"
    ]
    (target / "SHA256SUMS").write_text("\n".join(sums) + "\n", encoding="utf-8")


def networks_of(names: list[str], target: Path) -> list[str]:
    """Which networks made the lists, by the first digits of their hashes."""
    made: dict[str, list[str]] = {}
    for name in names:
        (path,) = (target / name).glob("catalog.fits*")
        made.setdefault(network_of(read_catalog(path)), []).append(name)
    return [f"Made with {network}: {', '.join(names)}." for network, names in made.items()]


def field_row(name: str, target: Path) -> str:
    """One row of the README's table."""
    catalog = read_catalog(target / name / "catalog.fits")
    rates = compare(catalog, load_release("4FGL-DR2")).summary
    cells = [
        f"[{name}]({name}/index.html)",
        RELEASES[name].data.split(" (")[0],
        str(len(catalog)),
        *(
            f"{rate.found} of {rate.total}"
            for rate in (
                rates["matched"],
                rates["detected above 10 sigma"],
                rates["detected below 10 sigma"],
            )
        ),
    ]
    return f"| {' | '.join(cells)} |"


def simulated_lines(folder: Path) -> list[str]:
    """What the summary of the simulated sky says, quoted."""
    text = (folder / "summary.txt").read_text(encoding="utf-8")
    title = f"[{SIMULATED}]({SIMULATED}/index.html): {RELEASES[SIMULATED].data}."
    # title and the counts at 0.3 degrees; the rest is on the page
    return [title, "", "```text", *"\n\n".join(text.split("\n\n")[:2]).splitlines(), "```"]


def main() -> None:
    """One release, or the README and checksums."""
    scratch, target = Path(sys.argv[1]), Path(sys.argv[2])
    if len(sys.argv) > 3:
        make_release(sys.argv[3], scratch, target)
    else:
        make_readme(target)


if __name__ == "__main__":
    main()
