"""The stages in a row, one module a command: from files to catalogs, reports and scores."""

from .demo import Demo, demo_sample, run_demo
from .info import describe
from .inject import inject_to_folder
from .inputs import Inputs, bin_to_file, read_photons
from .models import Models, load_models
from .report import report_to_folder
from .search import find_sources, find_to_file, search, searched_area

__all__ = [
    "Demo",
    "Inputs",
    "Models",
    "bin_to_file",
    "demo_sample",
    "describe",
    "find_sources",
    "find_to_file",
    "inject_to_folder",
    "load_models",
    "read_photons",
    "report_to_folder",
    "run_demo",
    "search",
    "searched_area",
]
