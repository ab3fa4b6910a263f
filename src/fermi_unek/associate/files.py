"""Associate a catalog file in one call."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from ..catalog.export import check_export, write_table
from ..catalog.io import check_catalog, read_catalog, write_catalog
from ..config import AssociateConfig
from ..errors import InputError
from ..progress import Progress, silent
from .client import Cache, Client, Host, RetryPolicy, default_folder
from .local import local_services
from .ned import NED_URL, Ned
from .records import Service
from .search import Association, associate
from .sessions import check_address
from .simbad import SIMBAD_URL, Simbad
from .vizier import VIZIER_TABLES, VIZIER_URL, Vizier

URLS = {"vizier": VIZIER_URL, "simbad": SIMBAD_URL, "ned": NED_URL}


def open_services(config: AssociateConfig, progress: Progress = silent) -> list[Service]:
    """The services that settings name, local catalogs first; nothing is asked yet.

    `progress` wraps the batches in which large services are asked.

    Raises
    ------
    InputError
        When a local catalog cannot be used, two services would have one name, or astroquery
        is not installed and a remote service is asked for.
    ConfigError
        A mirror has an address that is not https.
    """
    services = local_services(config.catalogs)
    if config.services and find_spec("astroquery") is None:
        raise InputError(
            f"{', '.join(config.services)} are asked through astroquery, which is not installed: "
            "pip install 'fermi-unek[associate]', or --services none"
        )
    mirrors = {name: check_address(name, url) for name, url in config.servers.items()}
    urls: Mapping[str, str] = URLS | mirrors
    for name in config.services:
        if name == "vizier":
            host = Host()
            clients = [_client(config, progress, host) for _ in VIZIER_TABLES]
            pairs = zip(VIZIER_TABLES, clients, strict=True)
            services += [Vizier(table, client, urls[name]) for table, client in pairs]
        elif name == "simbad":
            services.append(Simbad(_client(config, progress), urls[name]))
        else:
            services.append(Ned(_client(config, progress), urls[name]))
    if not services:
        raise InputError("no service and no catalog to look for counterparts in; give --catalogs")
    names = [service.name for service in services]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(
            f"two catalogs would be called {twice[0]}; give one a name of its own: NAME=FILE"
        )
    return services


def associate_files(
    catalog_path: str | Path,
    output: str | Path,
    config: AssociateConfig | None = None,
    *,
    counterparts: str | Path | None = None,
    overwrite: bool = False,
    progress: Progress = silent,
) -> Association:
    """Read a catalog, look for counterparts, and write it with them.

    Parameters
    ----------
    catalog_path : str or Path
        Written by `find` or `refit`.
    output : str or Path
        Catalog to write; may be the same file when `overwrite` is given.
    config : AssociateConfig, optional
        All defaults when absent.
    counterparts : str or Path, optional
        Table of every object inside an error ellipse: .vot, .csv, .ecsv or .fits.
    overwrite : bool
        Whether outputs may be replaced.
    progress : Progress
        Wraps the loop over services and over the batches of each.

    Returns
    -------
    Association

    Raises
    ------
    InputError
        For a file that cannot be used.
    OutputError
        Before anything is asked, when an output exists and may not be replaced, or cannot
        be written.
    """
    config = config or AssociateConfig()
    output = check_catalog(output, overwrite)
    if counterparts is not None:
        counterparts = check_export(counterparts, overwrite, tables_only=True)
    catalog = read_catalog(catalog_path)
    done = associate(
        catalog,
        open_services(config, progress),
        min_probability=config.min_probability,
        priors=config.priors,
        new_only=config.new_only,
        progress=progress,
    )
    write_catalog(done.catalog, output, overwrite=overwrite)
    if counterparts is not None:
        write_table(done.counterparts, counterparts, overwrite=overwrite)
    return done


def summary(done: Association) -> str:
    """A few lines for people: what answered, what did not, and how many have a counterpart."""
    table = done.catalog.table
    named = int((table["ASSOC1"] != "").sum())
    known = int((table["ASSOC_4FGL"] != "").sum())
    lines = [
        f"{len(table)} sources: {named} with a counterpart (ASSOC1), {known} in 4FGL (ASSOC_4FGL)"
    ]
    lines += [
        f"  {key.removeprefix('associate ')}: {value}"
        for key, value in done.catalog.header.items()
        if key.startswith("associate ") and ("objects;" in str(value) or "no column" in str(value))
    ]
    return "\n".join(lines)


def _client(config: AssociateConfig, progress: Progress, host: Host | None = None) -> Client:
    retry = RetryPolicy(config.timeout, config.tries, config.backoff)
    cache = Cache(config.cache or default_folder(), config.max_age)
    return Client(retry, cache, progress, host)
