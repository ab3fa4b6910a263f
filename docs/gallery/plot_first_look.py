"""
A first look at a catalog
=========================

The sample field that ships with the package is searched, and the catalog is looked at as one
would look at any: the table, the probabilities, and what 4FGL has nearby.
"""

# %%
# Search
# ------
# The sample is a count cube of 20 x 20 degrees. `find_sources` takes any file that the
# command line takes.

import matplotlib.pyplot as plt
import numpy as np

from fermi_unek import find_sources
from fermi_unek.pipeline import demo_sample

cubes, truth_file = demo_sample()
catalog = find_sources(cubes)
print(f"{len(catalog)} sources")

# %%
# The table
# ---------
# An astropy table with the columns of 4FGL-DR3 and some of our own. Names of sources in a
# simulation mean nothing, and neither does the nearest source of 4FGL; on real data it does.

surest = catalog.table[np.argsort(-catalog.table["Probability"])[:8]]
surest["Source_Name", "GLON", "GLAT", "Conf_95_SemiMajor", "Probability"].pprint_all()

# %%
# What was not measured is NaN or blank, never zero: the network measures no flux.

print(surest["Signif_Avg", "Flux1000"][0])

# %%
# How sure
# --------
# Most candidates are either clear or close to the threshold, and the faint ones are worse placed.

probability = np.asarray(catalog.table["Probability"])
radius_deg = np.asarray(catalog.table["Conf_95_SemiMajor"])
edge = (np.asarray(catalog.table["Flags"]) & 16384) > 0

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.9))
left.hist(probability, bins=np.linspace(0.2, 1.0, 17))
left.set(xlabel="Probability", ylabel="candidates")
right.plot(probability[~edge], radius_deg[~edge], "o", ms=4, label="inside")
right.plot(probability[edge], radius_deg[edge], "s", ms=4, mfc="none", label="near the edge")
right.set(xlabel="Probability", ylabel="95% radius, deg", yscale="log")
right.legend()
plt.show()

# %%
# Where from
# ----------
# The header says how the catalog was made; it is written into the FITS file with it.

for key in ("setting threshold", "model model", "version fermi_unek"):
    print(key, "=", catalog.header[key])
