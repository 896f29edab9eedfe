"""The arms of the augmentation experiment, on features whose answer is known."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from sapggan_lib.uses import REAL, Cases, arm_scores, class_consistency, classical, compare_arms
from sapggan_lib.uses.augmentation import fine_tune, fit
from sapggan_lib.uses.ranking import METRICS, auroc, average_precision, resample


def side(negatives, positives, shift=1.0, seed=0, width=20):
    """Normal features; those of positives are shifted by `shift` along all of them."""
    rng = np.random.default_rng(seed)
    return Cases(rng.normal(size=(negatives, width)), rng.normal(size=(positives, width)) + shift)


@pytest.mark.parametrize(("ours", "theirs"), [(auroc, roc_auc_score), (average_precision, average_precision_score)])
def test_metrics_and_their_weights_are_scikit_learns_also_with_ties(ours, theirs):
    rng = np.random.default_rng(0)
    scores, truth = rng.integers(0, 12, 60).astype(float), rng.random(60) < 0.3
    weights = rng.integers(1, 4, (5, 60)).astype(float)
    expected = [theirs(truth, scores, sample_weight=row) for row in weights]
    np.testing.assert_allclose(ours(scores, truth, weights), expected)


def test_shuffled_labels_give_half_within_the_interval():
    real, test = side(40, 20), side(60, 60, seed=1)
    rng = np.random.default_rng(2)
    features = rng.permutation(real.both)
    scores = [arm_scores(Cases(features[:40], features[40:]), test.both, {}, features[40:], [1])]
    truth = rng.permutation(test.truth)
    table = compare_arms(scores, truth, np.arange(120))
    (row,) = table[(table["arm"] == REAL) & (table["metric"] == "AUROC") & (table["against"] == "")].itertuples()
    assert row.low < 0.5 < row.high and row.high - row.low < 0.3


@pytest.mark.parametrize(("ignores", "told"), [(True, False), (False, True)])
def test_an_embedding_that_ignores_the_class_is_caught(ignores, told):
    generated = side(60, 60, shift=0.0 if ignores else 1.0, seed=3)
    value, low, high = class_consistency(side(40, 20), generated)
    assert low <= value <= high and (low > 0.5) == told


def test_perfect_images_beat_duplicates_and_noise_does_not():
    """Ten positives in twenty dimensions: fresh ones add what duplicates cannot; images without the finding harm."""
    test = side(500, 500, 0.3, seed=9)
    repeats = []
    for seed in range(3):
        real = side(60, 10, 0.3, seed)
        sources = {"fresh": side(60, 200, 0.3, 100 + seed), "blind": side(60, 200, 0.0, 200 + seed)}
        repeats.append(arm_scores(real, test.both, sources, real.positive, [20]))
    table = compare_arms(repeats, test.truth, np.arange(1000)).set_index(["metric", "arm", "against"])
    for metric in METRICS:
        assert table.loc[(metric, "fresh x 20", "duplicated x 20"), "low"] > 0
        assert table.loc[(metric, "blind x 20", "duplicated x 20"), "high"] < 0


def test_duplicating_is_weighting():
    real = side(30, 10)
    twice = Cases(real.negative, np.repeat(real.positive, 3, axis=0))
    balanced, repeated = fit(real, balanced=True), fit(twice)
    tests = side(20, 20, seed=5).both
    order = np.corrcoef(balanced.decision_function(tests), repeated.decision_function(tests))[0, 1]
    assert order > 0.99  # the same but for the standardisation and the strength of the penalty


def test_fine_tuning_begins_where_pretraining_ended_and_moves_towards_the_real_images():
    generated, real = side(50, 50, 1.0), side(50, 50, -1.0, seed=1)
    start = fit(generated).steps[1][1].coef_.copy()
    tuned = fine_tune(fit(generated), real).steps[1][1].coef_
    assert np.any(tuned != start) and np.corrcoef(tuned, start)[0, 1] < 1
    assert np.abs(fine_tune(fit(generated), generated).steps[1][1].coef_ - start).max() < 1e-2 * np.abs(start).max()


def test_the_bootstrap_takes_patients_whole():
    patients = np.array(["a", "a", "b", "c"])
    draws = resample(patients, 200, 0)
    assert (draws[:, 0] == draws[:, 1]).all() and (draws[:, [0, 2, 3]].sum(1) == 3).all() and draws.std() > 0


def test_equal_arms_differ_by_exactly_nothing():
    real = side(30, 10)
    scores = arm_scores(real, side(20, 20, seed=4).both, {"same": real}, real.positive, [1])
    table = compare_arms([scores], side(20, 20).truth, np.arange(40))
    same = table[(table["arm"] == "same x 1") & (table["against"] == "duplicated x 1")]
    assert len(same) == 2 and (same[["value", "low", "high"]] == 0).all(axis=None)


def test_a_source_with_too_few_images_has_no_such_arm_and_opponents_are_fair():
    real = side(30, 10)
    scores = arm_scores(real, side(5, 5).both, {"few": side(30, 12)}, real.positive, [0.25, 1, 5])
    assert "few x 1" in scores and "few x 5" not in scores and "classical x 5" not in scores
    table = compare_arms([scores], side(5, 5).truth, np.arange(10), draws=20)
    opponents = table.groupby("arm")["against"].agg(set)
    assert opponents["few x 1"] == {"", REAL, "duplicated x 1"} and opponents["few alone"] == {"", REAL}
    assert opponents[REAL] == {""} and opponents["duplicated x 5"] == {"", REAL}


def test_classical_augmentation_does_not_mirror():
    image = np.zeros((1, 32, 32), np.uint8)
    image[:, :, 20:] = 200  # bright at the right
    changed = classical(image, 40)
    assert changed.shape == (40, 32, 32) and changed.dtype == np.uint8
    assert (changed[:, :, 24:].mean((1, 2)) > changed[:, :, :8].mean((1, 2)) + 100).all()
    assert len(np.unique(changed, axis=0)) > 30
