"""How the documentation is built: `make docs`."""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_ext"))
# the sources beside the pages, whatever is installed
sys.path.insert(0, str(HERE.parent / "src"))
os.environ.setdefault("MPLBACKEND", "Agg")
warnings.filterwarnings("ignore", category=DeprecationWarning)

import numpydoc.numpydoc  # noqa: E402

from fermi_unek import __version__  # noqa: E402  (after the path is set)

# it looks for the signatures of compiled functions, of which there are none here, and Sphinx 9
# stumbles over what it says of type aliases
numpydoc.numpydoc.mangle_signature = lambda *_: None

project = "fermi_unek"
author = "The fermi_unek developers"
copyright = "the fermi_unek developers, BSD 3-clause licence"
version = release = __version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "numpydoc",
    "myst_parser",
    "sphinx_gallery.gen_gallery",
    "command_help",
]
source_suffix = {".rst": "restructuredtext", ".md": "markdown"}
exclude_patterns = ["_build", "_ext", "_templates", "gallery/*", "auto_gallery/*.ipynb"]
templates_path = ["_templates"]
myst_heading_anchors = 3
myst_enable_extensions = ["deflist"]

# docstrings name things of the package in single backticks
default_role = "code"
# absolute latitude, which docstrings write as astronomers do
rst_prolog = ".. |b| replace:: \\|b\\|"
autosummary_generate = True
autosummary_ignore_module_all = True
autodoc_typehints = "none"
autodoc_member_order = "bysource"
numpydoc_show_class_members = False

sphinx_gallery_conf = {
    "examples_dirs": "gallery",
    "gallery_dirs": "auto_gallery",
    "filename_pattern": r"plot_",
    "reset_modules": ("matplotlib", "figure_style.use"),
    "download_all_examples": False,
    "show_memory": False,
    "show_signature": False,
    "abort_on_example_error": False,
    "remove_config_comments": True,
    "write_computation_times": False,
}

html_theme = "pydata_sphinx_theme"
html_title = "fermi_unek"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "logo": {"text": "fermi_unek"},
    "show_nav_level": 2,
    "navigation_with_keys": False,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "show_version_warning_banner": False,
}
