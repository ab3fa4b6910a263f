"""Valid files of every kind that the program reads, with bytes changed, read in one process.

Each changed file must be refused with a `UnekError` or give a result: no other exception, nothing
that takes 20 seconds of the processor, nothing that takes 4 GB more (nor is refused for want of
memory after a second in which it filled them). A result that is the same
although the value of a keyword that it is made of was changed is told as `unseen`, with the
keyword.

    python studies/trust_mutate.py [--data ../shared/data] [--runs 1000 | --seconds 60] [--seed 0]
                                   [--kinds ccube healpix ...] [--keep FOLDER]

`--keep` saves the files that were faults or took more than 3 seconds.

Kinds that need public files of the Fermitools are left out where `--data` is absent.
"""

from __future__ import annotations

import argparse
import dataclasses
import gzip
import hashlib
import logging
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.table import Table

from fermi_unek.associate.local import read_table
from fermi_unek.associate.tables import objects_of
from fermi_unek.catalog.io import read_catalog
from fermi_unek.catalog.releases import load_release
from fermi_unek.config import TrainConfig, load_yaml
from fermi_unek.diffuse.files import read_isotropic, read_mapcube
from fermi_unek.errors import UnekError
from fermi_unek.evaluate.files import read_truth_table
from fermi_unek.irf.exposure import read_exposure
from fermi_unek.irf.livetime import read_livetime
from fermi_unek.irf.psf import read_psf
from fermi_unek.nets.classifier_weights import load_classifier
from fermi_unek.nets.weights import load_localizer
from fermi_unek.pipeline import describe
from fermi_unek.simulate.userlist import read_user_list
from fermi_unek.sky.counts import SkyCounts
from fermi_unek.sky.io.files import resolve_inputs
from fermi_unek.sky.io.readers import read_sky
from fermi_unek.sky.io.skyfile import write_sky

ROOT = Path(__file__).resolve().parents[1]
SHIPPED = ROOT / "src" / "fermi_unek" / "data"
LONGEST_S = 20
FILLED_S = 1.0  # a size that is only declared is refused sooner
SLOW_S = 3
MOST_BYTES = 4 * 2**30
CARD, BLOCK = 80, 2880

JUDGED = {
    "photons": ("NAXIS1", "NAXIS2", "TFORM", "TTYPE", "DSVAL", "DSTYP", "DSUNI"),
    "ccube": ("NAXIS", "BITPIX", "CRVAL", "CRPIX", "CDELT", "CTYPE", "TUNIT", "TTYPE"),
    "healpix": ("NAXIS1", "NAXIS2", "TFORM", "ORDERING", "COORDSYS", "NSIDE", "INDXSCHM"),
    "exposure": ("NAXIS", "BITPIX", "CRVAL", "CRPIX", "CDELT", "CTYPE", "BUNIT"),
    "psf": ("NAXIS1", "NAXIS2", "TFORM", "TUNIT", "TTYPE"),
    "livetime": ("NAXIS1", "NAXIS2", "TFORM", "TUNIT", "TTYPE"),
    "mapcube": ("NAXIS", "BITPIX", "CRVAL", "CRPIX", "CDELT", "CTYPE", "BUNIT"),
}
"""Keywords by kind, by how they begin, that the result is made of."""

HOSTILE = (
    "0",
    "-1",
    "1",
    "2147483648",
    "1099511627776",
    "1E308",
    "NaN",
    "T",
    "''",
    "'deg'",
    "''''",
)

