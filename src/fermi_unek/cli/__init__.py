"""The command line: arguments into settings, errors into one line, work to the stages."""

from . import commands
from .messages import PROGRAM
from .program import main

__all__ = ["PROGRAM", "commands", "main"]
