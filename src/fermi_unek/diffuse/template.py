"""Where the diffuse emission comes from: its shape, and as an observation sees it, a template.

A template has no level of its own. It says how bright one place is beside another, which no
patch of ten degrees can tell from its photons alone where gas and sources are mixed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

import healpy as hp
import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from ..errors import InputError
from ..irf.instrument import FINE_ENERGIES_MEV, load_instrument, mean_psf
from ..irf.observation import Observation
from ..nets.weights import check_shipped
from ..outputs import replacing
from ..sky.binning import BINNING, Binning
from ..sky.geometry.frame import PatchFrame
from ..sky.maps import nested_vectors
from .model import DiffuseModel
from .structure import smear

_EXPOSURE_NSIDE = 32
_INDEX = 2.4
_SHAPES = Path(str(files("fermi_unek") / "data" / "templates"))


@dataclass(frozen=True)
class DiffuseShape:
    """Diffuse intensity in each energy bin, before any instrument.

    Attributes
    ----------
    galactic : tuple of arrays (12 nside_b**2,)
        ph cm-2 s-1 sr-1, NESTED Galactic, ``nside_b = binning.template_nsides[b]``.
    isotropic : mapping of str to tuple of float
        The isotropic part per bin, same unit, of each event type of `EVENT_TYPES`.
    psf_included : bool
        Whether the Galactic part has been blurred with the PSF of FRONT events.
    binning : Binning
    """

    galactic: tuple[np.ndarray, ...]
    isotropic: Mapping[str, tuple[float, ...]]
    psf_included: bool = False
    binning: Binning = BINNING


@dataclass(frozen=True)
class SkyTemplate:
    """Diffuse photons per sr, PSF included, in each bin; of any unit.

    Attributes
    ----------
    maps : tuple of arrays (12 nside**2,)
        NESTED Galactic, ``nside = binning.template_nsides[b]``; positive.
    binning : Binning

    Raises
    ------
    InputError
        When the maps have other sizes.
    """

    maps: tuple[np.ndarray, ...]
    binning: Binning = BINNING

    def __post_init__(self) -> None:
        shapes = tuple(plane.shape for plane in self.maps)
        expected = tuple((hp.nside2npix(nside),) for nside in self.binning.template_nsides)
        if shapes != expected:
            raise InputError(f"maps of a template have shapes {shapes}, expected {expected}")

    def cut(self, frame: PatchFrame) -> list[np.ndarray]:
        """The template in a patch, a float32 array (t_b, t_b) a bin: `Binning.template_pixels`."""
        planes = []
        shapes = zip(self.binning.template_pixels, self.binning.template_nsides, strict=True)
        for plane, (n, nside) in zip(self.maps, shapes, strict=True):
            pixels, weights = _interpolation(frame, n, nside)
            values = (plane[pixels].astype(np.float32) * weights).sum(axis=0)
            planes.append(values.reshape(n, n))
        return planes


@lru_cache(maxsize=8)
def _interpolation(frame: PatchFrame, n: int, nside: int) -> tuple[np.ndarray, np.ndarray]:
    """Map pixels (4, n*n) around each pixel of a patch and their weights; layers share them."""
    theta, phi = hp.vec2ang(frame.pixel_vectors(n).reshape(-1, 3))
    pixels, weights = hp.get_interp_weights(nside, theta, phi, nest=True)
    return pixels, weights.astype(np.float32)


def shape_of(
    model: DiffuseModel,
    isotropic: Mapping[str, tuple[float, ...]],
    binning: Binning = BINNING,
) -> DiffuseShape:
    """The shape of a diffuse model, with the isotropic part of each event type."""
    maps = model.galactic(np.array(binning.edges_mev))
    galactic = tuple(
        hp.ud_grade(plane, nside, order_in="NEST", order_out="NEST").astype(np.float32)
        for plane, nside in zip(maps, binning.template_nsides, strict=True)
    )
    return DiffuseShape(galactic, isotropic, model.psf_included, binning)


def expected_template(shape: DiffuseShape, observation: Observation) -> SkyTemplate:
    """What an observation sees of a diffuse shape: times its exposure, through its PSF and pixels.

    Each bin is brought to a mean of one, in half precision (one part in 2000).
    """
    front = load_instrument().front
    maps = []
    exposures = relative_exposures(observation, shape.binning.template_nsides)
    for b, galactic in enumerate(shape.galactic):
        seen = galactic.astype(np.float32) + shape.isotropic[observation.event_type][b]
        seen *= exposures[b]
        sharp = observation.event_type == "front" and not observation.pixels_deg[b]
        if not (sharp and shape.psf_included):
            before = [mean_psf(front, b)] if shape.psf_included else []
            seen = smear(seen[None], [observation.psf(b)], before)[0]
        maps.append((seen / seen.mean()).astype(np.float16))
    return SkyTemplate(tuple(maps), shape.binning)


def relative_exposures(observation: Observation, nsides: Sequence[int]) -> dict[int, np.ndarray]:
    """Exposure (12 nside**2,) in each energy bin, NESTED Galactic, over its mean."""
    coarse = np.zeros((len(nsides), hp.nside2npix(_EXPOSURE_NSIDE)))
    for part in observation.parts:
        exposure = part.exposure_at(nested_vectors(_EXPOSURE_NSIDE))
        for b, fractions in enumerate(part.bin_fractions.T):
            coarse[b] += (fractions * FINE_ENERGIES_MEV ** (1.0 - _INDEX)) @ exposure
    found: dict[int, np.ndarray] = {}
    for nside in set(nsides):  # bins of one size share the places
        bins = np.flatnonzero(np.equal(nsides, nside)).tolist()
        theta, phi = hp.pix2ang(nside, np.arange(12 * nside**2), nest=True)
        fine = hp.get_interp_val(coarse[bins], theta, phi, nest=True)
        for b, plane in zip(bins, fine, strict=True):
            found[b] = (plane / plane.mean()).astype(np.float32)
    return found


def save_shape(shape: DiffuseShape, path: str | Path) -> Path:
    """Write a shape, each bin in units of its Galactic mean and half precision."""
    means = [float(plane.mean()) for plane in shape.galactic]
    tensors = {
        f"galactic{b}": (plane / mean).astype(np.float16)
        for b, (plane, mean) in enumerate(zip(shape.galactic, means, strict=True))
    }
    isotropic = {
        name: (np.array(values) / means).tolist() for name, values in shape.isotropic.items()
    }
    header = {
        "isotropic": json.dumps(isotropic),
        "psf_included": json.dumps(shape.psf_included),
        "binning": json.dumps(shape.binning.as_mapping()),
    }
    with replacing(Path(path)) as temporary:
        Path(temporary).write_bytes(save(tensors, metadata=header))
    return Path(path)


@lru_cache(maxsize=2)
def load_shape(name_or_path: str | Path = "v07") -> DiffuseShape:
    """A shape that ships with the package, or one of a file of `save_shape`.

    Raises
    ------
    InputError
        There is none of that name, or the file holds none.
    """
    path = Path(name_or_path)
    if not path.is_file():
        path = _SHAPES / f"{name_or_path}.safetensors"
    if not path.is_file():
        known = sorted(found.stem for found in _SHAPES.glob("*.safetensors"))
        raise InputError(
            f"no diffuse shape {str(name_or_path)!r}: neither a file nor one of {known}"
        )
    check_shipped(path, hashlib.sha256(path.read_bytes()).hexdigest())
    try:
        with safe_open(path, framework="numpy") as source:
            header = source.metadata() or {}
            planes = tuple(source.get_tensor(key) for key in sorted(source.keys()))
        isotropic = {k: tuple(v) for k, v in json.loads(header["isotropic"]).items()}
        binning = Binning.from_mapping(json.loads(header["binning"]))
        return DiffuseShape(planes, isotropic, json.loads(header["psf_included"]), binning)
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: holds no shape of the diffuse emission: {error}") from error
