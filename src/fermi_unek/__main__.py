"""`fermi-unek` and `python -m fermi_unek`: ready to be stopped before anything is imported."""

import os
import signal
from types import FrameType


def _stop_at_once(number: int, frame: FrameType | None) -> None:
    """End with one line and the status of the signal: nothing was begun that could be left."""
    os.write(2, b"fermi-unek: interrupted\n")
    os._exit(128 + number)


def main() -> None:
    """Run the command line."""
    signal.signal(signal.SIGINT, _stop_at_once)
    signal.signal(signal.SIGTERM, _stop_at_once)
    from .cli import main as program

    try:
        program()
    finally:
        # all is written and said: what is left is the end of the interpreter, which takes the
        # handlers away first and would die of a signal without a word
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)


if __name__ == "__main__":
    main()
