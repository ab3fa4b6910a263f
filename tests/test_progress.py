"""Progress bars show on a terminal and nowhere else."""

import io
import sys

import pytest

from fermi_unek.progress import bar, silent


class Terminal(io.StringIO):
    """A stderr that says it is a terminal."""

    def isatty(self):
        return True


@pytest.mark.parametrize("wrap", [bar, silent])
def test_all_items_come_through_in_order_and_nothing_is_written_to_a_file(monkeypatch, wrap):
    stderr = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stderr)
    assert list(wrap(iter(range(5)), total=5, label="patches")) == [0, 1, 2, 3, 4]
    assert stderr.getvalue() == ""


def test_a_terminal_sees_the_label_and_a_clean_line_at_the_end(monkeypatch):
    stderr = Terminal()
    monkeypatch.setattr(sys, "stderr", stderr)
    assert list(bar(range(3), label="patches")) == [0, 1, 2]
    assert "patches" in stderr.getvalue()
    assert stderr.getvalue().endswith("\r")


def test_a_terminal_sees_nothing_of_silent_work(monkeypatch):
    stderr = Terminal()
    monkeypatch.setattr(sys, "stderr", stderr)
    assert list(silent(range(3))) == [0, 1, 2]
    assert stderr.getvalue() == ""
