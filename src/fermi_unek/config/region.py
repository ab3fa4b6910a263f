"""A circle on the sky, in any frame or about a source, as Galactic degrees."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, BeforeValidator

from .base import setting

if TYPE_CHECKING:
    from astropy.coordinates import SkyCoord

FRAMES = {"gal": "galactic", "galactic": "galactic", "icrs": "icrs", "fk5": "fk5", "fk4": "fk4"}
"""What may stand before the colon, and the astropy frame that it is."""

FORMS = "LON,LAT,RADIUS (Galactic degrees), icrs:RA,DEC,RADIUS, fk5:RA,DEC,RADIUS or NAME,RADIUS"

Circle = tuple[float, float, float]


def read_region(value: object) -> object:
    """The forms of a region that are no three numbers yet, as three numbers.

    Parameters
    ----------
    value : str, sequence or regions.CircleSkyRegion
        `FORMS` as text; (SkyCoord, radius) or (name, radius), the radius a Quantity or degrees;
        anything else is handed on as it is.

    Returns
    -------
    (float, float, float) or the value
        Galactic longitude, latitude and radius, degrees.

    Raises
    ------
    ValueError
        Text of another form, or a place that is none.
    InputError
        A name that no shipped catalog has.
    """
    if isinstance(value, str):
        return _from_text(value)
    if hasattr(value, "center") and hasattr(value, "radius"):
        return _around(value.center, value.radius)
    if isinstance(value, (tuple, list)):
        if len(value) == 2:
            center, radius = value
            return _around(_place_of(center) if isinstance(center, str) else center, radius)
        return [_degrees(number) for number in value]
    return value


def _from_text(text: str) -> Circle:
    from astropy.coordinates import SkyCoord

    prefix, colon, rest = text.partition(":")
    frame = FRAMES.get(prefix.strip().lower()) if colon else "galactic"
    parts = [part.strip() for part in (rest if colon and frame else text).split(",")]
    if not all(parts):
        raise ValueError(f"a part is missing, expected {FORMS}, without blanks")
    if len(parts) == 2 and not (colon and frame) and parts[0].strip("+-.0123456789"):
        return _around(_place_of(parts[0]), parts[1])
    if len(parts) != 3:
        count = f"{len(parts)} part{'s' if len(parts) > 1 else ''}"
        raise ValueError(f"has {count}, expected {FORMS}, without blanks")
    if frame is None:
        raise ValueError(f"{prefix!r} is no frame, expected one of {', '.join(FRAMES)}")
    # right ascensions with colons are hours by custom, with letters what these say
    hours = frame != "galactic" and (":" in parts[0] or " " in parts[0])
    try:
        place = SkyCoord(*parts[:2], unit=("hourangle" if hours else "deg", "deg"), frame=frame)
    except TypeError as error:  # a latitude such as 5S where the longitude stands
        raise ValueError(str(error)) from None
    return _around(place, parts[2])


def _place_of(name: str) -> SkyCoord:
    from ..catalog.names import position_of

    return position_of(name)


def _around(center: SkyCoord, radius: Any) -> Circle:
    from astropy.coordinates import Angle

    try:
        galactic, angle = center.galactic, Angle(radius, unit="deg")
        return float(galactic.l.deg), float(galactic.b.deg), float(angle.deg)
    except (AttributeError, TypeError) as error:
        raise ValueError(f"expected a SkyCoord and a radius ({error})") from None


def _degrees(number: Any) -> Any:
    return float(number.to_value("deg")) if hasattr(number, "to_value") else number


def _check_region(value: Circle) -> Circle:
    lon, lat, radius = value
    if not all(map(math.isfinite, value)):
        raise ValueError("expected finite numbers")
    if not -90.0 <= lat <= 90.0:
        raise ValueError(f"latitude {lat:g} lies outside -90 to 90 degrees")
    if not 0.0 < radius <= 180.0:
        raise ValueError(f"radius {radius:g} lies outside 0 to 180 degrees")
    return lon % 360.0, lat, radius


Region = Annotated[Circle, BeforeValidator(read_region), AfterValidator(_check_region)] | None
"""Galactic longitude, latitude and radius in degrees, or None."""


def region_setting() -> Any:
    """The field of a `Region`."""
    return setting(
        None,
        "Circle to work in, degrees: Galactic, or icrs:RA,DEC,RADIUS, fk5:RA,DEC,RADIUS, or about "
        "a source or counterpart of a 4FGL release by its name, such as SMC,5. Everything that is "
        "there unless given.",
        metavar="LON,LAT,RADIUS",
    )
