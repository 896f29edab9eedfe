import cv2
import numpy as np
import pytest
import torch
from torchmetrics.functional.image import multiscale_structural_similarity_index_measure as reference

from sapggan_lib.base.errors import SapgganError
from sapggan_lib.evaluation import diversity, ms_ssim


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
