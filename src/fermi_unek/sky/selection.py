"""`Selection`: which cuts were made on photons, and whether two of them go together."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..errors import InputError, UnekWarning
from .bins import YEAR_S

FRONT, BACK = 1, 2
EVENT_TYPES = {"front": FRONT, "back": BACK, "all": FRONT | BACK}
EVENT_TYPES |= {"psf0": 4, "psf1": 8, "psf2": 16, "psf3": 32, "psf01": 12, "psf23": 48, "psf": 60}
"""Bit masks of the events that belong together in one layer of counts, by name."""

TYPE_FAMILIES = (FRONT | BACK, 60, 960)
"""Bits of the event types into which all photons are parted: by conversion, PSF, dispersion."""

LAYERS = {"fb": ("front", "back"), "psf": ("psf23", "psf01")}
"""Layers, the sharper first, in which the photons of both conversion types, or of all quartiles of
the PSF, are kept apart."""

SOURCE_CLASS = 128
"""Event class bit of P8R3 SOURCE, which the networks are made for."""

ZMAX_LOW_DEG, ZMAX_HIGH_DEG = 100.0, 105.0
"""Zenith cuts below and above 1 GeV for photons that were not cut in zenith angle; a cut beyond
the second lets the limb of the Earth in and is none."""

LONG_GAP_S = 86400.0
"""Gaps between good times up to this long belong to the survey (orbits, the South Atlantic
Anomaly), and exposures of calendar time allow for them; longer ones are time that is missing."""

_TYPES = {1: "FRONT", 2: "BACK", 4: "PSF0", 8: "PSF1", 16: "PSF2", 32: "PSF3"}
_TYPES |= {64: "EDISP0", 128: "EDISP1", 256: "EDISP2", 512: "EDISP3"}
_CLASSES = {16: "TRANSIENT020", 64: "TRANSIENT010", 128: "SOURCE", 256: "CLEAN"}
_CLASSES |= {512: "ULTRACLEAN", 1024: "ULTRACLEANVETO", 2048: "SOURCEVETO"}
_SAME_TIME = 0.02
_LIKE_ORBITS = 0.1  # years differ by as much in the part of the time that was good
_NO_ORBITS = 0.99  # good times without the gaps of orbits: calendar time, or a simulation

Span = tuple[float, float]


@dataclass(frozen=True)
class Selection:
    """Cuts that were made on photons, as a file states them.

    Attributes
    ----------
    event_class, event_type : int or None
        Bit masks; None when the file does not say.
    release : str
        Event reconstruction that the masks are of, such as P8R3; blank when not known.
    energy_mev, zenith_deg : (float, float) or None
        Lowest and highest value kept.
    circles : tuple of (ra, dec, radius)
        ICRS degrees; all of them apply. Whole-sky circles are left out.
    whole_sky : bool
        The file says that it holds the whole sky.
    spans_met : tuple of (float, float)
        Spans of time, s, without gaps of more than `LONG_GAP_S`, rising; empty when not known.
    good_s : float
        Sum of the good time intervals, s; NaN when not known.
    phase : float
        Part of the pulse phase that was kept.
    simulated : bool
        The photons are no real ones.
    """

    event_class: int | None = None
    event_type: int | None = None
    energy_mev: Span | None = None
    zenith_deg: Span | None = None
    circles: tuple[tuple[float, float, float], ...] = ()
    whole_sky: bool = False
    spans_met: tuple[Span, ...] = ()
    good_s: float = float("nan")
    phase: float = 1.0
    release: str = ""
    simulated: bool = False

    @property
    def kind(self) -> str | None:
        """Name in `EVENT_TYPES`; "all" for other mixtures, None when not known."""
        if not self.event_type:
            return None
        return name_of(self.event_type & (FRONT | BACK) or self.event_type) or "all"

    @property
    def label(self) -> str:
        """The event types in words."""
        return _words(self.event_type, _TYPES, "event type mask")

    @property
    def class_label(self) -> str:
        """The event classes in words."""
        return _words(self.event_class, _CLASSES, "event class mask")

    @property
    def years(self) -> float:
        """Calendar years of the spans times the part of the phase; NaN when not known."""
        return merged_years(self.spans_met) * self.phase

    @property
    def good_part(self) -> float:
        """Part of the spans that was good; NaN when not known, as where orbits leave no gaps."""
        part = _ratio(self.good_s, merged_years(self.spans_met) * YEAR_S)
        return part if part < _NO_ORBITS else float("nan")

    def within(self, window: Span) -> Selection:
        """The selection with its times cut to a window, s."""
        spans = tuple((max(a, window[0]), min(z, window[1])) for a, z in self.spans_met)
        spans = tuple((a, z) for a, z in spans if a < z)
        part = _ratio(merged_years(spans), merged_years(self.spans_met))
        return replace(self, spans_met=spans, good_s=self.good_s * part)


def name_of(event_type: int) -> str:
    """Name of a bit mask in `EVENT_TYPES`; blank where it has none."""
    return {bits: name for name, bits in EVENT_TYPES.items()}.get(event_type, "")


def united_times(selections: Sequence[Selection]) -> tuple[tuple[Span, ...], float]:
    """Spans of several selections together, and the good time in them, s; of like parts."""
    spans = merged_spans(span for one in selections for span in one.spans_met)
    apart = sum(merged_years(one.spans_met) for one in selections)
    return spans, sum(one.good_s for one in selections) * _ratio(merged_years(spans), apart)


def _ratio(value: float, whole: float) -> float:
    return value / whole if whole > 0 else float("nan")


def _words(mask: int | None, names: dict[int, str], otherwise: str) -> str:
    if not mask:
        return "unknown"
    return "+".join(name for bit, name in names.items() if mask & bit) or f"{otherwise} {mask}"


def merged_spans(spans: Iterable[Span], gap: float = 0.0) -> tuple[Span, ...]:
    """Union of spans, rising; those that overlap or lie no further apart than `gap` joined."""
    merged: list[Span] = []
    for start, stop in sorted(spans):
        if merged and start <= merged[-1][1] + gap:
            merged[-1] = merged[-1][0], max(merged[-1][1], stop)
        else:
            merged.append((start, stop))
    return tuple(merged)


def merged_years(spans: Sequence[Span], window: Span = (-np.inf, np.inf)) -> float:
    """Length, years, of the union of time spans (s) inside a window; NaN when there is none."""
    if not len(spans):
        return float("nan")
    return sum(max(min(z, window[1]) - max(a, window[0]), 0.0) for a, z in merged_spans(spans)) / (
        YEAR_S
    )


def warn_of_cuts(selection: Selection, where: str) -> None:
    """Warn of cuts that the networks and the package's exposure are not made for."""
    told = []
    if selection.event_class is not None and not selection.event_class & SOURCE_CLASS:
        told.append(
            f"holds event class {selection.event_class} ({selection.class_label}); networks, "
            f"exposure and diffuse emission are those of SOURCE ({SOURCE_CLASS})"
        )
    zenith = selection.zenith_deg
    if zenith is not None and zenith[1] > ZMAX_HIGH_DEG + 1e-6:
        told.append(
            f"its zenith cut at {zenith[1]:g} deg lets the limb of the Earth in; expected "
            f"{ZMAX_LOW_DEG:g} deg or less"
        )
    if selection.phase < 1.0:
        told.append(
            f"holds {selection.phase:.0%} of the pulse phase; the live time is multiplied by it"
        )
    if selection.good_part < 0.6:
        told.append(
            f"its good time intervals (GTI) are {selection.good_part:.0%} of the time "
            "they lie in, where a survey has 80% or more: exposures without a livetime file are "
            "too large by as much"
        )
    for text in told:
        warnings.warn(f"{where}: {text}", UnekWarning, stacklevel=3)


