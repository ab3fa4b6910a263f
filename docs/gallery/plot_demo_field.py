"""
Searching the demo field, and scoring it
========================================

The sample field has a known truth: every source that was simulated, with the test statistic
that an ideal likelihood would reach. Here is how a catalog is judged against it.
"""

# %%
# Photons, network, candidates
# ----------------------------
# The steps of `find_sources`, one by one, to keep the photons at hand for the picture.

import matplotlib.pyplot as plt
import numpy as np

from fermi_unek.evaluate import read_truth_table, score
from fermi_unek.pipeline import demo_sample, read_photons, search
from fermi_unek.report import describe_sky

cubes, truth_file = demo_sample()
sky = read_photons(cubes)
print(describe_sky(sky))
catalog = search(sky)

# %%
# Purity and completeness
# -----------------------
# Every rate with its binomial error and the rate that chance alone would give.

truth = read_truth_table(truth_file)
scores = score(catalog, truth)
for name, rate in scores.summary.items():
    print(f"{name:<50} {rate}")

# %%
# The field
# ---------
# Circles are candidates, sized by their 95% radius; crosses are true sources of ideal TS
# above 25, which a perfect likelihood analysis would find at about five sigma.

bright = truth[np.asarray(truth["Ideal_TS"]) > 25]
table = catalog.table
figure, axes = plt.subplots(figsize=(6.4, 6.6))
shown = axes.scatter(
    table["GLON"], table["GLAT"], s=30 + 4e3 * np.asarray(table["Conf_95_SemiMajor"]) ** 2,
    c=table["Probability"], cmap="viridis", vmin=0, vmax=1, edgecolor="black", linewidth=0.5,
)  # fmt: skip
axes.plot(bright["GLON"], bright["GLAT"], "x", color="C1", label="true, ideal TS > 25")
axes.set(xlabel="Galactic longitude, deg", ylabel="Galactic latitude, deg")
axes.invert_xaxis()
figure.colorbar(shown, ax=axes, label="Probability", shrink=0.8)
figure.legend(loc="outside lower center")
plt.show()
