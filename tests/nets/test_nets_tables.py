"""Calibrations come back from a weights file as they went in."""

from dataclasses import asdict, dataclass

import pytest

from fermi_unek.errors import InputError
from fermi_unek.nets.tables import from_header


@dataclass(frozen=True)
class Numbers:
    cut: float = 0.5
    rows: tuple[tuple[float, ...], ...] = ()


def test_lists_of_the_file_are_tuples_again():
    original = Numbers(0.1, ((1.0, 2.0), (3.0,)))
    stored = {"cut": 0.1, "rows": [[1.0, 2.0], [3.0]]}
    assert from_header(Numbers, stored) == from_header(Numbers, asdict(original)) == original


def test_an_empty_header_is_the_defaults():
    assert from_header(Numbers, {}) == Numbers()


def test_what_the_class_does_not_know_is_refused():
    with pytest.raises(InputError, match=r"holds \['scale'\], expected \['cut', 'rows'\]"):
        from_header(Numbers, {"cut": 0.1, "scale": 2.0})
