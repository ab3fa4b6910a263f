"""A fit that is killed goes on where it stopped, and ends with what it would have ended with."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits
from measure_samples import PLACES, REGION, catalog_of, flat_sky, sky_model

from fermi_unek.catalog import read_catalog, write_catalog
from fermi_unek.config import RefitConfig
from fermi_unek.measure import command, kept, refit_to_file
from fermi_unek.measure.extent import ExtensionFit, Extent
from fermi_unek.measure.region import fit_region
from fermi_unek.measure.state import SourceState
from fermi_unek.simulate.ft1 import write_ft1
from fermi_unek.simulate.sky import simulate_photons

CONFIG = RefitConfig(localize=False, scatter=False)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A month of photons and a catalog whose sources lie in two regions or more."""
    folder = tmp_path_factory.mktemp("kept")
    rng = np.random.default_rng(5)
    write_ft1(simulate_photons(sky_model(), 0.1, rng, REGION), folder / "photons.fits", rng)
    write_catalog(catalog_of([*PLACES, (203.0, 54.5), (196.0, 46.0)]), folder / "catalog.fits")
    return folder


@pytest.fixture(autouse=True)
def flat(monkeypatch):
    monkeypatch.setattr(command, "find_diffuse", lambda *_: flat_sky())


def refit(files, output, config=CONFIG):
    return refit_to_file(files / "catalog.fits", [files / "photons.fits"], output, config)


def content(path):
    with fits.open(path) as hdus:
        return [b"" if hdu.data is None else hdu.data.tobytes() for hdu in hdus]


def settings(path):
    """What the header says of the refit; dates are no part of it."""
    return {k: v for k, v in read_catalog(path).header.items() if k.startswith("refit ")}


class Killed(BaseException):
    pass


def fits_until(number):
    """`fit_region` that is killed at the fit of some number; the list of regions that it fitted."""
    done = []

    def fit(task):
        if len(done) == number:
            raise Killed
        done.append(task.region.number)
        return fit_region(task)

    return fit, done


def test_a_rerun_fits_what_was_not_finished_and_writes_the_same(files, tmp_path, monkeypatch):
    refit(files, tmp_path / "undisturbed.fits")
    new = tmp_path / "new.fits"
    fit, first = fits_until(1)
    monkeypatch.setattr("fermi_unek.measure.region.fit_region", fit)
    with pytest.raises(Killed):
        refit(files, new)
    assert first == [1]
    assert not new.exists()
    fit, other = fits_until(-1)
    monkeypatch.setattr("fermi_unek.measure.region.fit_region", fit)
    refit(files, tmp_path / "new.fits")
    assert 1 not in other
    assert other
    assert content(new) == content(tmp_path / "undisturbed.fits")
    # two names, one header: it tells of files by their names alone
    assert settings(new) == settings(tmp_path / "undisturbed.fits")
    assert "refit input photons.fits" in settings(new)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new.fits", "undisturbed.fits"]


def test_other_settings_do_not_meet_old_results(files, tmp_path, monkeypatch):
    fit, _ = fits_until(1)
    monkeypatch.setattr("fermi_unek.measure.region.fit_region", fit)
    with pytest.raises(Killed):
        refit(files, tmp_path / "new.fits")
    fit, done = fits_until(-1)
    monkeypatch.setattr("fermi_unek.measure.region.fit_region", fit)
    refit(files, tmp_path / "new.fits", CONFIG.model_copy(update={"index_prior": 0.5}))
    assert 1 in done
    assert [path.name for path in tmp_path.iterdir()] == ["new.fits"]


def test_a_damaged_result_is_none(tmp_path):
    known = kept.KeptRegions(tmp_path / "x.fits", ["made of"])
    known.begin()
    (folder,) = tmp_path.iterdir()
    region = type("Region", (), {"number": 3})()
    assert known.load(region) is None
    for text in ("", '[{"kind": "SourceState"', '[{"kind": "Other"}]', '[{"kind": "SourceState"}]'):
        (folder / "3.json").write_text(text)
        assert known.load(region) is None


def test_results_keep_every_digit_and_their_kinds():
    values = [
        SourceState(1.0 / 3.0, -0.1, np.float64(1e-13), extent=Extent("Disk", 0.1 + 0.2)),
        {"Disk": ExtensionFit(None, np.nan, np.inf, 0.0, 2.0 / 3.0)},
        (np.array([[0.1, np.nan], [1e300, 5e-324]]), None, np.int64(3), True),
    ]
    back = kept.json.loads(kept.json.dumps(kept._plain(values)), object_hook=kept._thing)
    assert repr(back[0]) == repr(values[0]).replace("np.float64(1e-13)", "1e-13")
    assert repr(back[1]) == repr(values[1])
    np.testing.assert_array_equal(back[2][0], values[2][0])
    assert back[2][1:] == (None, 3, True)


def test_the_checksum_follows_the_content():
    arrays = [np.arange(6.0), np.arange(6.0).reshape(2, 3), np.arange(6)]
    keys = set()
    for made_of in (*arrays, [*arrays], {"a": 1}, {"a": 2}, "a", None, [["a"], "b"], ["a", ["b"]]):
        digest = kept.hashlib.blake2b()
        kept._feed(digest, made_of)
        keys.add(digest.hexdigest())
    assert len(keys) == 10
