"""`read_sky`: whatever counts an analyst has, recognised from the content of the files."""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from functools import reduce
from operator import or_
from pathlib import Path

import numpy as np
from astropy.io import fits

from ...errors import InputError, UnekWarning
from ...progress import Progress, silent
from ..bins import YEAR_S
from ..counts import SkyCounts
from ..geometry.coverage import circle_coverage
from ..layers import layer_of, with_layers
from ..selection import EVENT_TYPES, LAYERS, name_of, warn_of_cuts
from .cubes import read_cube
from .files import checksum, open_fits, resolve_inputs
from .parts import SkyPart, join_parts
from .photons import PhotonCuts, PhotonIds, event_types, read_photons
from .skyfile import HDUCLAS1, cut_region, load_sky


def read_sky(
    inputs: Sequence[str | Path] | str | Path,
    *,
    rng: np.random.Generator,
    region: tuple[float, float, float] | None = None,
    event_type: str | None = None,
    zmax_deg: float | None = None,
    event_class: int | None = None,
    energy_mev: tuple[float, float] | None = None,
    time_met: tuple[float, float] | None = None,
    yearly: bool | None = False,
    year_s: float = YEAR_S,
    fine: bool = False,
    progress: Progress = silent,
) -> SkyCounts:
    """Counts of a sky or a field from photon files or count cubes.

    Parameters
    ----------
    inputs : path or sequence of paths
        FT1 photon files or ``@lists`` of them; gtbin HEALPIX or CCUBE files, fermipy's and
        gammapy's cubes; or one file that `write_sky` wrote. Several files of a kind are joined:
        photons and counts of one energy range are added up, energy ranges are put together.
    rng : numpy Generator
        Places photons of a cube inside their pixels and draws the bin of photons whose channel
        straddles two.
    region : (float, float, float) or None
        Keep this circle only: Galactic longitude, latitude, radius, degrees.
    event_type, zmax_deg, event_class, energy_mev, time_met
        Cuts, see `PhotonCuts`; on cubes only such as they satisfy already.
    yearly : bool or None
        Fill `SkyCounts.years` from the times of the photons, one layer for each year of 365.25 d
        since the start of the mission, from the first to the last that holds a photon. None does
        so where the files hold times, and is content where they do not.
    year_s : float
        Another length of what takes the place of years, s.
    fine : bool
        Fill `SkyCounts.fine`: photons in narrow bins of energy, cubes in their own channels.
    progress : Progress
        Wraps the files.

    Returns
    -------
    SkyCounts
        Never empty. `livetime_years` is the calendar length of the union of the files' good
        times, without gaps of more than a day, times the part of the pulse phase that was kept;
        NaN when no file says. A photon that is in several files counts once.

    Raises
    ------
    InputError
        One line on what is wrong: no such file, truncated or corrupt, of unknown kind, without
        energy bounds, coarser in energy than the network, not counts, no events after the cuts,
        kinds mixed, or a cut that cannot be made.

    Warns
    -----
    UnekWarning
        Counts that are not FRONT, energy edges that do not line up, bins partly covered.
    """
    cuts = PhotonCuts(event_type, zmax_deg, event_class, energy_mev, time_met, region)
    paths = resolve_inputs(inputs)
    parts: list[SkyPart] = []
    ids = PhotonIds()
    for path in progress(paths, total=len(paths), label="reading"):
        with open_fits(path) as hdus:
            kind, index = recognise(path, hdus)
            if kind == "sky":
                if len(paths) > 1:
                    raise InputError(f"{path}: a binned sky cannot be joined with other inputs")
                return _binned_sky(path, cuts)
            found = _read(kind, path, hdus, index, cuts, ids, rng, yearly, year_s, fine)
        warn_of_cuts(found[0].selection, str(path))
        of_file = checksum(path)
        parts += [replace(part, checksum=of_file) for part in found]
    if ids.doubles:
        warnings.warn(
            f"{paths[0]}{f' and {len(paths) - 1} more' if paths[1:] else ''}: {ids.doubles:,} "
            "photons are there more than once (the same RUN_ID, EVENT_ID and TIME, or time, "
            "energy and place); they were counted once",
            UnekWarning,
            stacklevel=2,
        )
    return _joined_layers(parts, None if region is None else circle_coverage(*region))


