"""Hostile and damaged files, and outputs that cannot be written: one line, nothing else."""

from __future__ import annotations

import importlib.util
import json
import resource
import shutil
import struct
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from click.testing import CliRunner
from safetensors import safe_open
from safetensors.torch import save_file

from fermi_unek import find_sources
from fermi_unek.cli import main
from fermi_unek.config import TrainConfig, load_yaml
from fermi_unek.errors import ConfigError, InputError, OutputError
from fermi_unek.nets.weights import check_shipped, load_localizer
from fermi_unek.outputs import replacing, staging
from fermi_unek.sky.io.files import open_fits
from fermi_unek.sky.io.readers import read_sky
from fermi_unek.sky.io.skyfile import cut_region, write_sky

ROOT = Path(__file__).resolve().parents[1]
DEMO = ROOT / "src" / "fermi_unek" / "data" / "demo" / "counts.fits.gz"
WEIGHTS = DEMO.parents[1] / "models" / "localizer-v7.safetensors"


def _study(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "studies" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


mutate = _study("trust_mutate")
steady = _study("trust_steady")


@pytest.mark.parametrize("kind", sorted(mutate.KINDS))
def test_changed_bytes_are_refused_or_read_and_nothing_else(kind, shared_data_or_none, tmp_path):
    data = shared_data_or_none
    if mutate.KINDS[kind].public and data is None:
        pytest.skip("needs the public files of the Fermitools")
    found = mutate.try_kind(kind, data, tmp_path, runs=15, seconds=20.0, seed=1)
    assert dict(found.faults) == {}
    assert found.runs == found.refused + found.changed + found.same > 0
    assert found.refused > 0


@pytest.mark.parametrize("key", ["NAXIS", "TFIELDS", "BITPIX", "NAXIS2", "PCOUNT", "GCOUNT"])
@pytest.mark.parametrize("value", [2**31, 2**40, -1, -720, "deg"])  # -720 rows: back a block
def test_counts_in_a_header_that_no_file_has_are_refused_at_once(tmp_path, key, value):
    table = fits.BinTableHDU.from_columns([fits.Column("A", "J", array=np.arange(3))])
    path = tmp_path / "a.fits"
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(path)
    content = path.read_bytes()
    card = content.index(f"{key:8s}= ".encode(), 2880)
    changed = f"{key:8s}= {value!r:>20}".ljust(80).encode()
    path.write_bytes(content[:card] + changed + content[card + 80 :])
    start = time.monotonic()
    with pytest.raises(InputError, match="corrupt"), open_fits(path):
        pass
    assert time.monotonic() - start < 2.0


def test_dss_cuts_that_are_not_as_many_as_the_header_says_are_refused(tmp_path):
    with fits.open(DEMO) as hdus:
        header = next(hdu.header for hdu in hdus if hdu.header.get("NDSKEYS"))
        number, header["NDSKEYS"] = header["NDSKEYS"], 1099511627776
        hdus.writeto(tmp_path / "a.fits")
    with pytest.raises(InputError, match=f"says 1099511627776 DSS cuts, the header has {number}"):
        read_sky(tmp_path / "a.fits", rng=np.random.default_rng(0))


def _weights(path, **changes):
    """The shipped localizer with another header."""
    with safe_open(WEIGHTS, "pt") as source:
        tensors = {name: source.get_tensor(name) for name in source.keys()}  # noqa: SIM118
        metadata = source.metadata()
    metadata["shape"] = json.dumps(json.loads(metadata["shape"]) | changes)
    save_file(tensors, path, metadata)
    return path


def test_weights_whose_header_claims_more_than_the_file_has_take_no_memory(tmp_path):
    huge = _weights(tmp_path / "huge.safetensors", widths=[2**20] * 4)  # 10^13 weights
    with pytest.raises(InputError, match="not of the shape that its header tells"):
        load_localizer(huge)
    content = WEIGHTS.read_bytes()
    length = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + length])
    name = next(key for key in header if key != "__metadata__")
    header[name]["shape"] = [2**40]
    text = json.dumps(header).encode()
    path = tmp_path / "claims.safetensors"
    path.write_bytes(struct.pack("<Q", len(text)) + text + content[8 + length :])
    with pytest.raises(InputError, match="no weights file"):
        load_localizer(path)


def test_a_shipped_file_that_was_changed_is_refused():
    check_shipped(Path("mine.safetensors"), "0" * 64)  # an analyst's own is hers
    with pytest.raises(InputError, match="not the file that the package was released with"):
        check_shipped(WEIGHTS, "0" * 64)


@pytest.mark.parametrize("text", ["[" * 5000, "seed: 2020-99-99", "a: &a [*a]\nseed: *a"])
def test_yaml_that_is_deep_false_or_endless_is_one_line(tmp_path, text):
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_yaml(tmp_path / "a.yaml", TrainConfig)
    assert len(str(caught.value)) < 500


def test_a_disk_that_takes_no_more_is_one_line_and_leaves_nothing(tmp_path):
    # a limit on the size of files fails in the midst of writing, as a full disk does
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, limits[1]))
    try:
        done = CliRunner().invoke(main, ["bin", str(DEMO), "-o", str(tmp_path / "sky.fits")])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert done.exit_code == 2, done.stderr
    assert done.stderr.count("\n") == 1
    assert "sky.fits: cannot be written (" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("write", [replacing, staging])
def test_a_folder_that_is_removed_meanwhile_is_an_error_of_the_output(tmp_path, write):
    folder = tmp_path / "folder"
    folder.mkdir()

    def work():
        with write(folder / "name") as temporary:
            shutil.rmtree(folder)
            (temporary / "file" if write is staging else temporary).write_text("x")

    with pytest.raises(OutputError, match="cannot be written .No such file"):
        work()


def test_searches_at_once_find_what_one_finds(tmp_path):
    sky = read_sky(DEMO, rng=np.random.default_rng(0))
    write_sky(cut_region(sky, (80.0, 18.0, 2.0)), tmp_path / "a.fits")

    def search(_):
        return steady.catalog_digest(find_sources(tmp_path / "a.fits"))

    with ThreadPoolExecutor(2) as pool:
        assert set(pool.map(search, range(2))) == {search(0)}
