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

    program()


if __name__ == "__main__":
    main()
