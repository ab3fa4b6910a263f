"""How a search works, in numbers: studies pass others, analysts have no need to."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..sky.geometry.grid import GridConfig


@dataclass(frozen=True)
class RefineConfig:
    """How positions are fitted to the photons.

    Attributes
    ----------
    background_error : float
        Relative error of taking the background for flat. As in the weights of 4FGL's likelihood,
        photons count less the more of the background are under the PSF, where that error and not
        their number is the noise.
    photon_share : float
        Share of the photons' information that counts beside that of the network, which saw them
        too.
    doubt : float
        Errors grow as this power of one over the peak: where the network doubts, a fluctuation is
        likelier to have drawn the center off its source than errors tell. With it ellipses hold
        68% at every TS.
    margin_deg : float
        Photons count within the 68% containment radius of their bin's PSF and this much more.
    widest_deg : float
        Bins whose 68% containment radius is larger say too little of a place.

    Notes
    -----
    `studies/position_errors.py` prints what other values of the first three would do.
    """

    background_error: float = 0.06
    photon_share: float = 0.7
    doubt: float = 0.1
    margin_deg: float = 0.2
    widest_deg: float = 0.6


@dataclass(frozen=True)
class SearchConfig:
    """How patches are shown to the network and its mask is read.

    Attributes
    ----------
    centers : {"kmeans", "peaks"}
        How positions are made from the mask, see `centers.find_centers`.
    turns : tuple of int
        Orientations in which patches are shown: mirror columns (bit 0), rows (bit 1), exchange
        the two (bit 2).
    few_patches : int
        Grids of no more patches are shown in all orientations.
    batch : int
        Patches that go through the network together.
    device : {"cpu", "cuda"}
    scheduler : str or None
        Address of a dask scheduler whose workers run the network; None runs it here.
    grid : GridConfig or None
        Where the patches lie; None is `DENSE_GRID` for photons in layers, else the usual.
    refine : RefineConfig
    """

    centers: str = "kmeans"
    turns: tuple[int, ...] = (0, 3, 4, 7)
    few_patches: int = 100
    batch: int = 16
    device: str = "cpu"
    scheduler: str | None = None
    grid: GridConfig | None = None
    refine: RefineConfig = field(default_factory=RefineConfig)
