"""The gallery's figures in the style of the package's own."""

from __future__ import annotations

import matplotlib.pyplot as plt

from fermi_unek.plots import STYLE


def use(gallery_conf: dict[str, object], page: str) -> None:
    """Called by sphinx-gallery before each page, after it has reset matplotlib."""
    plt.style.use(STYLE)
