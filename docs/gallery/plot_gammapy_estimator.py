"""
Find sources in a gammapy dataset
=================================

`UNEKSourceEstimator` does for a `MapDataset` of Fermi-LAT counts what a TS map and `find_peaks` do,
and its table becomes models. The counts are the simulated field that ships with the package.
"""

# %%
# The dataset
# -----------
# Any MapDataset will do whose counts are on a WCS map or in HEALPIX pixels: from
# ``FermipyDatasetsReader``, from a gtbin cube as here, from photons. Its energy axis need not be
# that of the network, it must only be finer. A mask of the dataset is obeyed.

import matplotlib.pyplot as plt
import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.table import Table
from gammapy.catalog import CATALOG_REGISTRY
from gammapy.datasets import MapDataset
from gammapy.estimators import ESTIMATOR_REGISTRY
from gammapy.maps import Map

from fermi_unek.pipeline import demo_sample
from fermi_unek.plugins.gammapy import SourceCatalogUNEK, register

cubes, truth = demo_sample()
centre = SkyCoord(80.0, 18.0, unit="deg", frame="galactic")
dataset = MapDataset(counts=Map.read(cubes[0]), name="sample").cutout(centre, 10 * u.deg)
print(dataset.counts.geom)

# %%
# The estimator
# -------------
# `register` lets gammapy find our classes by their tags; importing them does as well. A dataset
# does not say what its photons are: FRONT, for which the network is made, has to be told.

register()
estimator = ESTIMATOR_REGISTRY.get_cls("UNEKSourceEstimator")(threshold=0.5, evtype="front")
table = estimator.run(dataset)
print(table["value", "x", "y", "ra", "dec", "Source_Name", "Conf_95_SemiMajor"][:10])

# %%
# Against the truth of the simulation: sources whose ideal TS exceeds 25, which no method can do
# much better than find.

true = Table.read(truth, hdu=1)
bright = true[true["Ideal_TS"] > 25.0]
bright = bright[
    dataset.counts.geom.to_image().contains(
        SkyCoord(bright["GLON"], bright["GLAT"], unit="deg", frame="galactic")
    )
]
image = dataset.counts.slice_by_idx({"energy": slice(3, None)}).sum_over_axes(keepdims=False)
axis = image.smooth("0.15 deg").plot(stretch="sqrt", cmap="magma")
sky = axis.get_transform("galactic")
axis.scatter(bright["GLON"], bright["GLAT"], transform=sky, marker="o", fc="none", ec="cyan", s=60)
axis.scatter(table["GLON"], table["GLAT"], transform=sky, marker="x", c="lime", s=20, lw=0.8)
axis.set_title("crosses: found; circles: true sources with an ideal TS above 25")
plt.show()

# %%
# Models
# ------
# A search measures no flux. The models start at one power law for all, made to be fitted:
# `fermi-unek refit` does that, or gammapy's `Fit`.

models = table[:3].to_models()
print(models)

# %%
# A catalog
# ---------
# The same list as a record that can be written, and as a catalog of gammapy's kind.

catalog = SourceCatalogUNEK.from_catalog(estimator.search(dataset))
print(catalog, CATALOG_REGISTRY.get_cls("unek"))
source = catalog[str(table["Source_Name"][0])]
print(f"probability {source.probability:.3f}, fake: {source.is_fake}")
print({name: f"{value:.2f}" for name, value in source.class_probabilities.items()})
print(source.region)

# %%
# How far the ellipses reach, at 95%: half of the sources are located better than this.

radii = [one.region.height.to_value("deg") / 2 for one in catalog]
print(f"{np.median(radii) * u.deg:.3f}")
