"""What the notebooks look at: walks in latent space, scales against each other, truncation, a quiz."""

from collections.abc import Sequence

import numpy as np
import torch

from sapggan_lib.models import Generator, latents, pyramid, to_uint8
from sapggan_lib.preprocessing import resize


@torch.no_grad()
def walk(generator: Generator, first: int, second: int, positions: Sequence[float]) -> list[np.ndarray]:
    """Images along the great circle between the latent vectors of two seeds, at every scale, smallest first.

    `positions`: 0 is the sample of seed `first`, 1 that of `second`. Each scale: uint8 `[P, r, r]` or `[P, r, r, 3]`.
    """
    start, end = (latents(1, generator.latent, seed)[0] for seed in (first, second))
    angle = torch.arccos(torch.cosine_similarity(start, end, dim=0).clamp(-1, 1)).clamp_min(1e-3)  # equal seeds: 0
    t = torch.tensor(positions)[:, None]                                               # [P, 1]
    z = (torch.sin((1 - t) * angle) * start + torch.sin(t * angle) * end) / torch.sin(angle)
    return [image[..., 0] if image.shape[-1] == 1 else image for image in map(to_uint8, generator(z))]


def sample_pyramid(generator: Generator, seed: int = 0) -> list[np.ndarray]:
    """One sample at every scale that the generator makes, smallest first: uint8 [r, r] or [r, r, 3]."""
    return [images[0] for images in walk(generator, seed, seed, [0])]


@torch.no_grad()
def scale_disagreement(generator: Generator, n: int = 32, seed: int = 0) -> dict[int, float]:
    """Mean absolute difference, in gray levels, of each smaller image from the largest one shrunk to its size.

    By resolution, over `n` samples. 0: the scales show the same picture. Empty for a generator of one scale.
    """
    images = [image.clamp(-1, 1) for image in generator(latents(n, generator.latent, seed))]
    shrunk = pyramid(images[-1], len(images))
    pairs = zip(images[:-1], shrunk[:-1], strict=True)
    return {own.shape[-1]: round(float((own - other).abs().mean()) * 127.5, 2) for own, other in pairs}


def quiz(real: np.ndarray, fake: np.ndarray, n: int = 12, seed: int = 0) -> tuple[list[np.ndarray], list[bool]]:
    """`n` images in random order, half of each kind, and for each whether it is real.

    Images: uint8 [N, H, W] or [N, H, W, 3]. Real ones are resized to the side of the generated ones, which would
    give them away otherwise.
    """
    random = np.random.default_rng(seed)
    half = min(n // 2, len(real), len(fake))
    chosen = [(resize(real[i], fake.shape[1]), True) for i in random.choice(len(real), half, replace=False)]
    chosen += [(fake[i], False) for i in random.choice(len(fake), half, replace=False)]
    order = random.permutation(len(chosen))
    return [chosen[i][0] for i in order], [chosen[i][1] for i in order]
