"""Errors that are the user's to mend.

Everything the command line turns into one line on stderr and exit status 2 derives
from `UnekError`; anything else is a fault of ours and keeps its traceback.
"""


class UnekError(Exception):
    """Something the user can mend: what was got, where, and what was expected."""


class InputError(UnekError):
    """A file or value handed in cannot be used."""


class OutputError(UnekError):
    """An output exists already or cannot be written."""


class ConfigError(UnekError):
    """An option is unknown or its value is out of range."""


class UnekWarning(UserWarning):
    """The result stands, but the analyst should know something about the input."""
