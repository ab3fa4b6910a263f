"""Write the diffuse shape that ships with the package.

``python -m fermi_unek.diffuse.make_shape DATA_FOLDER OUTPUT.safetensors``
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..sky.binning import BINNING
from ..sky.selection import EVENT_TYPES
from .files import shared_v07
from .template import save_shape, shape_of


def main(arguments: Sequence[str]) -> int:
    """Make the file; exit status 2 and the usage for a wrong number of arguments."""
    if len(arguments) != 2:
        print((__doc__ or "").strip().splitlines()[-1].strip("`"), file=sys.stderr)
        return 2
    data, output = map(Path, arguments)
    models = {name: shared_v07(data, name) for name in EVENT_TYPES}
    edges = np.array(BINNING.edges_mev)
    isotropic = {name: tuple(m.isotropic(edges).tolist()) for name, m in models.items()}
    save_shape(shape_of(models["front"], isotropic), output)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
