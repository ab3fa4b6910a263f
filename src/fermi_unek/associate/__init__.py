"""Counterparts of the sources of a catalog, from files and from public archives."""

from .files import associate_files, open_services
from .records import Kind, Objects, Places, Service, ServiceFailure, Surroundings
from .search import Association, associate

__all__ = [
    "Association",
    "Kind",
    "Objects",
    "Places",
    "Service",
    "ServiceFailure",
    "Surroundings",
    "associate",
    "associate_files",
    "open_services",
]