XML = """<?xml version="1.0" ?>
<source_library title="source library">
<source name="A" type="PointSource"><spectrum type="PowerLaw">
<parameter free="1" max="1000" min="0.001" name="Prefactor" scale="1e-12" value="3.5"/>
<parameter free="1" max="5" min="0" name="Index" scale="-1" value="2.2"/>
<parameter free="0" max="1e6" min="10" name="Scale" scale="1" value="1000"/></spectrum>
<spatialModel type="SkyDirFunction"><parameter free="0" max="360" min="-360" name="RA" scale="1"
value="83.6"/><parameter free="0" max="90" min="-90" name="DEC" scale="1" value="22.0"/>
</spatialModel></source>
<source name="B" type="PointSource"><spectrum type="LogParabola">
<parameter free="1" max="1000" min="0.001" name="norm" scale="1e-12" value="3.5"/>
<parameter free="1" max="5" min="0" name="alpha" scale="1" value="2.2"/>
<parameter free="1" max="5" min="0" name="beta" scale="1" value="0.1"/>
<parameter free="0" max="1e6" min="10" name="Eb" scale="1" value="1000"/></spectrum>
<spatialModel type="SkyDirFunction"><parameter free="0" max="360" min="-360" name="RA" scale="1"
value="84.6"/><parameter free="0" max="90" min="-90" name="DEC" scale="1" value="21.0"/>
</spatialModel></source>
</source_library>
"""
MODELS = """components:
- name: A
  type: SkyModel
  spectral:
    type: PowerLawSpectralModel
    parameters:
    - {name: index, value: 2.2}
    - {name: amplitude, value: 1.0e-12, unit: cm-2 s-1 MeV-1}
    - {name: reference, value: 1.0, unit: GeV}
  spatial:
    type: PointSpatialModel
    frame: icrs
    parameters:
    - {name: lon_0, value: 83.6, unit: deg}
    - {name: lat_0, value: 22.0, unit: deg}
"""
TRAINING = "seed: 3\nsteps: 100\nbatch: 8\nlr: 0.001\nout: somewhere\nwidths: [8, 8, 16, 16]\n"
CSV = "name,ra,dec,class\nA,83.6,22.0,psr\nB,84.6,21.0,bll\nC,85.6,20.0,fsrq\n"
ISOTROPIC = "".join(f"{10**x:.6e} {1e-7 * 10 ** (-2.4 * (x - 2)):.6e} 1e-12\n" for x in range(2, 7))
VOTABLE = """<?xml version="1.0"?><VOTABLE version="1.3" xmlns="http://www.ivoa.net/xml/VOTable/v1.3">
<RESOURCE><TABLE><FIELD name="name" datatype="char" arraysize="*"/>
<FIELD name="ra" datatype="double" unit="deg"/><FIELD name="dec" datatype="double" unit="deg"/>
<DATA><TABLEDATA><TR><TD>A</TD><TD>83.6</TD><TD>22.0</TD></TR>
<TR><TD>B</TD><TD>84.6</TD><TD>21.0</TD></TR></TABLEDATA></DATA></TABLE></RESOURCE></VOTABLE>
"""


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of file.

    Attributes
    ----------
    name : str
        Name of the file, whose suffix counts.
    content : callable
        Makes the bytes of a valid file out of the folder of public data.
    read : callable
        What the program reads of it.
    public : bool
        Whether `content` needs the public data.
    """

    name: str
    content: Callable[[Path], bytes]
    read: Callable[[Path], Any]
    public: bool = False


def _counts(path: Path) -> Any:
    return read_sky(path, rng=np.random.default_rng(0), yearly=None)


def _fits_bytes(hdus: list[Any]) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        fits.HDUList(hdus).writeto(Path(folder) / "file.fits", output_verify="ignore")
        return (Path(folder) / "file.fits").read_bytes()


def _plain(path: Path) -> bytes:
    content = path.read_bytes()
    return gzip.decompress(content) if path.suffix == ".gz" else content


def _first_rows(path: Path, name: str, rows: int) -> bytes:
    """A FITS file with some rows of one of its tables."""
    with fits.open(path) as hdus:
        index = hdus.index_of(name)
        cut = fits.BinTableHDU(hdus[index].data[:rows], hdus[index].header)
        return _fits_bytes([*hdus[:index], cut, *hdus[index + 1 :]])


def _few_pixels(path: Path, most: int = 24) -> bytes:
    """A cube or map with its first rows and columns: faster to read."""
    with fits.open(path) as hdus:
        cut = fits.PrimaryHDU(hdus[0].data[..., :most, :most], hdus[0].header)
        return _fits_bytes([cut, *hdus[1:]])


def _release(_: Path) -> bytes:
    return _first_rows(SHIPPED / "catalogs" / "4FGL-DR3.fits.gz", "LAT_Point_Source_Catalog", 60)


def _mapcube(_: Path) -> bytes:
    energies = np.geomspace(50.0, 1e6, 4)
    shape = np.random.default_rng(0).uniform(1.0, 2.0, (13, 24))
    planes = 1e-8 * (energies / 1e3)[:, None, None] ** -2.4 * shape
    image = fits.PrimaryHDU(planes.astype(np.float32))
    image.header.update(
        CTYPE1="GLON-CAR", CTYPE2="GLAT-CAR", CRPIX1=12.5, CRPIX2=7.0, CRVAL1=0.0, CRVAL2=0.0,
        CDELT1=-15.0, CDELT2=15.0, CUNIT1="deg", CUNIT2="deg", BUNIT="ph/cm2/s/sr/MeV",
    )  # fmt: skip
    table = fits.BinTableHDU(Table({"Energy": energies}, units={"Energy": "MeV"}), name="ENERGIES")
    return _fits_bytes([image, table])


def _binned(_: Path) -> bytes:
    demo = SHIPPED / "demo" / "counts.fits.gz"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sky.fits"
        rng = np.random.default_rng(0)
        write_sky(read_sky(demo, rng=rng, region=(80.0, 18.0, 2.0)), path)
        return path.read_bytes()


def _text(content: str) -> Callable[[Path], bytes]:
    return lambda _: content.encode()


def _of_fermitools(name: str) -> Callable[[Path], bytes]:
    return lambda data: _plain(data / "fermitools" / f"{name}.fits.gz")


def _of_package(*parts: str) -> Callable[[Path], bytes]:
    return lambda _: SHIPPED.joinpath(*parts).read_bytes()


KINDS = {
    "photons": Kind(
        "ft1.fits",
        lambda data: _first_rows(data / "fermitools" / "photons_week1.fits.gz", "EVENTS", 300),
        _counts,
        public=True,
    ),
    "ccube": Kind(
        "ccube.fits",
        lambda data: _few_pixels(data / "fermitools" / "ccube_tan_cel.fits.gz"),
        _counts,
        public=True,
    ),
    "healpix": Kind("hpx.fits", _of_fermitools("hpx_cut_bin3"), _counts, public=True),
    "exposure": Kind(
        "exp.fits",
        lambda data: _few_pixels(data / "fermitools" / "exp_z100_front_car.fits.gz"),
        read_exposure,
        public=True,
    ),
    "exposure_hpx": Kind(
        "exph.fits", _of_fermitools("exp_z100_front_hpx"), read_exposure, public=True
    ),
    "livetime": Kind("lt.fits", _of_fermitools("fit_ltcube"), read_livetime, public=True),
    "psf": Kind("psf.fits", _of_fermitools("psf_z100_front"), read_psf, public=True),
    "demo_cube": Kind(
        "demo.fits", lambda _: _few_pixels(SHIPPED / "demo" / "counts.fits.gz"), _counts
    ),
    "gzipped": Kind("hpx.fits.gz", _of_package("demo", "counts.fits.gz"), _counts),
    "binned": Kind("sky.fits", _binned, _counts),
    "catalog": Kind(
        "catalog.fits",
        lambda _: next((ROOT / "catalogs" / "smc").glob("*.fits")).read_bytes(),
        read_catalog,
    ),
    "truth": Kind(
        "truth.fits",
        lambda _: _first_rows(SHIPPED / "demo" / "truth.fits", "TRUTH", 50),
        read_truth_table,
    ),
    "release": Kind("psc.fits", _release, load_release),
    "population": Kind("list.fits", _release, read_user_list),
    "counterparts": Kind("cat.fits", _release, lambda path: objects_of(read_table(path), "cat")),
    "mapcube": Kind("iem.fits", _mapcube, lambda path: read_mapcube(path, nside=16)),
    "isotropic": Kind("iso.txt", _text(ISOTROPIC), read_isotropic),
    "xml": Kind("list.xml", _text(XML), read_user_list),
    "yaml_models": Kind("models.yaml", _text(MODELS), read_user_list),
    "yaml_training": Kind("train.yaml", _text(TRAINING), lambda p: load_yaml(p, TrainConfig)),
    "at_list": Kind(
        "names.txt", _text("names.txt\n# no\n"), lambda path: resolve_inputs(f"@{path}")
    ),
    "csv": Kind("table.csv", _text(CSV), lambda path: objects_of(read_table(path), "table")),
    "votable": Kind("table.vot", _text(VOTABLE), lambda path: objects_of(read_table(path), "vot")),
    "localizer": Kind(
        "net.safetensors", _of_package("models", "localizer-v7.safetensors"), load_localizer
    ),
    "classifier": Kind(
        "cls.safetensors", _of_package("models", "classifier-v5.safetensors"), load_classifier
    ),
    "info": Kind("what.fits", lambda _: _release(_), lambda path: describe(str(path))),
}


class TookTooLong(BaseException):
    """A reader was still at it after `LONGEST_S` of the processor (others may be busy with it)."""


def digest(result: Any) -> str:
    """Digest of what a result holds, without names and checksums of files."""
    hasher = hashlib.blake2b()  # twice as fast as SHA-256
    _feed(hasher, result)
    return hasher.hexdigest()


def _feed(hasher: Any, value: Any) -> None:
    if isinstance(value, np.ndarray) and value.dtype.kind != "O":
        hasher.update(str((value.dtype, value.shape)).encode() + np.ascontiguousarray(value).data)
    elif isinstance(value, Table):
        for name in value.colnames:
            hasher.update(f"{name} {value[name].unit}".encode())
            _feed(hasher, np.asarray(value[name]))
    elif hasattr(value, "state_dict"):
        _feed(hasher, {name: tensor.numpy() for name, tensor in value.state_dict().items()})
    elif dataclasses.is_dataclass(value):
        left_out = {"origin"} if isinstance(value, SkyCounts) else set()
        for field in dataclasses.fields(value):
            if field.name not in left_out:
                _feed(hasher, getattr(value, field.name))
    elif isinstance(value, Mapping):
        for key, held in value.items():
            if key != "sha256":
                hasher.update(str(key).encode())
                _feed(hasher, held)
    elif isinstance(value, tuple | list):
        for held in value:
            _feed(hasher, held)
    elif not isinstance(value, Path):
        hasher.update(repr(value).encode())


@dataclasses.dataclass
class Outcome:
    """What came of the changed files of a kind."""

    runs: int = 0
    refused: int = 0
    changed: int = 0
    same: int = 0
    faults: Counter[str] = dataclasses.field(default_factory=Counter)
    unseen: Counter[str] = dataclasses.field(default_factory=Counter)
    slowest_s: float = 0.0


def header_cards(content: bytes) -> list[int]:
    """Where the cards of a FITS file's headers begin that have a value."""
    places, block = [], 0
    while block < len(content):
        if content[block : block + 6] == b"SIMPLE" or content[block : block + 8] == b"XTENSION":
            card = block
            while card < len(content) and content[card : card + 8] != b"END     ":
                if content[card + 8 : card + 10] == b"= ":
                    places.append(card)
                card += CARD
            block = card // BLOCK * BLOCK
        block += BLOCK
    return places