def _joined_layers(parts: Sequence[SkyPart], region: np.ndarray | None) -> SkyCounts:
    """One sky of the parts, those of each layer joined by themselves.

    Raises
    ------
    InputError
        Event types of which a photon may be of two, such as FRONT and PSF3.
    """
    groups: dict[str, list[SkyPart]] = defaultdict(list)
    for part in parts:
        groups[layer_of(part.event_type)].append(part)
    types = {part.event_type: part.name for part in parts}
    if len(types) > 1 and not any(set(groups) <= set(pair) for pair in LAYERS.values()):
        told = ", ".join(f"{kind} in {name}" for kind, name in types.items())
        raise InputError(
            f"event types that do not exclude each other ({told}); expected FRONT and BACK, or "
            "PSF types, or one for all files"
        )
    filled = [group for group in groups.values() if any(part.total for part in group)]
    if not filled:
        return join_parts(parts, region)
    layers = []
    for group in filled:
        bits = reduce(or_, (EVENT_TYPES[part.event_type] for part in group))
        layers.append(replace(join_parts(group, region), event_type=name_of(bits)))
    return with_layers(layers)


def recognise(path: Path, hdus: fits.HDUList) -> tuple[str, int]:
    """Kind of a file ("photons", "healpix", "wcs" or "sky") and the HDU that holds its data.

    Raises
    ------
    InputError
        None of these.
    """
    for index, hdu in enumerate(hdus):
        if hdu.header.get("HDUCLAS1") == HDUCLAS1:
            return "sky", index
    _refuse_other_kinds(path, hdus)
    for index, hdu in enumerate(hdus):
        if isinstance(hdu, fits.BinTableHDU) and hdu.header.get("PIXTYPE") == "HEALPIX":
            return "healpix", index
    for index, hdu in enumerate(hdus):
        if isinstance(hdu, fits.BinTableHDU) and hdu.name == "EVENTS":
            _upper_case(hdu)
            return "photons", index
    images = [
        index
        for index, hdu in enumerate(hdus)
        if hdu.is_image and hdu.header.get("NAXIS", 0) >= 2 and "CTYPE1" in hdu.header
    ]
    images.sort(key=lambda index: hdus[index].name not in ("COUNTS", "COUNTS MAP"))
    if images and all(hdus[images[0]].shape):
        return "wcs", images[0]
    held = ", ".join(hdu.name or type(hdu).__name__ for hdu in hdus)
    raise InputError(
        f"{path}: neither photons nor a count cube (it holds {held}); expected an FT1 file with "
        "EVENTS, a gtbin HEALPIX or CCUBE file, or a sky written by fermi-unek bin"
    )


def _upper_case(table: fits.BinTableHDU) -> None:
    """Name the columns as FT1 files do: for FITS, energy is ENERGY."""
    for name in set(table.columns.names):
        if name != name.upper() and name.upper() not in table.columns.names:
            table.columns.change_name(name, name.upper())


def _refuse_other_kinds(path: Path, hdus: fits.HDUList) -> None:
    """InputError that names what goes elsewhere: the files that belong to counts."""
    if "CTHETABOUNDS" in hdus:
        raise InputError(
            f"{path}: is a livetime cube (gtltcube), no counts; give it to --exposure of find, "
            "refit or simulate"
        )
    if "HPXEXPOSURES" in hdus:
        raise InputError(
            f"{path}: is an exposure map (gtexpcube2), no counts; give it to --exposure"
        )


def _read(
    kind: str,
    path: Path,
    hdus: fits.HDUList,
    index: int,
    cuts: PhotonCuts,
    ids: PhotonIds,
    rng: np.random.Generator,
    yearly: bool | None,
    year_s: float,
    fine: bool,
) -> list[SkyPart]:
    if kind == "photons":
        if yearly is None:
            yearly = "TIME" in hdus[index].columns.names
        return [
            read_photons(
                path,
                hdus,
                index,
                replace(cuts, event_type=name),
                ids,
                yearly=yearly,
                year_s=year_s,
                fine=fine,
            )
            for name in event_types(path, hdus, index, cuts.event_type)
        ]
    if yearly:
        warnings.warn(
            f"{path}: a cube does not hold the times of its photons, no yearly counts",
            UnekWarning,
            stacklevel=3,
        )
    return [read_cube(path, hdus, index, cuts, rng, fine=fine)]


def _binned_sky(path: Path, cuts: PhotonCuts) -> SkyCounts:
    """A sky written by `write_sky`, of which only a region can still be cut out."""
    sky = load_sky(path)
    held = [layer.event_type for layer in sky.layers]
    if cuts.event_type in held:
        sky = sky.layers[held.index(cuts.event_type)]
    elif LAYERS.get(cuts.event_type or "", ("",)) != tuple(held) and (
        cuts.event_type not in (None, "all", sky.event_type)
    ):
        raise InputError(
            f"{path}: holds {sky.event_type} counts, {cuts.event_type} cannot be selected from a "
            "binned sky"
        )
    for name in ("zmax_deg", "event_class", "energy_mev", "time_met"):
        if getattr(cuts, name) is not None:
            raise InputError(f"{path}: a cut on {name} cannot be made on a binned sky")
    return sky if cuts.region is None else cut_region(sky, cuts.region)
