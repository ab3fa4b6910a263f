"""The worked examples of the documentation run from beginning to end."""

import runpy
from pathlib import Path

import matplotlib.pyplot as plt
import pytest
from fermitools_stub import without_fermitools
from gammapy.catalog import CATALOG_REGISTRY
from gammapy.estimators import ESTIMATOR_REGISTRY

pytestmark = pytest.mark.usefixtures("one_look")

GALLERY = Path(__file__).resolve().parents[2] / "docs" / "gallery"


@pytest.fixture
def registries():
    """gammapy's, as they were before the page registered our classes."""
    before = [(registry, list(registry)) for registry in (CATALOG_REGISTRY, ESTIMATOR_REGISTRY)]
    yield
    for registry, classes in before:
        registry[:] = classes


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("plot_fermipy_seed_step.py", "SpectrumType   : PowerLaw"),
        ("plot_gammapy_estimator.py", "Region: EllipseSkyRegion"),
        ("plot_refit.py", "SpectrumType   : PLSuperExpCutoff4"),
    ],
)
def test_a_worked_example_runs(script, said, registries, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with without_fermitools():
        runpy.run_path(str(GALLERY / script), run_name="__main__")
    assert plt.get_fignums()
    plt.close("all")
    assert said in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []  # what a page writes lies in a temporary folder
