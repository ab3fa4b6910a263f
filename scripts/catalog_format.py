"""Bring the tables of docs/guide/ up to the code that they describe.

    PYTHONPATH=src python scripts/catalog_format.py

writes between the marks of catalog-format.md the columns of `catalog/schema.py`, and priors.inc
from `associate/priors.py`. `tests/test_guide.py` fails when that was forgotten.
"""

from __future__ import annotations

import re
from pathlib import Path

from fermi_unek.associate.priors import FAMILIES, PRIORS
from fermi_unek.catalog import schema
from fermi_unek.catalog.schema import ColumnSpec

GUIDE = Path(__file__).resolve().parents[1] / "docs" / "guide"

GROUPS = {
    "position": schema._POSITION,
    "spectrum": schema._SPECTRUM,
    "history": schema._HISTORY,
    "association": schema._ASSOCIATION,
    "network": schema._OURS,
    "counterpart": schema.COUNTERPART_COLUMNS,
    "period": schema.PERIOD_COLUMNS,
    "extension": schema.EXTENSION_COLUMNS,
    "extended": schema.EXTENDED_COLUMNS,
}
"""Name of a table in catalog-format.md to its columns."""

KINDS = {"f4": "float", "f8": "double", "i2": "short", "?": "logical"}


def row(spec: ColumnSpec) -> str:
    """One line of Markdown."""
    kind = KINDS.get(spec.kind) or f"text, {spec.kind[1:]}"
    sizes = " x ".join(str(size) for size in spec.per_row)
    cells = [
        f"`{spec.name}`",
        f"{kind} [{sizes}]" if sizes else kind,
        spec.unit or "",
        spec.description,
    ]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def with_tables(text: str) -> str:
    """The page with each table written anew between its marks."""
    for name, specs in GROUPS.items():
        head = "| Column | Type | Unit | Meaning |\n| --- | --- | --- | --- |\n"
        table = head + "".join(row(spec) + "\n" for spec in specs)
        marks = f"<!-- {name} -->\n", f"<!-- /{name} -->\n"
        pattern = re.escape(marks[0]) + ".*?" + re.escape(marks[1])
        text, n = re.subn(pattern, lambda _: marks[0] + table + marks[1], text, flags=re.S)  # noqa: B023
        if n != 1:
            raise SystemExit(f"catalog-format.md has {n} places for the table {name}, expected 1")
    return text


def priors_table() -> str:
    """The priors of `associate` as a table."""
    lines = ["| Family | Classes | \\|b\\| < 10 | \\|b\\| >= 10 |", "| --- | --- | --- | --- |"]
    for family, (low, high) in PRIORS.items():
        lines.append(f"| {family} | {', '.join(FAMILIES[family])} | {low:.4f} | {high:.4f} |")
    return "\n".join(lines) + "\n"


def pages() -> dict[Path, str]:
    """Each page and what it should hold."""
    page = GUIDE / "catalog-format.md"
    return {
        page: with_tables(page.read_text(encoding="utf-8")),
        GUIDE / "priors.inc": priors_table(),
    }


if __name__ == "__main__":
    for path, content in pages().items():
        path.write_text(content, encoding="utf-8")
