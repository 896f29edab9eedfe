"""What a network is to the rest of the library, whichever model it belongs to."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn


class Network(nn.Module):
    """Either network of a model."""

    resolution: int          # side of the largest image, in pixels
    blocks: nn.ModuleList    # compiled one by one

    @property
    def stage(self) -> object:
        """What decides which layers run, in a network where that changes as it grows."""
        return None

    @property
    def grown(self) -> bool:
        """Whether the stage changes no more."""
        return True


class Generator(Network):
    """Latent vectors `[N, latent]` to a list of float32 images `[N, C, r, r]`, smallest first, near [-1, 1]."""

    latent: int
    config: dict[str, Any]   # the arguments of `build_generator` that made it
    fresh_latents = False    # whether the step that trains it draws latents of its own
    truncates = False        # whether `forward` takes a `truncation`

    def with_own_statistics(self) -> "Generator":
        """What to make images with after the weights were averaged: itself, but for batch norm."""
        return self

    def draw_noise(self, n: int, random: torch.Generator) -> dict[str, Tensor]:
        """Noise for `n` images that stands in for the buffers of these names: none."""
        return {}


class Discriminator(Network):
    """A list of images `[N, C, r, r]`, smallest first, to float32 logits `[N]`."""

    group = 1                # images of a minibatch stddev (1: none); N is a multiple of it
    mixed_batches = True     # whether real and generated images may share a batch
    compiled_gradients: Callable[[list[Tensor]], Tensor]  # of penalties, where `accelerate.compile_penalty` made it

    def real_views(self, images: Tensor) -> list[Tensor]:
        """Real images `[N, C, R, R]` as this discriminator is to see them."""
        return [images]
