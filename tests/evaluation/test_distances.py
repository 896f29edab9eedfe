import time

import numpy as np
import pytest
import scipy.linalg
import torch
from cleanfid import fid
from prdc import compute_prdc
from torch import nn
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.kid import KernelInceptionDistance

from sapggan_lib.base.errors import SapgganError
from sapggan_lib.evaluation import (
    Features,
    coverage_scores,
    frechet_distance,
    frechet_infinity,
    kernel_distance,
    nearest_neighbours,
)


def features(n, d, seed, shift=0.0, scale=1.0):
    """Correlated features [n, d], some of them rectified like a network's."""
    mix = np.random.default_rng(7).normal(size=(d, d)) / np.sqrt(d)
    return shift + scale * np.maximum(np.random.default_rng(seed).normal(size=(n, d)) @ mix, -1)


@pytest.mark.parametrize(("n", "m"), [(400, 300), (65, 400)])
def test_frechet_distance_equals_clean_fid_at_full_rank(n, m):
    a, b = features(n, 64, 0), features(m, 64, 1, shift=0.1, scale=1.2)
    assert frechet_distance(a, b) == pytest.approx(fid.fid_from_feats(a, b), rel=1e-6)


@pytest.mark.parametrize(("n", "m"), [(40, 40), (40, 30), (40, 400), (400, 40)])
def test_frechet_distance_equals_clean_fid_with_fewer_images_than_features(n, m):
    a, b = features(n, 128, 0), features(m, 128, 1, shift=0.1, scale=1.2)
    assert frechet_distance(a, b) == pytest.approx(fid.fid_from_feats(a, b), rel=1e-4)


@pytest.mark.parametrize("n", [40, 400])
def test_frechet_distance_of_identical_sets_is_zero_and_of_shifted_ones_the_shift(n):
    a = features(n, 128, 0)
    trace = a.var(axis=0, ddof=1).sum()
    assert frechet_distance(a, a) < 1e-6 * trace
    assert frechet_distance(a, a + 0.5) == pytest.approx(128 * 0.25, rel=1e-6)


def test_features_that_never_vary_do_no_harm():
    a, b = features(300, 32, 0), features(300, 32, 1, scale=1.5)
    still = np.zeros((300, 8))
    assert frechet_distance(np.hstack([a, still]), np.hstack([b, still])) == pytest.approx(frechet_distance(a, b))


def test_frechet_distance_is_faster_than_the_general_square_root():
    a, b = features(1100, 512, 0), features(1100, 512, 1)

    def seconds(function):
        times = []
        for _ in range(2):
            start = time.perf_counter()
            function()
            times.append(time.perf_counter() - start)
        return min(times)

    slow = seconds(lambda: scipy.linalg.sqrtm(np.cov(a.T) @ np.cov(b.T)))
    assert seconds(lambda: frechet_distance(a, b)) < slow / 2      # the benchmark shows the ratio at 2,048


class Flat(nn.Module):
    """Lets torchmetrics take features for images."""

    num_features = 16

    def forward(self, x):
        return x.flatten(1)


def test_both_distances_equal_those_of_torchmetrics_on_the_same_features():
    a, b = features(90, 16, 0), features(90, 16, 1, shift=0.1)
    frechet = FrechetInceptionDistance(feature=Flat()).set_dtype(torch.float64)
    kernel = KernelInceptionDistance(feature=Flat(), subsets=1, subset_size=90).set_dtype(torch.float64)
    for metric in (frechet, kernel):
        metric.update(torch.from_numpy(a), real=True)
        metric.update(torch.from_numpy(b), real=False)
    assert frechet_distance(a, b) == pytest.approx(float(frechet.compute()), rel=1e-6)
    assert kernel_distance(a, b)[0] == pytest.approx(float(kernel.compute()[0]), rel=1e-6)


def test_kernel_distance_of_unequal_numbers_is_the_unbiased_estimate():
    a, b = features(90, 16, 0), features(70, 16, 1, shift=0.1)
    within = sum(((f @ f.T / 16 + 1) ** 3)[~np.eye(len(f), dtype=bool)].mean() for f in (a, b))
    across = ((a @ b.T / 16 + 1) ** 3).mean()
    assert kernel_distance(a, b)[0] == pytest.approx(within - 2 * across, rel=1e-9)


def test_kernel_distance_is_seeded_and_leaves_the_global_state_alone():
    a, b = features(90, 16, 0), features(70, 16, 1)
    np.random.seed(5)  # noqa: NPY002  the global state is what must not be used
    expected = np.random.rand()  # noqa: NPY002
    np.random.seed(5)  # noqa: NPY002
    assert kernel_distance(a, b, seed=3) == kernel_distance(a, b, seed=3)
    assert kernel_distance(a, b, seed=3)[1] != kernel_distance(a, b, seed=4)[1]
    assert np.random.rand() == expected  # noqa: NPY002


def test_the_standard_error_of_kid_is_the_spread_over_repeated_samples():
    results = [kernel_distance(features(100, 8, 2 * s), features(100, 8, 2 * s + 1, shift=0.3)) for s in range(60)]
    values, errors = np.array(results).T
    assert 0.7 < errors.mean() / values.std(ddof=1) < 1.4


def test_coverage_scores_equal_prdc_and_print_nothing(capsys):
    a, b = (features(60, 8, seed).astype(np.float32) for seed in (0, 1))
    scores = coverage_scores(a, b)
    assert capsys.readouterr().out == ""
    assert scores == pytest.approx(compute_prdc(a, b, nearest_k=5))


def test_one_image_and_two_dimensions_are_refused():
    with pytest.raises(SapgganError, match="two images or more"):
        frechet_distance(features(1, 8, 0), features(9, 8, 0))
    with pytest.raises(SapgganError, match="one extractor for both"):
        frechet_distance(features(9, 8, 0), features(9, 7, 0))
    with pytest.raises(SapgganError, match="one image"):
        kernel_distance(features(1, 8, 0), features(9, 8, 0))


@pytest.mark.parametrize("score", [frechet_distance, frechet_infinity, kernel_distance, coverage_scores])
def test_features_score_as_their_arrays_and_those_of_two_protocols_are_refused(score):
    a, b = features(60, 8, 0), features(60, 8, 1)
    real, fake = (Features(array, {"extractor": "toy"}) for array in (a, b))
    assert score(real, fake) == score(a, fake) == score(a, b)
    with pytest.raises(SapgganError, match='differ in "extractor"'):
        score(real, Features(b, {"extractor": "other"}))


def test_neighbours_take_features_as_well():
    arrays = [features(20, 8, seed) for seed in range(3)]
    found = nearest_neighbours(*(Features(array, {}) for array in arrays))
    assert np.array_equal(found.to_train, nearest_neighbours(*arrays).to_train)
