"""Augmentation: one change for all scales, gradients, nothing when it is off."""

import pytest
import torch
import torch.nn.functional as F

from sapggan_lib.models import pyramid
from sapggan_lib.training.augment import augment

KINDS = ("translation", "brightness", "cutout", "crop")


def smooth_images():
    return F.interpolate(torch.randn(4, 1, 4, 4), size=32, mode="bicubic")


@pytest.mark.parametrize("kind", KINDS)
def test_all_scales_change_alike(kind):
    images = augment(pyramid(smooth_images(), 3), [kind])
    large = F.avg_pool2d(images[-1], 2)
    assert (large - images[-2]).abs().mean() < 0.1 * large.abs().mean()


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_changes_images_and_lets_gradients_through(kind):
    image = smooth_images().requires_grad_()
    (changed,) = augment([image], [kind])
    changed.square().sum().backward()
    assert not torch.allclose(changed, image) and image.grad.isfinite().all() and image.grad.abs().sum() > 0


def test_off_is_off():
    images = pyramid(smooth_images(), 2)
    assert all(a is b for a, b in zip(augment(images, ()), images, strict=True))


def test_cutout_hides_a_square_of_half_the_side():
    (image,) = augment([torch.ones(64, 1, 32, 32)], ["cutout"])
    hidden = (image == 0).sum((1, 2, 3))
    assert hidden.max() == 16 * 16 and hidden.min() >= 8 * 8


def test_positions_keep_full_precision_within_autocast():
    """In bfloat16 a grid of 512 pixels is off by more than one."""
    ramp = torch.linspace(-1, 1, 512).expand(4, 1, 512, 512)
    torch.manual_seed(1)
    (expected,) = augment([ramp], ["translation"])
    torch.manual_seed(1)
    with torch.autocast("cpu", torch.bfloat16):
        (moved,) = augment([ramp], ["translation"])
    torch.testing.assert_close(moved, expected)
