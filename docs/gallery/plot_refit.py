"""
Fluxes and spectra of what was found
====================================

A search says where sources are, a refit how bright: TS, fluxes, spectra and positions from the
likelihood of the photons. The photons are the simulated field that ships with the package, so that
the fluxes can be compared with the true ones.
"""

# %%
# Search and refit
# ----------------
# On the command line: ``fermi-unek find cube.fits -o found.fits --region 80,18,5 --threshold 0.5``
# and ``fermi-unek refit found.fits cube.fits -o refitted.fits --background own``. The field was
# simulated over the package's own diffuse model; real photons want ``--diffuse`` and ``--iso``.

import tempfile
import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord

from fermi_unek.catalog import write_catalog
from fermi_unek.config import FindConfig, RefitConfig
from fermi_unek.errors import UnekWarning
from fermi_unek.evaluate import read_truth_table
from fermi_unek.evaluate.match import match
from fermi_unek.measure import refit_catalog
from fermi_unek.pipeline import demo_sample, read_photons, search

warnings.simplefilter("ignore", UnekWarning)  # tells that "own" is not the model of the real sky
cubes, truth_file = demo_sample()
sky = read_photons(cubes)
found = search(sky, FindConfig(region=(80.0, 18.0, 5.0), threshold=0.5))
catalog = refit_catalog(found, sky, RefitConfig(background="own"))
columns = ["Source_Name", "TS", "Flux1000", "Unc_Flux1000", "PL_Index", "SpectrumType"]
shown = catalog.table[columns]
for name, form in zip(columns[1:5], (".1f", ".2e", ".1e", ".2f"), strict=True):
    shown[name].format = form
shown.pprint(max_lines=15)

# %%
# Against the truth
# -----------------
# Where the TS is below 25 the arrow is the 95% upper limit.

truth = read_truth_table(truth_file)
places = [
    np.asarray(table[name], float) for table in (truth, catalog.table) for name in ("GLON", "GLAT")
]
pairs = match(*places[:2], np.asarray(truth["Flux1000"], float), *places[2:])
true, rows = truth[pairs.truth], catalog.table[pairs.detection]
faint = np.asarray(rows["TS"]) < 25.0
figure, axes = plt.subplots(figsize=(6, 5))
axes.errorbar(
    true["Flux1000"][~faint], rows["Flux1000"][~faint], yerr=rows["Unc_Flux1000"][~faint], fmt="o"
)
limits = np.asarray(rows["Flux1000_UL95"][faint], float)
axes.errorbar(
    true["Flux1000"][faint], limits, yerr=0.2 * limits, uplims=True, fmt="none", ecolor="C1"
)
axes.axline((1e-10, 1e-10), (1e-9, 1e-9), color="0.6", lw=0.8)
axes.set(xscale="log", yscale="log", xlabel="true flux, 1-100 GeV, ph cm$^{-2}$ s$^{-1}$",
         ylabel="refitted flux")  # fmt: skip
plt.show()

# %%
# In gammapy
# ----------
# The file is read as the 4FGL is: spectra with errors, flux points, models to go on with.

from gammapy.catalog import SourceCatalog4FGL

path = Path(tempfile.mkdtemp()) / "refitted.fits"
write_catalog(catalog, path)
listed = SourceCatalog4FGL(path)
brightest = listed[str(catalog.table["Source_Name"][np.argmax(catalog.table["TS"])])]
print(brightest.spectral_model())
figure, axes = plt.subplots(figsize=(6, 4))
bounds = [300, 1e6] * u.MeV
brightest.spectral_model().plot(bounds, ax=axes, sed_type="e2dnde")
brightest.spectral_model().plot_error(bounds, ax=axes, sed_type="e2dnde")
brightest.flux_points.plot(ax=axes, sed_type="e2dnde")
plt.show()

# %%
# In fermipy
# ----------
# The same file is a catalog of fermipy's, and the model of a region; no Fermitools are needed for
# as much.

from fermipy.catalog import Catalog
from fermipy.roi_model import ROIModel

print(len(Catalog.create(str(path)).table), "rows")
centre = SkyCoord(80.0, 18.0, unit="deg", frame="galactic").icrs
model = ROIModel({"catalogs": [str(path)], "src_roiwidth": 10.0}, skydir=centre)
print(model[brightest.name])
