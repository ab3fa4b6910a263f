"""The same answer again: many searches in one process, in threads, on other processors.

    python studies/trust_steady.py [--searches 50] [--threads 8] [--region 80 18 6]

Searches the demo's field, or a circle of it for the memory. Prints the resident memory after a
tenth of the searches and after all, whether catalogs of searches in threads at once are those of
one alone, whether catalogs of one and two threads of torch are the same bytes, dates and the
checksums of FITS aside, and how far apart are catalogs with this processor's instructions and with
those of one that has AVX2 alone.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from fermi_unek import Catalog, find_sources
from fermi_unek.errors import UnekWarning

ROOT = Path(__file__).resolve().parents[1]
DEMO = ROOT / "src" / "fermi_unek" / "data" / "demo" / "counts.fits.gz"
REGION = (80.0, 18.0, 6.0)
_CHANGES = re.compile(rb"(CHECKSUM|DATASUM|DATE    )=.{70}|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")


def resident_mb() -> float:
    """Memory of this process that is in use."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def catalog_digest(catalog: Catalog) -> str:
    """SHA-256 of the file of a catalog, dates and checksums aside."""
    with tempfile.TemporaryDirectory() as folder:
        catalog.write(Path(folder) / "catalog.fits")
        written = (Path(folder) / "catalog.fits").read_bytes()
    return hashlib.sha256(_CHANGES.sub(b"", written)).hexdigest()


def search(region: tuple[float, float, float] | None = REGION) -> Catalog:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnekWarning)
        return find_sources(DEMO, region=region)


def memory_of(searches: int, work: Callable[[], object] = search) -> tuple[float, float]:
    """Resident MB after a tenth of the searches and after all of them."""
    early = 0.0
    for number in range(1, searches + 1):
        work()
        if number == max(1, searches // 10):
            early = resident_mb()
    return early, resident_mb()


def digests_in_threads(threads: int) -> set[str]:
    """Digests of the catalogs of searches at once."""
    with ThreadPoolExecutor(threads) as pool:
        return {catalog_digest(found) for found in pool.map(lambda _: search(), range(threads))}


def digest_with(threads: int) -> str:
    """Digest of the catalog that a process of its own makes with some threads."""
    code = "import trust_steady as t; print(t.catalog_digest(t.search()))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True, text=True, check=True, cwd=Path(__file__).parent,
        env=os.environ | {"OMP_NUM_THREADS": str(threads), "PYTHONPATH": str(ROOT / "src")},
    )  # fmt: skip
    return done.stdout.strip()


_PLAIN = """
import sys
import trust_steady as t
from fermi_unek.nets import precision
precision.torch.cpu.get_capabilities = lambda: {}  # no bfloat16
t.search().write(sys.argv[1])
"""


def catalog_of_avx2(folder: Path) -> Catalog:
    """What a processor finds that has no more than AVX2."""
    path = folder / "avx2.fits"
    least = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_CBWR": "AVX2"}
    subprocess.run(
        [sys.executable, "-c", _PLAIN, path],
        check=True, cwd=Path(__file__).parent,
        env=os.environ | least | {"PYTHONPATH": str(ROOT / "src")},
    )  # fmt: skip
    return Catalog.read(path)


def compare(first: Catalog, second: Catalog) -> str:
    """How far apart two catalogs of the same photons are."""
    row, apart, _ = first.positions.match_to_catalog_sky(second.positions)
    here = apart.deg < first.table["Conf_95_SemiMajor"]
    moved = apart.deg / first.table["Conf_68_SemiMajor"]
    changed = np.abs(first.table["Probability"] - second.table["Probability"][row])
    same = first.table["CLASS1"][here] == second.table["CLASS1"][row][here]
    return (
        f"{len(first)} and {len(second)} sources, {here.sum()} in both, moved by at most "
        f"{moved[here].max():.3f} of their 68% radius, probability by {changed[here].max():.4f}, "
        f"{(~same).sum()} of another class"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--searches", type=int, default=50)
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument("--region", nargs=3, type=float, default=REGION)
    options = parser.parse_args()
    alone = search()
    print(f"{len(alone.table)} sources, digest {catalog_digest(alone)[:12]}")
    same = digests_in_threads(options.threads) == {catalog_digest(alone)}
    print(
        f"{options.threads} searches at once: {'the same' if same else 'OTHER'} bytes", flush=True
    )
    one, two = digest_with(1), digest_with(2)
    told = "the same" if one == two else "OTHER"
    print(f"1 and 2 threads of the libraries: {told} bytes", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        print(f"AVX2 alone: {compare(alone, catalog_of_avx2(Path(folder)))}", flush=True)
    circle = tuple(options.region)
    early, late = memory_of(options.searches, lambda: search(circle))
    print(f"resident after {max(1, options.searches // 10)} searches {early:.0f} MB, "
          f"after {options.searches} {late:.0f} MB")  # fmt: skip


if __name__ == "__main__":
    main()
