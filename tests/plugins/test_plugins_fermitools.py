"""The seed step and exported models in a GTAnalysis with the real Fermitools.

Run by ``pytest -m fermitools`` where they are installed; skipped elsewhere.
"""

from __future__ import annotations

import gzip

import numpy as np
import pytest
import yaml
from astropy.coordinates import SkyCoord
from astropy.table import Table

from fermi_unek.catalog.export import export_file
from fermi_unek.plugins.fermipy import find_sources

pytestmark = pytest.mark.fermitools


@pytest.fixture(scope="module")
def field(shared_data, tmp_path_factory):
    """Photons, livetime and pointing of a simulated field, with a configuration without sources."""
    pytest.importorskip("pyLikelihood", reason="no Fermitools")
    folder = tmp_path_factory.mktemp("field")
    source = shared_data / "fermitools"
    for name in ("fit_photons", "fit_ltcube", "spacecraft"):
        (folder / f"{name}.fits").write_bytes(
            gzip.decompress((source / f"{name}.fits.gz").read_bytes())
        )
    config = yaml.safe_load((source / "fermipy.yaml").read_text())
    for key in ("evfile", "ltcube", "scfile"):
        config["data"][key] = str(folder / config["data"][key])
    for key in ("galdiff", "isodiff"):
        config["model"][key] = str(shared_data / config["model"][key])
    config["model"]["catalogs"] = []
    return folder, config


def analysis(field, name, **model):
    from fermipy.gtanalysis import GTAnalysis

    folder, config = field
    config = config | {
        "model": config["model"] | model,
        "fileio": {"outdir": str(folder / name)},
    }
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(config))
    return GTAnalysis(str(path))


def test_the_whole_chain_finds_the_bright_sources_and_its_catalog_is_a_model(
    field, shared_data, monkeypatch
):
    folder, _ = field
    monkeypatch.chdir(folder)
    gta = analysis(field, "seeds")
    gta.setup()
    gta.optimize()
    found = find_sources(gta, threshold=0.5)
    gta.optimize()
    gta.free_sources(distance=3.0)
    gta.fit()
    gta.write_roi("fit")
    truth = Table.read(shared_data / "fermitools" / "truth.ecsv")
    truth = truth[truth["inside"]]
    places = SkyCoord(truth["glon"], truth["glat"], unit="deg", frame="galactic")
    ours = SkyCoord([source.skydir for source in found["sources"]])
    nearest = places[:, None].separation(ours[None]).deg.min(axis=1)
    bright = np.argsort(truth["ideal_ts"])[-5:]
    assert np.all(nearest[bright] < 0.2)

    export_file(folder / "seeds" / "fermi_unek.fits", folder / "model.xml")
    again = analysis(field, "model", catalogs=[str(folder / "model.xml")])
    again.setup()  # gtsrcmaps takes every value and bound
    again.write_roi("start")
