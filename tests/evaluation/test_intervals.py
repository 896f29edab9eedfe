"""Intervals where the truth is known: Gaussian features."""

import numpy as np
import pytest
import scipy.special

from sapggan_lib.base.errors import SapgganError
from sapggan_lib.evaluation import Features, evaluate, frechet_distance, frechet_infinity
from sapggan_lib.evaluation.intervals import student_t

D = 4
PROVENANCE = {"extractor": "toy", "metric": "FD", "weights": "00", "input_size": 8, "resize": "none"}
SHIFT, SCALE = 0.5, 1.5
TRUTH = D * (SHIFT**2 + (SCALE - 1) ** 2)          # of N(0, 1) and N(shift, scale^2) in D dimensions


def pair(seed, n=250, d=D, scale=SCALE, shift=SHIFT):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)), shift + scale * rng.normal(size=(n, d))


def test_the_frechet_interval_holds_the_truth_about_as_often_as_it_says():
    held = []
    for seed in range(60):
        real, fake = (Features(side, PROVENANCE) for side in pair(seed))
        score = evaluate(real, fake, seed=seed).scores["fd"]
        held.append(score.low <= TRUTH <= score.high)
    assert np.mean(held) >= 0.88                   # 95 % +- 3 % standard error, and 2 % bias of the distance


def test_near_the_floor_the_interval_holds_the_expected_distance_at_this_n():
    expected = np.mean([frechet_distance(*pair(1000 + seed, scale=1, shift=0)) for seed in range(100)])
    held = []
    for seed in range(40):
        real, fake = (Features(side, PROVENANCE) for side in pair(seed, scale=1, shift=0))
        score = evaluate(real, fake, seed=seed).scores["fd"]
        held.append(score.low <= expected <= score.high)
    assert np.mean(held) >= 0.85


def test_the_interval_is_not_so_wide_that_it_says_nothing():
    widths, values = [], []
    for seed in range(30):
        real, fake = (Features(side, PROVENANCE) for side in pair(seed))
        score = evaluate(real, fake, seed=seed).scores["fd"]
        widths.append(score.high - score.low)
        values.append(score.value)
    assert 0.6 < np.mean(widths) / (2 * 2.26 * np.std(values, ddof=1)) < 1.5


def test_frechet_infinity_takes_the_bias_of_few_images_away():
    plain, endless = np.transpose([
        (frechet_distance(*sides), frechet_infinity(*sides, seed=seed)[0])
        for seed in range(15) for sides in [pair(seed, n=300, d=24, scale=1, shift=0.2)]
    ])  # fmt: skip
    truth = 24 * 0.2**2
    assert plain.mean() > 1.5 * truth
    assert abs(endless.mean() - truth) < 0.25 * (plain.mean() - truth)


def test_frechet_infinity_refuses_too_few_images():
    with pytest.raises(SapgganError, match="too few to extrapolate 24 features"):
        frechet_infinity(*pair(0, n=40, d=24))


@pytest.mark.parametrize("freedom", [1, 2, 5, 9, 40])
def test_the_quantile_of_students_t_is_scipys(freedom):
    assert student_t(freedom) == pytest.approx(scipy.special.stdtrit(freedom, 0.975), rel=1e-6)
