"""What must be true of the scores whatever the numbers: each fault of a generator moves the score meant for it."""

import cv2
import numpy as np
import pytest

from sapggan_lib.evaluation import (
    Features,
    build_extractor,
    coverage_scores,
    evaluate,
    extract_features,
    frechet_distance,
    kernel_distance,
)

D, MODES = 8, 6
PROVENANCE = {"extractor": "toy", "metric": "FD", "weights": "00", "input_size": 8, "resize": "none"}


def modes(n, seed, used=MODES, scale=1.0, shift=0.0):
    """Features [n, D] around the first `used` of six far-apart centres."""
    centres = np.random.default_rng(99).normal(size=(MODES, D)) * 6
    rng = np.random.default_rng(seed)
    return centres[rng.integers(0, used, n)] + scale * rng.normal(size=(n, D)) + shift


@pytest.fixture(scope="module")
def real():
    return modes(400, 0)


def test_identical_sets_have_distance_zero_and_full_coverage(real):
    assert frechet_distance(real, real) < 1e-6 * real.var(axis=0, ddof=1).sum()
    scores = coverage_scores(real, real)
    assert (scores["precision"], scores["recall"], scores["coverage"]) == (1, 1, 1)


def test_a_set_of_the_same_kind_scores_its_floor(real):
    result = evaluate(Features(real, PROVENANCE), Features(modes(200, 1), PROVENANCE))
    assert result.n_floor == 200
    for name, score in result.scores.items():
        spread = max(score.high - score.low, 0.05 if name != "fd" else score.floor)
        assert abs(score.value - score.floor) < spread, name


def test_dropped_modes_lower_recall_and_coverage_and_not_precision(real):
    full, dropped = (coverage_scores(real, modes(400, 1, used=used)) for used in (MODES, MODES // 2))
    assert dropped["recall"] < 0.7 * full["recall"] and dropped["coverage"] < 0.7 * full["coverage"]
    assert dropped["precision"] > full["precision"] - 0.1


def test_noise_in_the_features_lowers_precision_and_density(real):
    full, noisy = (coverage_scores(real, modes(400, 1, scale=scale)) for scale in (1, 2))
    assert noisy["precision"] < 0.5 * full["precision"] and noisy["density"] < 0.5 * full["density"]


def test_collapse_onto_few_samples_lowers_recall_while_all_look_real(real):
    scores = coverage_scores(real, modes(400, 1)[np.arange(400) % 6])
    assert scores["recall"] < 0.05 and scores["coverage"] < 0.2 and scores["precision"] > 0.5


def test_a_shift_raises_both_distances_by_its_size(real):
    distances = [(frechet_distance(real, real + s), kernel_distance(real, real + s)[0]) for s in (0, 0.5, 1, 2)]
    assert distances == sorted(distances)
    assert distances[2][0] == pytest.approx(D, rel=1e-6)


def test_blur_noise_and_shift_of_images_raise_the_distance_above_the_floor(radiographs):
    extractor = build_extractor("efficientnet-lite0", device="cpu")
    half, other = radiographs[::2], radiographs[1::2]
    noise = np.random.default_rng(1).normal(scale=20, size=half.shape)
    faults = {
        "floor": half,
        "blur": np.stack([cv2.GaussianBlur(image, (0, 0), 6) for image in half]),
        "noise": (half + noise).clip(0, 255).astype(np.uint8),
        "shift": np.roll(half, 24, axis=1),
    }
    real, *others = (extract_features(images, extractor).array for images in (other, *faults.values()))
    scores = {name: frechet_distance(real, features) for name, features in zip(faults, others, strict=True)}
    for name in ("blur", "noise", "shift"):
        assert scores[name] > 1.05 * scores["floor"], (name, scores)
