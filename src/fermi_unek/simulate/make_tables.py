"""Write the instrument tables that ship with the package from CALDB files.

``python -m fermi_unek.simulate.make_tables CALDB_FOLDER LTCUBE OUTPUT.npz``
"""

import sys

from .caldb import instrument_from_caldb

if __name__ == "__main__":
    caldb, livetime_cube, output = sys.argv[1:]
    instrument_from_caldb(caldb, livetime_cube).save(output)
