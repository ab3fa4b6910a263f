"""Write the instrument tables that ship with the package from CALDB files.

``python -m fermi_unek.irf.make_tables CALDB_FOLDER LTCUBE OUTPUT.npz``
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from .caldb import instrument_from_caldb


def main(arguments: Sequence[str]) -> int:
    """Make the tables; exit status 2 and the usage for a wrong number of arguments."""
    if len(arguments) != 3:
        print((__doc__ or "").strip().splitlines()[-1].strip("`"), file=sys.stderr)
        return 2
    caldb, livetime_cube, output = arguments
    instrument_from_caldb(caldb, livetime_cube).save(output)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
