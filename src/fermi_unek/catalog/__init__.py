"""The record everything ends in: schema, building, reading and writing of the catalog."""

from .build import build_catalog
from .candidates import Candidates, equatorial_position_angle
from .io import read_catalog, write_catalog
from .record import Catalog
from .regions import write_regions
from .releases import RELEASES, load_release

__all__ = [
    "RELEASES",
    "Candidates",
    "Catalog",
    "build_catalog",
    "equatorial_position_angle",
    "load_release",
    "read_catalog",
    "write_catalog",
    "write_regions",
]
