"""Examples drawn on the device are those of `dataset`, but for the chance of thinning."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from training_samples import write_patches

from fermi_unek.diffuse.template import SkyTemplate
from fermi_unek.nets.spec import ModelSpec
from fermi_unek.sky.binning import BINNING
from fermi_unek.sky.bins import N_BINS, NATIVE_PIXELS
from fermi_unek.training.localizer import dataset, resident
from fermi_unek.training.localizer.dataset import DATASET_YEARS, Shares, draw_example, stack, views
from fermi_unek.training.localizer.resident import ResidentDataset, ResidentSky, cut_templates
from fermi_unek.training.localizer.skies import SkyPatches

CPU = torch.device("cpu")
WHOLE = ("whole", np.zeros(4))
CIRCLE = ("circle", np.array([0.1, -0.2, 0.4, 0.0]))
SQUARE = ("square", np.array([0.05, 0.1, 0.35, 0.6]))


@pytest.fixture(scope="module")
def patches(tmp_path_factory: pytest.TempPathFactory) -> SkyPatches:
    """Three patches of forty sources that overlap, from hopeless to bright; one is empty."""
    rng = np.random.default_rng(1)
    counts = [[rng.poisson(2.0 + k, (3, n, n)) for n in NATIVE_PIXELS] for k in range(2)]
    x, y = rng.uniform(-5, 133, (2, 80))
    ts = np.exp(rng.uniform(-3.0, 4.0, (80, 2, N_BINS))) / DATASET_YEARS
    return write_patches(
        tmp_path_factory.mktemp("dataset") / "sky", counts, x, y, ts, [0, 40, 40, 80]
    )


class Given:
    """Stands for a generator where all that is left to chance is told."""

    def __init__(self, flips: int) -> None:
        self.flips = flips

    def integers(self, high: int) -> int:
        return self.flips

    def random(self) -> float:
        return 1.0

    def binomial(self, number: np.ndarray, share: float) -> np.ndarray:
        assert share == 1.0
        return number


@pytest.mark.parametrize("flips", [0, 1, 2, 4, 7])
@pytest.mark.parametrize(("field", "number"), [(WHOLE, 0), (CIRCLE, 1), (SQUARE, 2), (SQUARE, 3)])
def test_a_batch_is_that_of_the_dataset(patches, monkeypatch, flips, field, number):
    kept = np.array([0, 1, 1, 1, 0, 1.0])
    monkeypatch.setattr(dataset, "draw_kept_fractions", lambda rng, shares: kept)
    monkeypatch.setattr(dataset, "draw_field", lambda rng, share: field)
    rng = np.random.default_rng(5)
    maps = tuple(rng.uniform(0.5, 2.0, 12 * n**2) for n in BINNING.template_nsides)
    monkeypatch.setattr(resident, "expected_template", lambda shape, seen: SkyTemplate(maps))
    view = views(patches)[number]
    templates = {dataset.observed_key(seen): SkyTemplate(maps) for seen in view.observed}
    rows = [2, 0, 1]
    expected = stack(
        [draw_example(patches, i, Given(flips), view, Shares(), templates) for i in rows],
        ModelSpec(),
    )
    sky = ResidentSky(patches, cut_templates(patches, None), CPU)
    drawn = ResidentDataset([sky], 1, 3, 0, ModelSpec())
    draw = resident._Draw(
        torch.tensor(rows),
        torch.from_numpy(np.tile(kept, (3, 2, 1)).astype(np.float32)),
        torch.tensor([resident._SHAPES.index(field[0])] * 3),
        torch.from_numpy(np.tile(field[1], (3, 1)).astype(np.float32)),
        flips,
    )
    found = drawn.drawn(sky, view, draw)
    assert 0.01 < float(expected.target[:, 0].mean()) < 0.9
    torch.testing.assert_close(found.target, expected.target, rtol=1e-4, atol=1e-4)
    for one, other in zip(found.given, expected.given, strict=True):
        for b in range(N_BINS):
            assert torch.equal(one.counts[b], other.counts[b])
            assert torch.equal(one.masks[b], other.masks[b])
            torch.testing.assert_close(one.template[b], other.template[b], rtol=1e-3, atol=0)
            assert all(
                torch.equal(a, c) for a, c in zip(one.filters[b], other.filters[b], strict=True)
            )


def test_batches_follow_from_seed_and_number_and_are_thinned(patches):
    sky = ResidentSky(patches, {}, CPU)
    shares = Shares(ten_years=1.0, absent=0.0, partial=0.0, fields=0.0, one_layer=0.0)
    whole = list(ResidentDataset([sky], 4, 8, 3, ModelSpec(), shares))
    rest = list(ResidentDataset([sky], 4, 8, 3, ModelSpec(), shares, first=2))
    assert len(whole) == 4
    assert len(rest) == 2
    for one, other in zip(whole[2:], rest, strict=True):
        assert torch.equal(one.target, other.target)
        assert torch.equal(one.given[0].counts[3], other.given[0].counts[3])
    assert not torch.equal(whole[0].given[0].counts[3], whole[1].given[0].counts[3])
    mean = np.mean([float(batch.given[0].counts[3].mean()) for batch in whole])
    assert mean == pytest.approx(2.0 * 10.0 / DATASET_YEARS, rel=0.02)
