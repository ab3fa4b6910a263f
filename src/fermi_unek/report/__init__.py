"""What people look at: lines about skies and catalogs, a picture, and the page of a whole run."""

from .lines import describe_catalog, describe_sky, summary_line
from .page import write_page
from .plots import draw_sky

__all__ = ["describe_catalog", "describe_sky", "draw_sky", "summary_line", "write_page"]
