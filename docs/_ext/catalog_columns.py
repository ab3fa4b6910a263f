"""`catalog-columns`: the columns of the catalog as a table, from the schema itself."""

from __future__ import annotations

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from fermi_unek.catalog.schema import COLUMNS, ColumnSpec

HEADINGS = ("Column", "Type", "Unit", "Meaning")
KINDS = {"f4": "float32", "f8": "float64", "i2": "int16", "i4": "int32", "?": "bool"}


class CatalogColumns(SphinxDirective):
    """One row a column, in the order of the file."""

    def run(self) -> list[nodes.Node]:
        """A table of four columns."""
        group = nodes.tgroup(cols=len(HEADINGS))
        group += [nodes.colspec(colwidth=width) for width in (24, 12, 18, 46)]
        head, body = nodes.thead(), nodes.tbody()
        head += _row([nodes.Text(text) for text in HEADINGS])
        for spec in COLUMNS:
            body += _row(_cells(spec))
        group += [head, body]
        table = nodes.table(classes=["catalog-columns"])
        table += group
        return [table]


def _cells(spec: ColumnSpec) -> list[nodes.Node]:
    kind = KINDS.get(spec.kind, f"text, {spec.kind[1:]}" if spec.kind[0] == "U" else spec.kind)
    sizes = " x ".join(str(size) for size in spec.per_row)
    return [
        nodes.literal(text=spec.name),
        nodes.Text(f"{kind} [{sizes}]" if sizes else kind),
        nodes.Text(spec.unit or ""),
        nodes.Text(spec.description),
    ]


def _row(cells: list[nodes.Node]) -> nodes.row:
    row = nodes.row()
    for cell in cells:
        entry, paragraph = nodes.entry(), nodes.paragraph()
        paragraph += cell
        entry += paragraph
        row += entry
    return row


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("catalog-columns", CatalogColumns)
    return {"parallel_read_safe": True}
