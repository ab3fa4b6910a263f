"""Scores of classes agree with scikit-learn and brute force."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from astropy.table import Table
from sklearn.metrics import balanced_accuracy_score, confusion_matrix, roc_auc_score

from fermi_unek.catalog import Candidates, build_catalog
from fermi_unek.errors import InputError
from fermi_unek.evaluate.classes import (
    CLASS_FILES,
    ClassifiedDetections,
    catalog_class_scores,
    classified_from_catalog,
    score_classes,
    write_class_scores,
)
from fermi_unek.evaluate.classes.scores import calibration_error, even_decision


def judged(number: int = 3000, seed: int = 0) -> ClassifiedDetections:
    """Detections whose probabilities are right: the truth is drawn from them."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(number, 5)) * 2.0 + np.array([1.0, 0.5, -0.5, -1.0, 0.5])
    chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    label = (chances.cumsum(axis=1) > rng.random((number, 1))).argmax(axis=1)
    known = label < 4
    ts = np.where(known, rng.uniform(10.0, 2000.0, number), np.nan)
    return ClassifiedDetections(
        chances, chances[:, 4] > 0.6, label, ts, np.sqrt(ts) * 0.6,
        np.where(known, 10 ** rng.uniform(-10, -8, number), np.nan),
        np.degrees(np.arcsin(rng.uniform(-1, 1, number))),
    )  # fmt: skip


def test_confusion_and_balanced_accuracy_are_those_of_scikit_learn():
    given = judged()
    scores = score_classes(given)
    bright = given.select(given.classed)
    even = even_decision(bright.chances[:, :4], bright.label)
    assert scores.numbers["4-class balanced accuracy"] == pytest.approx(
        balanced_accuracy_score(bright.label, even)
    )
    best = bright.chances[:, :4].argmax(axis=1)
    table = scores.tables["confusion"]
    counts = np.array([[row[name] for name in ("bll", "fsrq", "psr", "pwn")] for row in table])
    np.testing.assert_array_equal(counts, confusion_matrix(bright.label, best))
    strong = bright.select(bright.signif >= 20.0)
    assert scores.numbers["4-class accuracy, most probable, >20 sigma"] == pytest.approx(
        np.mean(strong.chances[:, :4].argmax(axis=1) == strong.label)
    )


def test_areas_under_the_curves_are_those_of_scikit_learn():
    given = judged()
    numbers = score_classes(given).numbers
    bright = given.select(given.classed)
    agn = bright.select(bright.label < 2)
    score = agn.chances[:, 0] / agn.chances[:, :2].sum(axis=1)
    assert numbers["AUC BLL against FSRQ"] == pytest.approx(roc_auc_score(agn.label == 0, score))
    rows = (given.label == 4) | (given.ts > 25.0)
    assert numbers["AUC Fake against sources above ideal TS 25"] == pytest.approx(
        roc_auc_score(given.label[rows] == 4, given.chances[rows, 4])
    )


def test_removing_what_is_flagged_raises_purity_as_counted_by_hand():
    given = judged()
    numbers = score_classes(given).numbers
    true = [label != 4 for label in given.label]
    kept = [one for one, flag in zip(true, given.fake, strict=True) if not flag]
    before, after = sum(true) / len(true), sum(kept) / len(kept)
    assert numbers["purity without Fake"] == pytest.approx(after)
    assert numbers["share of the impurity removed"] == pytest.approx(
        (after - before) / (1.0 - before)
    )


def test_right_probabilities_have_a_small_calibration_error_and_wrong_ones_a_large_one():
    given = judged(20_000)
    right = calibration_error(given.chances[:, 4], given.label == 4)
    wrong = calibration_error(np.sqrt(given.chances[:, 4]), given.label == 4)
    assert right < 0.012 < 0.1 < wrong
    assert np.isnan(calibration_error(np.zeros(0), np.zeros(0, bool)))


def test_no_detection_leaves_everything_undefined():
    empty = judged(10).select(np.zeros(0, int))
    numbers = dict(score_classes(empty).numbers)
    assert numbers.pop("sources of a class above ideal TS 25") == 0
    assert all(np.isnan(value) for value in numbers.values())


def test_judged_detections_of_different_lengths_are_refused():
    given = judged(5)
    with pytest.raises(InputError, match="lat_deg has shape"):
        replace(given, lat_deg=given.lat_deg[:3])


def catalog_and_truth():
    lon = np.array([10.0, 20.0, 30.0, 40.0])
    one = np.ones(4)
    chances = np.tile([0.7, 0.1, 0.1, 0.05, 0.05], (4, 1))
    found = Candidates(
        lon, 30 * one, 0.8 * one, 0.05 * one, 0.05 * one, 0 * one, one > 2,
        class_probabilities=chances, fake=np.array([False, True, False, False]),
    )  # fmt: skip
    truth = Table(
        {
            "GLON": [10.1, 20.0, 40.0],
            "GLAT": [30.0, 30.1, 30.0],
            "Flux1000": [1e-9, 1e-10, 1e-8],
            "Ideal_TS": [100.0, 6.0, 900.0],
            "CLASS1": ["BLL", "", "spp"],
            "Signif_Avg": [9.0, np.nan, 30.0],
        }
    )
    return build_catalog(found), truth


def test_detections_get_the_class_of_the_source_they_match():
    catalog, truth = catalog_and_truth()
    found = classified_from_catalog(catalog, truth)
    # the one at a source of ideal TS 6 is neither true nor false
    assert sorted(found.label) == [0, 3, 4]
    assert found.signif[found.label == 3] == pytest.approx(30.0)
    assert np.isnan(found.ts[found.label == 4]).all()


def test_a_catalog_without_classes_has_no_class_scores():
    catalog, truth = catalog_and_truth()
    plain = build_catalog(Candidates(*(np.ones(1) for _ in range(6)), np.zeros(1, bool)))
    assert catalog_class_scores(plain, truth) is None
    with pytest.raises(InputError, match="nothing in the catalog is classified"):
        classified_from_catalog(plain, truth)
    truth.remove_column("CLASS1")
    with pytest.raises(InputError, match="no column CLASS1"):
        classified_from_catalog(catalog, truth)
    assert catalog_class_scores(catalog, truth) is None


def test_tables_text_and_figure_are_written(tmp_path):
    write_class_scores(score_classes(judged()), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(CLASS_FILES)
    assert "AUC BLL against FSRQ" in (tmp_path / "classes.txt").read_text()
    assert len(Table.read(tmp_path / "class_confusion.ecsv")) == 4
