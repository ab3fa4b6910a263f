"""The stage: a catalog and services in, the catalog with counterparts out."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np
from astropy.table import Table

from ..catalog.record import Catalog, HeaderValue
from ..errors import UnekWarning
from ..progress import Progress, silent
from .columns import Found, fill, list_pairs
from .matching import drop_repeats, match_counterparts
from .priors import check_chosen
from .records import Answer, Places, Service, ServiceFailure

NEW_BEYOND_DEG = 0.3
"""A source with no 4FGL source this near (Sep_FGL) is new."""

HEADER = "associate"
"""First word of what an association says in the catalog's header."""


@dataclass(frozen=True)
class Association:
    """What came of a search for counterparts.

    Attributes
    ----------
    catalog : Catalog
        With the columns filled that `columns.fill` names.
    counterparts : astropy Table
        Every object inside an error ellipse, with Source_Name, the most probable of each
        source first; may have no rows.
    failures : mapping
        Service that did not answer to the reason.
    """

    catalog: Catalog
    counterparts: Table
    failures: Mapping[str, str]


def associate(
    catalog: Catalog,
    services: Sequence[Service],
    *,
    min_probability: float = 0.8,
    priors: Mapping[str, float] | None = None,
    new_only: bool = False,
    progress: Progress = silent,
) -> Association:
    """Counterparts of the sources of a catalog.

    Parameters
    ----------
    catalog : Catalog
        May have no rows. Sources without an error ellipse have no counterparts.
    services : sequence of Service
        Asked one after the other; one that fails costs its own columns.
    min_probability : float
        Least probability of ASSOC1; 0.8 is that of the LAT catalogs.
    priors : mapping, optional
        Family of `priors.FAMILIES` to the prior that replaces the measured one.
    new_only : bool
        Whether only sources without a 4FGL source within `NEW_BEYOND_DEG` are looked at.
    progress : Progress
        Wraps the loop over services.

    Returns
    -------
    Association

    Raises
    ------
    InputError
        When a service is misused, such as a file without positions.
    ConfigError
        When a prior is given for an unknown family.
    """
    check_chosen(priors or {})
    everywhere = places_of(catalog)
    wanted = everywhere.known
    if new_only:
        # not known (NaN) is new as well
        wanted &= ~(np.asarray(catalog.table["Sep_FGL"], float) <= NEW_BEYOND_DEG)
    rows = np.flatnonzero(wanted)
    places = everywhere.select(rows)
    real = np.asarray(catalog.table["Probability"], float)[rows]
    real = np.where(np.isfinite(real), real, 1.0)
    answers = [ask(service, places) for service in progress(services, label="services")]
    found = []
    for answer in answers:
        around = answer.surroundings
        if around is None:
            continue
        around = replace(around, objects=drop_repeats(around.objects))
        matching = match_counterparts(
            places, around, real=real, kind=answer.service.kind, priors=priors
        )
        found.append(Found(answer, around.objects, matching))
    pairs = list_pairs(found)
    table = catalog.table.copy()
    fill(table, found, pairs, rows, min_probability)
    failures = {a.service.name: a.failure for a in answers if a.surroundings is None}
    header = _header(catalog.header, found, failures, len(rows), min_probability, priors or {})
    return Association(
        replace(catalog, table=table, header=header), _counterparts(table, pairs, rows), failures
    )


def places_of(catalog: Catalog) -> Places:
    """Position and 95% error ellipse of each source (N,)."""
    columns = (
        "RAJ2000",
        "DEJ2000",
        "Conf_95_SemiMajor",
        "Conf_95_SemiMinor",
        "Conf_95_PosAng",
    )
    return Places(*(np.asarray(catalog.table[name], float) for name in columns))


def ask(service: Service, places: Places) -> Answer:
    """What a service says, or why it says nothing; warns of the latter."""
    try:
        return Answer(service, service.look_up(places))
    except ServiceFailure as failure:
        reason = " ".join(str(failure).split())
        warnings.warn(
            f"{service.name} is left out, the other services stand: {reason}",
            UnekWarning,
            stacklevel=3,
        )
        return Answer(service, None, reason)


def _counterparts(table: Table, pairs: Table, rows: np.ndarray) -> Table:
    names = np.asarray(table["Source_Name"], dtype="U18")[rows]
    listed = pairs.copy()
    listed.add_column(names[np.asarray(pairs["place"])], name="Source_Name", index=0)
    listed.remove_column("place")
    return listed


def _header(
    old: Mapping[str, HeaderValue],
    found: Sequence[Found],
    failures: Mapping[str, str],
    n_places: int,
    min_probability: float,
    priors: Mapping[str, float],
) -> dict[str, HeaderValue]:
    """The catalog's header with what was asked, what answered, and the rates of chance."""
    header = {key: value for key, value in old.items() if not key.startswith(f"{HEADER} ")}
    header[f"{HEADER} date"] = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S")
    header[f"{HEADER} sources looked at"] = n_places
    header[f"{HEADER} least probability"] = min_probability
    for family, value in priors.items():
        header[f"{HEADER} prior {family}"] = value
    header[f"{HEADER} services"] = ", ".join(service.name for service in found) or "none"
    header[f"{HEADER} missing"] = ", ".join(failures) or "none"
    for name, reason in failures.items():
        header[f"{HEADER} missing {name}"] = f"no column Match_{name}: {reason}"
    for service in found:
        header[f"{HEADER} {service.name}"] = describe(service, n_places, min_probability)
    return header


def describe(service: Found, n_places: int, min_probability: float) -> str:
    """One line on a service: its objects, their age, and matches beside those by chance."""
    around = service.answer.surroundings
    assert around is not None
    parts = [f"{len(service.objects)} objects"]
    if around.asked:
        days = (datetime.now(UTC) - datetime.fromisoformat(around.asked)).total_seconds() / 86400
        parts.append(f"asked {around.asked} ({max(days, 0.0):.1f} days old)")
    parts += [around.note] if around.note else []
    _, best = service.matching.best(n_places)
    for what, least in (("inside r95", 0.0), (f"P >= {min_probability:g}", min_probability)):
        # an object inside has a probability above 0; NaN compares as False
        hits = int(np.count_nonzero(best > 0 if least == 0.0 else best >= least))
        shifted = service.matching.by_chance
        passed = shifted > 0 if least == 0.0 else shifted >= least
        lucky = np.where(np.isnan(shifted), np.nan, passed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # of places that cannot be shifted
            chance = np.nanmean(lucky) * n_places if lucky.size else np.nan
        told = f"{chance:.2g} by chance" if np.isfinite(chance) else "chance not known"
        parts.append(f"{what}: {hits} sources ({told})")
    return "; ".join(parts)
