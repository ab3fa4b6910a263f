"""`command-help`: what `--help` of every command says, asked when the pages are built."""

from __future__ import annotations

import click
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from fermi_unek.cli import PROGRAM, main

WIDTH = 88


class CommandHelp(SphinxDirective):
    """A section a command, with its help as it is printed."""

    def run(self) -> list[nodes.Node]:
        """Sections in the order of the alphabet."""
        top = click.Context(main, info_name=PROGRAM, terminal_width=WIDTH, max_content_width=WIDTH)
        pages = [(PROGRAM, main.get_help(top))]
        for name in main.list_commands(top):
            command = main.get_command(top, name)
            if command is not None and not command.hidden:
                inner = click.Context(command, parent=top, info_name=name)
                pages.append((f"{PROGRAM} {name}", command.get_help(inner)))
        return [self._section(title, text) for title, text in pages]

    def _section(self, title: str, text: str) -> nodes.section:
        section = nodes.section(ids=[nodes.make_id(title)], names=[title])
        section += nodes.title("", "", nodes.literal(text=title))
        section += nodes.literal_block(text, text, language="text")
        return section


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("command-help", CommandHelp)
    return {"parallel_read_safe": True}
