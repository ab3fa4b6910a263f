"""What is published in catalogs/ is whole, and opens."""

import hashlib
from pathlib import Path

import pytest
from gammapy.catalog import SourceCatalog4FGL

from fermi_unek.catalog import read_catalog
from fermi_unek.catalog.schema import NOT_A_FERMI_PRODUCT
from fermi_unek.evaluate import read_truth_table

FOLDER = Path(__file__).resolve().parents[1] / "catalogs"
CATALOGS = sorted(FOLDER.glob("*/catalog.fits*"))
MOST_BYTES = 8_000_000


def test_checksums_are_those_of_the_files():
    stated = dict(
        reversed(line.split("  ")) for line in (FOLDER / "SHA256SUMS").read_text().splitlines()
    )
    found = {
        str(path.relative_to(FOLDER)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in FOLDER.rglob("*")
        if path.is_file() and path.name != "SHA256SUMS"
    }
    assert found == stated


def test_the_folder_stays_small():
    assert sum(p.stat().st_size for p in FOLDER.rglob("*") if p.is_file()) < MOST_BYTES


@pytest.mark.parametrize("path", CATALOGS, ids=lambda path: path.parent.name)
def test_a_published_catalog_opens_here_and_in_gammapy(path):
    catalog = read_catalog(path)
    assert len(SourceCatalog4FGL(path).table) == len(catalog) > 0
    assert "model sha256" in catalog.header
    assert NOT_A_FERMI_PRODUCT in (path.parent / "index.html").read_text(encoding="utf-8")


def test_the_published_truth_is_one_that_evaluate_takes():
    truth = read_truth_table(FOLDER / "simulated-dr2" / "truth.fits.gz")
    assert len(truth) > len(read_catalog(FOLDER / "simulated-dr2" / "catalog.fits.gz"))
