"""`Binning`: the energy bins of a network and the pixels in which it looks at each."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..errors import InputError

_FINEST_TEMPLATE = 256, 64


@dataclass(frozen=True)
class Binning:
    """Energy bins and pixels; it travels in the header of a weights file.

    Attributes
    ----------
    edges_mev : tuple of float
        Edges of the bins, MeV, rising.
    pixels : tuple of int
        Pixels along the side of a patch per bin: the most, a half or a quarter of it.

    Raises
    ------
    InputError
        Edges that do not rise, or pixels that do not fit them or each other.
    """

    edges_mev: tuple[float, ...]
    pixels: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.edges_mev) != len(self.pixels) + 1 or np.any(np.diff(self.edges_mev) <= 0):
            raise InputError(
                f"{len(self.pixels)} energy bins between the edges {self.edges_mev} MeV: expected "
                "rising edges, one more than bins"
            )
        most = max(self.pixels)
        if most % 4 or not set(self.pixels) <= {most, most // 2, most // 4}:
            raise InputError(
                f"pixels {self.pixels} along the side of a patch: expected a multiple of four, its "
                "half or its quarter in each bin"
            )

    @property
    def n_bins(self) -> int:
        """Number of energy bins."""
        return len(self.pixels)

    @property
    def output_pixels(self) -> int:
        """Pixels along the side of the source mask."""
        return max(self.pixels)

    @property
    def blurred_pixels(self) -> tuple[int, ...]:
        """Pixels along the side of a patch of the layer of the wider PSF, half as many or so."""
        return tuple(max(n // 2, self.output_pixels // 4) for n in self.pixels)

    @property
    def orders(self) -> tuple[int, ...]:
        """HEALPIX order in which the counts of each bin are kept.

        About thirty HEALPIX pixels for one patch pixel, a tenth of the PSF or less.
        """
        return tuple(5 + int(np.log2(n)) for n in self.pixels)

    @property
    def template_nsides(self) -> tuple[int, ...]:
        """HEALPIX nside of the diffuse template per bin: a third of the FRONT PSF at low energy."""
        return tuple(min(4 * n, _FINEST_TEMPLATE[0]) for n in self.pixels)

    @property
    def template_pixels(self) -> tuple[int, ...]:
        """Pixels along the side of a template that was cut into a patch; never more than counts."""
        return tuple(min(n, _FINEST_TEMPLATE[1]) for n in self.pixels)

    def as_mapping(self) -> dict[str, Any]:
        """For the header of a weights file."""
        return asdict(self)

    @classmethod
    def from_mapping(cls, values: dict[str, Any]) -> Binning:
        """From the header of a weights file."""
        return cls(*(tuple(values[name]) for name in ("edges_mev", "pixels")))


BINNING = Binning((300.0, 500.0, 1e3, 2e3, 7e3, 2e4, 1e6), (32, 32, 64, 128, 128, 128))
"""That of the shipped networks: pixels of 0.31, 0.16 and 0.08 degrees."""

_LOWEST_MEV = (300.0, 500.0, 1e3, 2e3, 7e3, 2e4)


def by_energy(*values: float) -> tuple[float, ...]:
    """One value for each bin of `BINNING`, from those that suit bins from `_LOWEST_MEV` on.

    What follows the PSF, such as radii and the sizes of pixels, is said once for these energies;
    bins that begin elsewhere take what lies between, by the logarithm of the energy.
    """
    lowest = np.log(BINNING.edges_mev[:-1])
    return tuple(np.interp(lowest, np.log(_LOWEST_MEV), values).tolist())


def orders_by_energy(*values: int) -> tuple[int, ...]:
    """HEALPIX orders, as `by_energy`."""
    return tuple(int(round(value)) for value in by_energy(*values))
