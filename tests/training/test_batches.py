"""Images for training: sizes and what does not fit."""

import numpy as np
import pytest
import torch

from sapggan_lib.base.errors import SapgganError
from sapggan_lib.models import ModelConfig
from sapggan_lib.training.batches import Batches, shrink


@pytest.mark.parametrize("colour", [(), (3,)])
def test_larger_images_are_averaged(colour):
    images = np.random.default_rng(0).integers(0, 256, (5, 64, 64, *colour), dtype=np.uint8)
    expected = images.reshape(5, 16, 4, 16, 4, *colour).mean((2, 4)).round()
    np.testing.assert_array_equal(shrink(images, 16, chunk=2), expected)


def test_images_of_the_right_size_are_not_copied():
    images = np.zeros((2, 16, 16), np.uint8)
    assert shrink(images, 16) is images


@pytest.mark.parametrize(
    ("shape", "message"),
    [((2, 8, 8), "have 8 pix"), ((2, 48, 48), "have 48 pix"), ((2, 16, 20), "must be uint8"), ((0, 16, 16), "no im")],
)
def test_what_does_not_fit_is_named(shape, message):
    with pytest.raises(SapgganError, match=message):
        Batches(np.zeros(shape, np.uint8), ModelConfig("sapggan", 16), 8, 0, torch.device("cpu"))


def test_colour_and_gray_are_not_mixed():
    with pytest.raises(SapgganError, match="1 channels and the model 3"):
        Batches(np.zeros((2, 16, 16), np.uint8), ModelConfig("sapggan", 16, channels=3), 8, 0, torch.device("cpu"))


def test_the_order_of_images_lies_where_the_images_are_and_crosses_passes():
    """As on a GPU: an index copied there at each step would make it wait."""
    images = np.arange(10, dtype=np.uint8)[:, None, None].repeat(16, 1).repeat(16, 2)
    plain, resident = (Batches(images, ModelConfig("sapggan", 16), 8, 3, torch.device("cpu")) for _ in range(2))
    resident.resident = torch.from_numpy(images)
    for position in (0, 8, 16):
        assert torch.equal(plain(position), resident(position))
    resident.device = torch.device("meta")
    resident.permutation = (-1, torch.empty(0))
    assert resident.order(0).device.type == "meta"
    plain.close()
