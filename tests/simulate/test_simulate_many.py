"""`simulate_skies`: one seed, one sky, whatever the number of workers."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from simulate_samples import put_in_place_of_any_sky, small_model

from fermi_unek.config import SimulateConfig
from fermi_unek.errors import OutputError
from fermi_unek.simulate import many
from fermi_unek.simulate.many import simulate_skies

REGION = (80.0, 25.0, 1.5)


def config(**changes) -> SimulateConfig:
    values = {"years": 1.0, "seed": 5, "region": REGION, "background": "own"}
    return SimulateConfig(**(values | changes))


@pytest.fixture
def quick(monkeypatch):
    put_in_place_of_any_sky(monkeypatch, small_model())


def test_skies_made_by_two_workers_are_those_made_alone(quick, tmp_path):
    from distributed import LocalCluster

    alone = simulate_skies(config(skies=2), tmp_path / "alone")
    # workers that are threads of this process know what the fixture replaced
    with LocalCluster(n_workers=2, processes=False, dashboard_address=":0") as cluster:
        address = cluster.scheduler_address
        both = simulate_skies(config(skies=2, scheduler=address), tmp_path / "both")
        single = simulate_skies(config(seed=6, scheduler=address), tmp_path / "single")
    assert [path.name for path in both] == [path.name for path in alone]
    for one, other in zip(alone, both, strict=True):
        np.testing.assert_array_equal(fits.getdata(other, 1), fits.getdata(one, 1))
    assert single[0].parent == tmp_path / "single"
    np.testing.assert_array_equal(fits.getdata(single[0], 1), fits.getdata(both[len(both) // 2], 1))
    first, second = (fits.getdata(both[at], 1)["CHANNEL1"] for at in (0, len(both) // 2))
    assert np.any(first != second)


def die_in_the_middle(grave: Path) -> None:
    """Let the first of these processes that writes a sky die when half of it is written."""
    from fermi_unek.simulate import command

    put_in_place_of_any_sky(pytest.MonkeyPatch(), small_model())  # this process ends with the test
    write = command.write_sky_files

    def write_or_die(sky_config, draw, folder):
        if not grave.exists():
            grave.touch()
            (folder / "counts_bin0.fits").write_text("half")
            os._exit(1)
        return write(sky_config, draw, folder)

    command.write_sky_files = write_or_die


def test_skies_are_the_same_when_a_worker_of_the_cluster_dies(quick, tmp_path):
    """On two processes."""
    from distributed import Client, LocalCluster

    two = config(skies=2)
    alone = simulate_skies(two, tmp_path / "alone")
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster,
        Client(cluster) as client,
    ):
        client.run(die_in_the_middle, tmp_path / "grave")
        both = simulate_skies(
            two.model_copy(update={"scheduler": cluster.scheduler_address}), tmp_path / "both"
        )
    assert (tmp_path / "grave").exists()
    assert not list((tmp_path / "both").glob(".*.part"))
    for one, other in zip(alone, both, strict=True):
        assert other.relative_to(tmp_path / "both") == one.relative_to(tmp_path / "alone")
        np.testing.assert_array_equal(fits.getdata(other, 1), fits.getdata(one, 1))


def test_several_skies_lie_in_folders_named_by_their_seeds(quick, tmp_path):
    files = simulate_skies(config(skies=2), tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["sky00005", "sky00006"]
    assert all(path.is_file() for path in files)
    header = fits.getheader(tmp_path / "out" / "sky00006" / "truth.fits", 1)
    assert header["SEED"] == 6


def test_one_sky_lies_in_the_folder_itself(quick, tmp_path):
    files = simulate_skies(config(), tmp_path / "out")
    assert {path.parent for path in files} == {tmp_path / "out"}


def test_a_sky_that_exists_is_refused_before_any_is_made(quick, tmp_path):
    precious = tmp_path / "out" / "sky00006" / "truth.fits"
    precious.parent.mkdir(parents=True)
    precious.touch()
    with pytest.raises(OutputError, match="exists already"):
        simulate_skies(config(skies=2), tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["sky00006"]
    simulate_skies(config(skies=2), tmp_path / "out", overwrite=True)
    assert precious.stat().st_size > 0


def test_what_a_process_that_died_has_begun_is_swept_away(quick, tmp_path, monkeypatch):
    left = tmp_path / "out" / ".sky00005.abc.part"
    left.mkdir(parents=True)
    (left / "counts.fits").touch()
    simulate_skies(config(skies=2), tmp_path / "out")
    assert not left.exists()


def test_files_are_named_so_that_workers_find_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tasks = many._tasks(config(exposure="expcube.fits", skies=2), tmp_path / "out")
    assert {one.exposure for one, _ in tasks} == {tmp_path / "expcube.fits"}
    assert [one.seed for one, _ in tasks] == [5, 6]
