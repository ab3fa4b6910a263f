"""
The seed step of a fermipy analysis
===================================

A fermipy analysis adds what its catalog lacks with ``gta.find_sources()``: TS maps, again and
again. Here the network takes the place of that step; everything around it stays as it was.

Where the photons of the configuration (``events.lst``) are absent, as on the machine that built
this page, the count cubes that ``gta.setup()`` would have made are cut from the simulated field
that ships with the package, and nothing is selected, binned or fitted. Where the Fermitools are
absent, their nine compiled modules are stubs; fermipy's configuration, components, ROI model and
sources are real.
"""

# %%
# The configuration
# -----------------
# As ever, with a section of ours: any key of `fermi_unek.plugins.fermipy.SeedConfig`. Two
# components, FRONT and BACK, with pixels of their own.

import importlib.util
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import yaml
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS

CONFIG = """
data: {evfile: events.lst, scfile: spacecraft.fits}
binning: {roiwidth: 8.0, binsz: 0.1, binsperdec: 8, coordsys: GAL, proj: CAR, projtype: WCS}
selection: {emin: 300, emax: 1000000, zmax: 100, evclass: 128, tmin: 239557417, tmax: 555137417,
            glon: 82.0, glat: 18.0}
gtlike: {irfs: P8R3_SOURCE_V3}
components:
- {selection: {evtype: 1}, binning: {binsz: 0.1}}
- {selection: {evtype: 2}, binning: {binsz: 0.2}}
model:
  src_roiwidth: 10.0
  sources:
  - {name: Known, glon: 81.56, glat: 15.28, SpatialModel: PointSource, SpectrumType: PowerLaw}
fermi_unek:
  threshold: 0.5
"""

folder = Path(tempfile.mkdtemp())
config = yaml.safe_load(CONFIG) | {"fileio": {"outdir": str(folder)}}

# %%
# The analysis
# ------------
# `UNEKMixin` before `GTAnalysis`: the class takes the section, and its ``find_sources`` is ours.

if importlib.util.find_spec("pyLikelihood") is None:
    # sphinx-gallery runs this in its folder, without a __file__
    here = Path(globals().get("__file__", "plot_fermipy_seed_step.py")).resolve()
    tests = here.parents[2] / "tests" / "plugins"
    sys.path.insert(0, str(tests))
    from fermitools_stub import stub_fermitools

    stub_fermitools()

from fermipy.gtanalysis import GTAnalysis

from fermi_unek.plugins.fermipy import UNEKMixin


class Analysis(UNEKMixin, GTAnalysis):
    """fermipy, with the network as its seed step."""


gta = Analysis(config)

# %%
# With Fermitools and photons this is ``gta.setup()``, and ``gta.optimize()`` after it.

from fermi_unek.pipeline import demo_sample, read_photons
from fermi_unek.sky.io.writers import write_wcs_counts

if Path(config["data"]["evfile"]).is_file():
    gta.setup()
    gta.optimize()
else:
    sky = read_photons(demo_sample()[0])
    for component in gta.components:
        cube = Path(component.files["ccube"])
        shape = component.geom.to_image().data_shape
        wcs = WCS(component.geom.to_image().wcs.to_header())
        front = component.config["selection"]["evtype"] == 1
        photons = replace(sky, event_type="front" if front else "back")
        write_wcs_counts(photons, cube, wcs, shape, rng=np.random.default_rng(1))
        # where ``gta.setup()`` leaves the source maps
        fits.PrimaryHDU().writeto(component.files["srcmap"])

# %%
# The seed step
# -------------
# The same call and the same return as fermipy's own. The FRONT component is looked at, since it
# covers all energies and the network is made for FRONT events; ``evtype: all`` takes both. What the
# model explains is left out; where there is a likelihood each new source is fitted as fermipy does.

found = gta.find_sources()

print(f"{'name':<20}{'glon':>8}{'glat':>8}{'r95':>7}{'probability':>13}")
for peak in found["peaks"]:
    print(
        f"{peak['name']:<20}{peak['glon']:8.3f}{peak['glat']:8.3f}{peak['pos_r95']:7.3f}"
        f"{peak['probability']:13.3f}"
    )

# %%
# The new sources are members of the ROI model now, power laws with free norm and index:

print(gta.roi)
print(found["sources"][0])

# %%
# On the counts of the first component above 2 GeV: new sources with their 95% circles, and the
# one that the model held already.

from gammapy.maps import Map

counts = Map.read(gta.components[0].files["ccube"])
image = counts.slice_by_idx({"energy": slice(3, None)}).sum_over_axes(keepdims=False)
axis = image.smooth("0.1 deg").plot(stretch="sqrt", cmap="magma")
sky_frame = axis.get_transform("galactic")
for source in found["sources"]:
    place, r95 = (source["glon"], source["glat"]), source["pos_r95"]
    axis.add_patch(plt.Circle(place, r95, transform=sky_frame, fill=False, ec="lime"))
known = gta.roi["Known"].skydir.galactic
axis.scatter(known.l, known.b, transform=sky_frame, marker="+", c="k")
axis.set_title("circles: new sources, 95%; cross: in the model before")
plt.show()

# %%
# The rest of the analysis
# ------------------------
# Goes on as it would have: ``gta.optimize()``, since the new sources change what those around them
# have, then ``gta.free_sources(distance=3.0)``, ``gta.fit()``, ``gta.write_roi("fit")``.
#
# A catalog as the model
# ----------------------
# The whole list, also what the model knew, lies in the working directory as a catalog. It, or one
# that ``fermi-unek find`` wrote, can be the model of another analysis: ``fermi-unek export`` writes
# the file to name under ``catalogs:``.

from fermipy.roi_model import ROIModel

from fermi_unek.catalog.export import export_file

print(export_file(folder / "fermi_unek.fits", folder / "model.xml"))
center = SkyCoord(82.0, 18.0, unit="deg", frame="galactic").icrs
model = ROIModel({"catalogs": [str(folder / "model.xml")], "src_roiwidth": 10.0}, skydir=center)
print(model)