def mutations(
    content: bytes, rng: np.random.Generator, cards: list[int]
) -> Iterator[tuple[str, bytes]]:
    """Without end: the keyword whose value was changed, or blank, and the changed bytes."""
    head = min(len(content), 8 + int.from_bytes(content[:8], "little"))
    weights_file = content[8:9] == b"{"
    while True:
        changed, keyword = bytearray(content), ""
        how = rng.integers(10)
        if cards and how < 6:
            card = cards[rng.integers(len(cards))]
            keyword = content[card : card + 8].decode("ascii").strip()
            if how < 2:
                changed[card + 10 : card + CARD] = (
                    HOSTILE[rng.integers(len(HOSTILE))].rjust(20).ljust(CARD - 10).encode()
                )
            elif how < 5:
                value = content[card + 10 : card + CARD].split(b" / ")[0]
                inside = [i for i, byte in enumerate(value) if byte not in b" '"] or [0]
                place = card + 10 + int(rng.choice(inside))
                digit = 48 <= changed[place] < 58
                changed[place] = rng.integers(48, 58) if digit else rng.integers(32, 127)
            else:
                changed[card + rng.integers(CARD)] = rng.integers(256)
                keyword = ""
        elif how == 9:
            cut = int(rng.integers(len(content)))
            changed = changed[:cut] if rng.random() < 0.5 else changed[:cut] + changed[cut // 2 :]
        else:
            end = head if weights_file and how < 7 else len(content)
            for _ in range(rng.integers(1, 5)):
                changed[rng.integers(end)] = rng.integers(256)
        if changed != content:
            yield keyword, bytes(changed)


def _too_long(number: int, frame: object) -> None:
    raise TookTooLong


def where(error: BaseException) -> str:
    """Kind of an exception and the innermost line of the package that it went through."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "fermi_unek/" in frame.filename]
    last = (ours or frames)[-1]
    name = last.filename.rpartition("fermi_unek/")[2]
    return f"{type(error).__name__} at {name}:{last.lineno} ({' '.join(str(error).split())[:70]})"


def try_kind(
    kind_name: str,
    data: Path,
    folder: Path,
    *,
    runs: int,
    seconds: float,
    seed: int,
    keep: Path | None = None,
) -> Outcome:
    """Read changed files of a kind until either limit is reached."""
    kind, outcome = KINDS[kind_name], Outcome()
    content = kind.content(data)
    path = folder / kind.name
    path.write_bytes(content)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        valid = digest(kind.read(path))
        before = signal.signal(signal.SIGPROF, _too_long)
        rng = np.random.default_rng([seed, sorted(KINDS).index(kind_name)])
        cards = header_cards(content)
        end = time.monotonic() + seconds
        for keyword, changed in mutations(content, rng, cards):
            if outcome.runs == runs or time.monotonic() > end:
                break
            path.unlink()
            path.write_bytes(changed)
            outcome.runs += 1
            start, faults = time.process_time(), outcome.faults.total()
            try:
                signal.setitimer(signal.ITIMER_PROF, LONGEST_S)
                found = digest(kind.read(path))
                signal.setitimer(signal.ITIMER_PROF, 0)
            except UnekError as error:
                outcome.refused += 1
                if (
                    isinstance(error.__cause__, MemoryError)
                    and time.process_time() - start > FILLED_S
                ):
                    outcome.faults["filled the memory: " + where(error)] += 1
                if "\n" in str(error).strip():
                    outcome.faults["more than a line: " + where(error)] += 1
            except (Exception, TookTooLong) as error:
                outcome.faults[where(error)] += 1
            else:
                outcome.changed += found != valid
                outcome.same += found == valid
                if found == valid and keyword.startswith(JUDGED.get(kind_name, ("?",))):
                    card = next(k for k in cards if changed[k : k + CARD] != content[k : k + CARD])
                    told = (file[card : card + 40].decode("latin-1") for file in (content, changed))
                    outcome.unseen[" -> ".join(" ".join(text.split()) for text in told)] += 1
            finally:
                signal.setitimer(signal.ITIMER_PROF, 0)
            took_s = time.process_time() - start
            outcome.slowest_s = max(outcome.slowest_s, took_s)
            if keep and (outcome.faults.total() > faults or took_s > SLOW_S):
                (keep / f"{kind_name}-{outcome.runs}-{kind.name}").write_bytes(changed)
        signal.signal(signal.SIGPROF, before)
    return outcome


def limit_memory() -> None:
    """Let the process take `MOST_BYTES` more than it has."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + MOST_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (most, resource.getrlimit(resource.RLIMIT_AS)[1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--runs", type=int, default=sys.maxsize)
    parser.add_argument("--seconds", type=float, default=60.0, help="of each kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", nargs="+", choices=sorted(KINDS), default=list(KINDS))
    parser.add_argument("--keep", type=Path)
    options = parser.parse_args()
    if options.keep is not None:
        options.keep.mkdir(parents=True, exist_ok=True)
    limit_memory()
    logging.disable()
    print(f"{'kind':14s} {'read':>7s} {'refused':>7s} {'other':>7s} {'same':>7s} faults slowest")
    for name in options.kinds:
        if KINDS[name].public and not options.data.is_dir():
            print(f"{name:14s} left out, no {options.data}")
            continue
        with tempfile.TemporaryDirectory() as folder:
            found = try_kind(
                name, options.data, Path(folder),
                runs=options.runs, seconds=options.seconds, seed=options.seed,
                keep=options.keep,
            )  # fmt: skip
        print(
            f"{name:14s} {found.runs:7d} {found.refused:7d} {found.changed:7d} {found.same:7d} "
            f"{found.faults.total():6d} {found.slowest_s:5.1f} s",
            flush=True,
        )
        for text, number in found.faults.most_common():
            print(f"    {number} x {text}")
        for text, number in found.unseen.most_common():
            print(f"    unseen {number} x {text}")


if __name__ == "__main__":
    main()
