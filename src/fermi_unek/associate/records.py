"""What goes in and out of a search for counterparts, and the protocol of a service.

A new service is one class with a `name`, a `kind` and a `look_up`; everything else (who is
nearest, how probable, how often by chance) is measured here from what it hands over.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Literal, Protocol

import numpy as np

from ..errors import InputError
from ..sky.geometry.frame import lonlat_to_vectors

Kind = Literal["counterpart", "gamma"]
"""Whether objects compete for ASSOC1, or are gamma-ray sources seen before (ASSOC_4FGL ...)."""


class ServiceFailure(Exception):
    """A service did not answer, or not with anything that can be read; costs its column only."""


@dataclass(frozen=True)
class Places:
    """Where counterparts are sought; N may be 0.

    Attributes
    ----------
    ra_deg, dec_deg : float arrays (N,)
        ICRS degrees.
    semimajor95_deg, semiminor95_deg : float arrays (N,)
        Semi-axes of the 95% error ellipse, degrees, above 0; NaN where it is not known, and
        such places have no counterparts.
    angle_deg : float array (N,)
        Of the semimajor axis from celestial north through east.
    """

    ra_deg: np.ndarray
    dec_deg: np.ndarray
    semimajor95_deg: np.ndarray
    semiminor95_deg: np.ndarray
    angle_deg: np.ndarray

    def __post_init__(self) -> None:
        _check_lengths(self, "places")
        known = self.known
        if np.any(self.semimajor95_deg[known] < self.semiminor95_deg[known]) or np.any(
            self.semiminor95_deg[known] <= 0
        ):
            raise InputError("error ellipses need 0 < semiminor <= semimajor axis")

    def __len__(self) -> int:
        return len(self.ra_deg)

    @property
    def known(self) -> np.ndarray:
        """Bool array (N,): which have a position and an error ellipse."""
        axes = self.ra_deg, self.dec_deg, self.semimajor95_deg, self.semiminor95_deg, self.angle_deg
        return np.all(np.isfinite(axes), axis=0)

    @property
    def vectors(self) -> np.ndarray:
        """ICRS unit vectors (N, 3)."""
        return lonlat_to_vectors(self.ra_deg, self.dec_deg)

    def select(self, keep: np.ndarray) -> Places:
        """The places of a bool mask (N,) or of an index array."""
        return Places(*(getattr(self, field.name)[keep] for field in fields(self)))


@dataclass(frozen=True)
class Objects:
    """What a catalog lists; M may be 0.

    Attributes
    ----------
    name : str array (M,)
        As the catalog has it.
    ra_deg, dec_deg : float arrays (M,)
        ICRS degrees.
    error95_deg : float array (M,)
        Radius that holds the position (or the object itself, when it is extended) at 95%;
        0 where it does not matter beside the errors of gamma rays.
    class_ : str array (M,)
        In 4FGL's abbreviations, lower case; see `priors.FAMILIES`. Blank where not known.
    """

    name: np.ndarray
    ra_deg: np.ndarray
    dec_deg: np.ndarray
    error95_deg: np.ndarray
    class_: np.ndarray

    def __post_init__(self) -> None:
        _check_lengths(self, "objects")
        if not (np.all(np.isfinite(self.ra_deg)) and np.all(np.abs(self.dec_deg) <= 90)):
            raise InputError("objects have positions off the sky (not finite or |dec| above 90)")
        if not np.all(self.error95_deg >= 0):
            raise InputError("objects have position errors below 0 or not known")

    def __len__(self) -> int:
        return len(self.name)

    @classmethod
    def empty(cls) -> Objects:
        """The objects of an answer that holds none."""
        text, number = np.zeros(0, dtype="U1"), np.zeros(0)
        return cls(text, number, number, number, text)

    @classmethod
    def joined(cls, parts: Sequence[Objects]) -> Objects:
        """All objects of several answers, in their order."""
        if not parts:
            return cls.empty()
        return cls(*(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(cls)))

    @property
    def vectors(self) -> np.ndarray:
        """ICRS unit vectors (M, 3)."""
        return lonlat_to_vectors(self.ra_deg, self.dec_deg)

    def select(self, keep: np.ndarray) -> Objects:
        """The objects of a bool mask (M,) or of an index array."""
        return Objects(*(getattr(self, field.name)[keep] for field in fields(self)))


@dataclass(frozen=True)
class Surroundings:
    """What a service knows around some places.

    Attributes
    ----------
    objects : Objects
        All it lists within reach of any of the places; maybe more.
    reach_deg : float array (N,)
        Around each place, the radius within which nothing is missing.
    whole_sky : bool
        Whether `objects` is the whole catalog, so that mean densities can be taken from it.
    asked : str
        When the answer was given (ISO, UTC), the oldest where there were several; blank for
        a file.
    note : str
        What else the header should say, such as that an old answer had to do.
    """

    objects: Objects
    reach_deg: np.ndarray
    whole_sky: bool
    asked: str = ""
    note: str = ""


class Service(Protocol):
    """Something that lists objects on the sky.

    Attributes
    ----------
    name : str
        Of its columns (`Match_NAME`) and in the header: letters, digits and _.
    kind : {"counterpart", "gamma"}
        See `Kind`.
    """

    name: str
    kind: Kind

    def look_up(self, places: Places) -> Surroundings:
        """What is listed around the places.

        Parameters
        ----------
        places : Places
            N of them, all with an ellipse; N may be 0.

        Returns
        -------
        Surroundings

        Raises
        ------
        ServiceFailure
            When it cannot be had now; the run goes on without it.
        InputError
            When the user can mend it, such as a file that is not there.
        """
        ...


@dataclass(frozen=True)
class Answer:
    """What became of one service: its surroundings, or why there are none."""

    service: Service
    surroundings: Surroundings | None
    failure: str = ""


def _check_lengths(record: Places | Objects, what: str) -> None:
    shapes = {field.name: np.shape(getattr(record, field.name)) for field in fields(record)}
    if len(set(shapes.values())) > 1 or len(next(iter(shapes.values()))) != 1:
        raise InputError(f"{what} need arrays of one length, got {shapes}")
