import cv2
import numpy as np
import pytest
import torch
from torchmetrics.functional.image import multiscale_structural_similarity_index_measure as reference

from sapggan_lib.base.errors import SapgganError
from sapggan_lib.evaluation import diversity, ms_ssim, nearest_neighbours


def smooth(n, size, seed=0):
    noise = np.random.default_rng(seed).normal(size=(n, size, size))
    return (127 + 800 * np.stack([cv2.GaussianBlur(image, (0, 0), 5) for image in noise])).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize(("size", "scales"), [(192, 5), (64, 3)])
def test_ms_ssim_is_near_that_of_torchmetrics(size, scales):
    x, y = smooth(2, size)
    y = cv2.addWeighted(x, 0.7, y, 0.3, 0)
    weights = np.array([0.0448, 0.2856, 0.3001, 0.2363, 0.1333])[:scales]
    a, b = (torch.from_numpy(i.astype(np.float64))[None, None] for i in (x, y))
    expected = reference(a, b, data_range=255.0, betas=tuple(weights / weights.sum()))
    # the coarsest scale there counts mirrored borders, here only whole windows, as in the paper
    assert ms_ssim(x, y) == pytest.approx(float(expected), rel=0.01)
    assert ms_ssim(x, x) == pytest.approx(1)


def test_collapse_shows_as_high_similarity():
    images = smooth(20, 48)
    collapsed = images[np.arange(20) % 2]
    (varied, error), (same, _) = diversity(images), diversity(collapsed)
    assert same > varied + 3 * error
    assert diversity(images, seed=1) == diversity(images, seed=1) != diversity(images, seed=2)
    assert diversity(np.repeat(images[..., None], 3, axis=-1)) == diversity(images)


def test_diversity_refuses_few_or_tiny_images():
    for images in (smooth(3, 48), np.zeros((8, 8, 8), np.uint8)):
        with pytest.raises(SapgganError, match="four or more"):
            diversity(images)


def draw(n, seed):
    return np.random.default_rng(seed).normal(size=(n, 6))


def test_copies_of_training_images_are_found_and_named():
    train, held_out = draw(200, 0), draw(50, 1)
    copies = train[:40] + 1e-3
    found = nearest_neighbours(train, held_out, copies)
    assert found.authenticity == 0 and found.closer_to_train > 0.55
    assert np.array_equal(found.nearest_train, np.arange(40))
    assert found.to_train.max() < 0.01 < found.to_held_out.min()


def test_new_images_look_like_held_out_ones():
    found = nearest_neighbours(draw(200, 0), draw(100, 1), draw(100, 2))
    assert abs(found.authenticity - found.held_out_authenticity) < 0.15
    assert 0.35 < found.closer_to_train < 0.65


def test_neighbours_of_nothing_are_refused():
    with pytest.raises(SapgganError, match="one held-out"):
        nearest_neighbours(draw(9, 0), draw(0, 1), draw(9, 2))
