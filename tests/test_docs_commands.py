"""Every command line in the README and the documentation is one that the program takes."""

import ast
import importlib.util
import shlex
import sys
from pathlib import Path

import click
import pytest

from fermi_unek import cli

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = ROOT / "scripts" / "docs_commands.py"


def _load():
    spec = importlib.util.spec_from_file_location("docs_commands", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules["docs_commands"] = module
    spec.loader.exec_module(module)
    return module


docs = _load()
LINES = [line for path in docs.pages() for line in docs.command_lines(path)]


def parse(text):
    """Let click take a command line apart as far as it goes without running the command."""
    words = shlex.split(text, comments=True)[1:]
    for end in ("|", ">", "&&", ";"):
        words = words[: words.index(end)] if end in words else words
    top = cli.main.make_context("fermi-unek", words)
    name, command, rest = cli.main.resolve_command(top, [*top._protected_args, *top.args])
    command.make_context(name, rest, parent=top)


@pytest.mark.parametrize("line", LINES, ids=lambda line: f"{line.page}:{line.number}")
def test_a_command_line_of_the_documentation_parses(line):
    parse(line.text)


def test_commands_were_found_in_the_readme_and_the_guide():
    pages = {line.page for line in LINES}
    assert {"README.md", "docs/guide/start.md", "docs/guide/fssc.md"} <= pages


def test_commands_named_in_prose_exist():
    named = {name: path for path in docs.pages() for name in docs.named_commands(path)}
    unknown = {name: str(path) for name, path in named.items() if name not in cli.main.commands}
    assert unknown == {}


def test_configurations_named_in_commands_are_in_the_repository():
    named = [w for line in LINES for w in shlex.split(line.text, comments=True) if ".yaml" in w]
    assert [word for word in named if not (ROOT / word).is_file()] == []


@pytest.mark.parametrize("path", docs.pages(), ids=lambda path: path.stem)
def test_python_blocks_of_the_documentation_are_python(path):
    ast.parse(docs.python_code(path))


@pytest.mark.parametrize(
    "wrong",
    [
        "fermi-unek find ccube.fits -o a.fits --treshold 0.3",
        "fermi-unek seek ccube.fits -o a.fits",
        "fermi-unek find ccube.fits",
        "fermi-unek find ccube.fits -o a.fits --centers middle",
    ],
)
def test_a_line_that_the_program_would_refuse_is_noticed(wrong):
    with pytest.raises(click.UsageError):
        parse(wrong)


def test_lines_are_taken_from_fenced_and_indented_blocks_and_joined(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "Say `fermi-unek find` or\n\n    fermi-unek demo\n\n```sh\n$ fermi-unek find a.fits \\\n"
        "  -o b.fits\nls\n```\n\n```python\nfermi-unek no\n```\n"
    )
    found = docs.command_lines(page, tmp_path)
    assert [(line.number, line.text) for line in found] == [
        (3, "fermi-unek demo"),
        (7, "fermi-unek find a.fits -o b.fits"),
    ]
    assert docs.named_commands(page) == {"find"}


def test_a_page_is_run_and_what_fails_is_told(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("    fermi-unek --version\n    fermi-unek find no_such.fits -o a.fits\n")
    stand_ins = tmp_path / "stand-ins"
    stand_ins.mkdir()
    done = list(docs.run_page(page, tmp_path / "run", stand_ins, root=tmp_path))
    assert [outcome for outcome, *_ in done] == ["ran", "status 2"]
    assert "no_such.fits" in done[1][-1]


@pytest.mark.parametrize(
    ("shown", "run"),
    [
        ("fermi-unek info sky.fits", "fermi-unek info sky.fits"),
        ("fermi-unek demo", "fermi-unek demo --overwrite"),
        (
            "fermi-unek simulate -o sky --years 10",
            "fermi-unek simulate -o sky --years 10 --region 80,18,6 --years 1 --overwrite",
        ),
    ],
)
def test_whole_skies_are_cut_to_the_field_of_the_stand_ins(shown, run):
    assert docs.runnable(shown) == run


def test_runs_of_hours_are_left_out_with_a_reason():
    assert docs.why_not("fermi-unek train localizer configs/train-localizer.yaml")
    assert not docs.why_not("fermi-unek train localizer configs/train-smoke.yaml")