def time_scale(
    photons: Selection,
    exposure: Selection,
    where: str,
    *,
    component: bool = False,
    shared: bool = False,
) -> float:
    """Compare photons with the exposure made for them; part of its time that they were taken in.

    Parameters
    ----------
    photons, exposure : Selection
        What is not known of either is not compared.
    where : str
        The exposure or livetime file.
    component, shared : bool
        Whether it may be of a part of the photons' event types alone, or of others besides.

    Raises
    ------
    InputError
        Of other events, or of another time than the photons.

    Warns
    -----
    UnekWarning
        Other event classes, releases or zenith cuts, or times of another length.
    """
    theirs, own = exposure.event_type, photons.event_type
    if theirs and own and theirs != own:
        common = theirs & own
        if not (component and common == theirs or shared and common == own):
            raise InputError(
                f"{where}: is the exposure of {exposure.label} events, the photons are "
                f"{photons.label}"
            )
    for name, value, other in (
        ("event class", photons.event_class, exposure.event_class),
        ("release", photons.release, exposure.release),
        ("zenith cut", _highest(photons.zenith_deg), _highest(exposure.zenith_deg)),
    ):
        if value and other and value != other:
            warnings.warn(
                f"{where}: made for {name} {other}, the photons have {value}; fluxes are off by "
                "the ratio of their exposures",
                UnekWarning,
                stacklevel=3,
            )
    if not photons.spans_met or not exposure.spans_met:
        return photons.phase
    return (
        photons.phase
        * _calendar_part(photons, exposure, where)
        * _good_part(photons, exposure, where)
    )


def _calendar_part(photons: Selection, exposure: Selection, where: str) -> float:
    """Part of the exposure's calendar time that the photons are of, which it must hold."""
    total, taken = merged_years(exposure.spans_met), merged_years(photons.spans_met)
    common = sum(
        max(min(z, w) - max(a, b), 0.0) for a, z in photons.spans_met for b, w in exposure.spans_met
    ) / (YEAR_S)
    if common < (1.0 - _SAME_TIME) * taken:
        raise InputError(
            f"{where}: covers {common:.3g} of the {taken:.3g} years of the photons; expected the "
            "exposure of all their good time intervals (GTI)"
        )
    if common >= (1.0 - _SAME_TIME) * total:
        return 1.0
    warnings.warn(
        f"{where}: is the exposure of {total:.3g} years, the photons (GTI) are of {taken:.3g}; "
        "it is scaled in proportion",
        UnekWarning,
        stacklevel=4,
    )
    return common / total


def _good_part(photons: Selection, exposure: Selection, where: str) -> float:
    """Good time of the photons for that of the exposure in like spans.

    A few percent are other cuts on the quality of the data, alike for all places. What cuts more
    chose its times by where the instrument looked, and no factor makes its exposure.
    """
    part = photons.good_part / exposure.good_part
    if not abs(part - 1.0) > _SAME_TIME:  # NaN where either is not known
        return 1.0
    told = (
        f"{where}: is made of good time intervals (GTI) that are {exposure.good_part:.1%} of its "
        f"time, those of the photons are {photons.good_part:.1%}"
    )
    if abs(part - 1.0) > _LIKE_ORBITS:
        raise InputError(f"{told}; expected the exposure of the photons' own intervals")
    warnings.warn(f"{told}; it is scaled in proportion", UnekWarning, stacklevel=4)
    return part


def _highest(span: Span | None) -> str:
    return "" if span is None else f"{span[1]:g}"
