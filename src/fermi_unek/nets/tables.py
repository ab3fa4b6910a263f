"""Calibrations of networks, which are kept in the headers of their weights files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar

from ..errors import InputError

T = TypeVar("T")


def from_header(kind: type[T], values: Mapping[str, Any]) -> T:
    """A calibration from what a weights file holds; an empty mapping is that of its defaults.

    Parameters
    ----------
    kind : frozen dataclass
        Its fields are numbers, or tuples of them, which the file has as lists.
    values : mapping
        Of its fields, some or all.

    Raises
    ------
    InputError
        When there are others.
    """
    known = [field.name for field in fields(kind)]  # type: ignore[arg-type]
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise InputError(f"the calibration of the model holds {unknown}, expected {known}")
    return kind(**{name: _tuples(value) for name, value in values.items()})


def _tuples(value: Any) -> Any:
    return tuple(_tuples(v) for v in value) if isinstance(value, (list, tuple)) else value
