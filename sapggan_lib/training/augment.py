"""Differentiable augmentation of what the discriminator sees (Zhao 2020), the same for all scales of an image."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from sapggan_lib.tensors import full_precision, rand

SHIFT = 0.125      # translation: at most this share of the side, each way
BRIGHTNESS = 0.5   # at most this much of [-1, 1], up or down
HOLE = 0.5         # cutout: side of the hole, as a share of the image's
CROP = 0.05        # crop: share of the side that is cut away, as in the paper's preprocessing


def augment(images: list[Tensor], kinds: Sequence[str]) -> list[Tensor]:
    """`images` (`[N, C, r, r]` for each scale) under random changes that are one for all scales of a sample.

    `kinds`: of "translation", "brightness", "cutout", "crop". Outside the image is 0, mid-gray. Positions are
    fractions of the side, so that at small scales a shift is a fraction of a pixel (bilinear).
    """
    n, device = len(images[0]), images[0].device
    if "brightness" in kinds:
        shift = (rand(n, 1, 1, 1, device=device) * 2 - 1) * BRIGHTNESS
        images = [image + shift for image in images]
    if "translation" in kinds or "crop" in kinds:
        images = _move(images, _window(n, kinds, device))
    if "cutout" in kinds:
        centre = rand(n, 2, 1, device=device)                                # [N, 2, 1]
        images = [image * ~_hole(centre, image.shape[-1]) for image in images]
    return images


def _window(n: int, kinds: Sequence[str], device: torch.device) -> Tensor:
    """Affine maps `[N, 2, 3]` from the new image's coordinates in [-1, 1] to the old one's."""
    scale, offset = 1.0, torch.zeros(n, 2, device=device)
    if "crop" in kinds:
        scale, offset = 1 - CROP, offset + (rand(n, 2, device=device) * 2 - 1) * CROP
    if "translation" in kinds:
        offset = offset + (rand(n, 2, device=device) * 2 - 1) * 2 * SHIFT
    linear = scale * torch.eye(2, device=device).expand(n, 2, 2)
    return torch.cat([linear, offset[:, :, None]], 2)


def _move(images: list[Tensor], maps: Tensor) -> list[Tensor]:
    with full_precision(maps.device):  # in bf16 a grid is off by more than a pixel at 512
        grids = [F.affine_grid(maps, list(image.shape), align_corners=False) for image in images]
        return [F.grid_sample(image, grid, align_corners=False) for image, grid in zip(images, grids, strict=True)]


def _hole(centre: Tensor, side: int) -> Tensor:
    """True within the hole, `[N, 1, side, side]`; `centre` `[N, 2, 1]` in [0, 1]."""
    pixels = (torch.arange(side, device=centre.device) + 0.5) / side         # [side]
    rows, columns = ((pixels - centre).abs() < HOLE / 2).unbind(1)           # [N, side] each
    return (rows[:, :, None] & columns[:, None, :])[:, None]
