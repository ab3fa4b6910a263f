"""The guide's tables are those of the code."""

import re
import sys
from pathlib import Path

import pytest

from fermi_unek import config
from fermi_unek.associate.priors import PRIORS
from fermi_unek.catalog.schema import (
    COLUMNS,
    COUNTERPART_COLUMNS,
    EXTENDED_COLUMNS,
    EXTENSION_COLUMNS,
    PERIOD_COLUMNS,
)

ROOT = Path(__file__).parents[1]


@pytest.fixture
def script(monkeypatch):
    """scripts/catalog_format.py as a module."""
    monkeypatch.setattr(sys, "path", [str(ROOT / "scripts"), *sys.path])
    import catalog_format

    return catalog_format


def test_the_pages_are_what_the_script_writes(script):
    for path, content in script.pages().items():
        assert path.read_text(encoding="utf-8") == content, (
            f"run PYTHONPATH=src python scripts/catalog_format.py: {path.name} is behind the code"
        )


def test_every_column_is_described_once_in_the_order_of_the_file():
    page = (ROOT / "docs/guide/catalog-format.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \| (.*?) \| (.*) \|$", page, re.M)
    added = [*COUNTERPART_COLUMNS, *PERIOD_COLUMNS, *EXTENSION_COLUMNS]
    every = [*COLUMNS, *added, *EXTENDED_COLUMNS]
    expected = [(spec.name, spec.unit or "", spec.description) for spec in every]
    assert [(name, unit, meaning) for name, _, unit, meaning in rows] == expected


def test_the_page_on_associations_has_all_priors():
    table = (ROOT / "docs/guide/priors.inc").read_text(encoding="utf-8")
    for family, (low, high) in PRIORS.items():
        assert re.search(rf"^\| {family} \|.*\| {low:.4f} \| {high:.4f} \|$", table, re.M)


def test_a_page_without_a_place_for_a_table_is_refused(script):
    with pytest.raises(SystemExit, match="has 0 places for the table position"):
        script.with_tables("nothing")


def test_the_page_of_settings_has_all_that_python_takes():
    page = (ROOT / "docs/settings.rst").read_text(encoding="utf-8")
    listed = re.findall(r"^\.\. autoclass:: fermi_unek\.config\.(\w+)$", page, re.M)
    assert sorted(listed) == sorted(name for name in config.__all__ if name.endswith("Config")
                                    and name != "Config")  # fmt: skip
