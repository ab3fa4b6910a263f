"""The same photons, response and diffuse emission as a gammapy MapDataset, to go on with there."""

from __future__ import annotations

import astropy.units as u
import healpy as hp
import numpy as np
from gammapy.datasets import MapDataset
from gammapy.irf import EDispKernel, EDispKernelMap, PSFMap
from gammapy.maps import Map, MapAxis, RegionGeom, RegionNDMap, WcsGeom
from gammapy.modeling.models import FoVBackgroundModel

from ..diffuse.named import DiffuseModel
from ..irf.instrument import FINE_EDGES_MEV
from ..sky.geometry.frame import lonlat_to_vectors
from .background import DiffuseImages
from .response import Response

_PSF_RADIUS_DEG = 10.0
_MARGIN_DEG = 5.0


def map_dataset(
    response: Response,
    diffuse: DiffuseModel,
    centre: tuple[float, float],
    width_deg: float,
    *,
    pixel_deg: float = 0.1,
    name: str = "fermi",
) -> MapDataset:
    """A square field as a gammapy dataset with a background model.

    Parameters
    ----------
    response : Response
        With its channels, of which none is absent.
    diffuse : DiffuseModel
    centre : (lon, lat)
        Galactic degrees; the middle of a pixel.
    width_deg : float
    pixel_deg : float
    name : str

    Returns
    -------
    MapDataset
        Zenithal equal-area, the energy bins of the channels.
    """
    spans = [channel.energies_mev for channel in response.channels]
    reco = MapAxis.from_energy_edges([spans[0][0], *(high for _, high in spans)] * u.MeV)
    true = MapAxis.from_energy_edges(FINE_EDGES_MEV * u.MeV, name="energy_true")
    pixels = 2 * round(0.5 * width_deg / pixel_deg) + 1
    geom = WcsGeom.create(
        skydir=centre, npix=pixels, binsz=pixel_deg, proj="ZEA", frame="galactic", axes=[reco]
    )
    place = geom.to_image().get_coord(frame="galactic")
    vectors = lonlat_to_vectors(place.lon.to_value("deg"), place.lat.to_value("deg"))
    flat = vectors.reshape(-1, 3)
    middle = lonlat_to_vectors(np.asarray(centre[0]), np.asarray(centre[1]))
    exposures = np.array([component.exposure(flat) for component in response.components])
    exposure = Map.from_geom(
        geom.to_image().to_cube([true]),
        data=exposures.sum(axis=0).reshape(-1, *vectors.shape[:2]),
        unit="cm2 s",
    )
    shares = exposures.mean(axis=2)
    images = DiffuseImages(diffuse, response, middle, 0.75 * width_deg + _MARGIN_DEG)
    per_sr = [images.per_sr(c, flat).sum(axis=0) for c in range(reco.nbin)]
    area = geom.to_image().solid_angle().to_value("sr")
    background = np.array(per_sr).reshape(reco.nbin, *vectors.shape[:2]) * area
    dataset = MapDataset(
        counts=_counts(response, geom),
        exposure=exposure,
        psf=_psf(response, shares, true),
        edisp=_dispersion(response, shares, true, reco, exposure.geom),
        background=Map.from_geom(geom, data=background),
        name=name,
    )
    dataset.models = [FoVBackgroundModel(dataset_name=name)]
    return dataset


def _counts(response: Response, geom: WcsGeom) -> Map:
    counts = Map.from_geom(geom)
    for b, channel in enumerate(response.channels):
        of_bin = channel.counts
        lon, lat = hp.pix2ang(
            2**of_bin.order, of_bin.pixels.astype(np.int64), nest=True, lonlat=True
        )
        x, y = geom.to_image().coord_to_pix({"lon": lon * u.deg, "lat": lat * u.deg})
        column, row = np.round(x), np.round(y)
        height, width = geom.data_shape[1:]
        inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
        at = row[inside].astype(int), column[inside].astype(int)
        np.add.at(counts.data[b], at, of_bin.counts[inside])
    return counts


def _psf(response: Response, shares: np.ndarray, true: MapAxis) -> PSFMap:
    """PSF of all components together, in true energy."""
    edges = np.concatenate([[0.0], np.geomspace(0.003, _PSF_RADIUS_DEG, 150)])
    radius = MapAxis.from_edges(edges * u.deg, name="rad")
    angles = radius.center.to_value("deg")
    densities = [
        [component.tables.psf_per_sr(k, angles) for k in range(true.nbin)]
        for component in response.components
    ]
    weights = shares / shares.sum(axis=0)
    mean = np.einsum("ckr,ck->kr", np.array(densities), weights)
    geom = RegionGeom.create(region=None, axes=[radius, true])
    exposure = RegionNDMap.from_geom(
        geom.squash("rad"), data=shares.sum(axis=0)[:, None, None, None], unit="cm2 s"
    )
    psf = RegionNDMap.from_geom(geom, data=mean[..., None, None], unit="sr-1")
    return PSFMap(psf, exposure)


def _dispersion(
    response: Response, shares: np.ndarray, true: MapAxis, reco: MapAxis, geom: WcsGeom
) -> EDispKernelMap:
    weights = shares / shares.sum(axis=0)
    mean = sum(w[:, None] * f for w, f in zip(weights, response.fractions, strict=True))
    kernel = EDispKernel(axes=[true, reco], data=mean)
    return EDispKernelMap.from_edisp_kernel(kernel, geom=geom)
