"""What the notebooks look at: variety, walks in latent space, scales against each other, a quiz."""

from collections.abc import Mapping, Sequence
from math import comb

import numpy as np
import torch

from sapggan_lib import evaluation
from sapggan_lib.models import Generator, latents, pyramid, to_uint8
from sapggan_lib.preprocessing import resize
from sapggan_lib.training import COLLAPSE, spread

AGREE = 0.25  # of the samples' spread: up to here a scale shows what the largest image shows
JUMP = 0.5    # share of a walk's way from which on one step is called a jump


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


def luck(n: int, right: int) -> float:
    """How often, at most, somebody who cannot tell gets `right` or more of `n` images, half of them generated.

    Who knows that half are calls half of them so; then the hits are a hypergeometric number, and the same holds for
    any other number of calls. The luckiest number counts.
    """
    half = n // 2
    ways = {calls: sum(comb(half, hits) * comb(half, calls - hits) for hits in range(calls + 1)
                       if half - calls + 2 * hits >= right) for calls in range(2 * half + 1)}  # fmt: skip
    return max(lucky / comb(2 * half, calls) for calls, lucky in ways.items())


def closest_pair(images: np.ndarray) -> tuple[int, int, float]:
    """The two images that are most alike, and their mean absolute difference in gray levels. uint8 `[N, ...]`."""
    flat = images.reshape(len(images), -1).astype(np.float32)
    distances = np.stack([np.abs(flat - image).mean(1) for image in flat])
    np.fill_diagonal(distances, np.inf)
    first, second = np.unravel_index(distances.argmin(), distances.shape)
    return int(first), int(second), float(distances[first, second])


def variety(fake: np.ndarray, real: np.ndarray) -> dict[str, dict[str, float]]:
    """How varied generated and real images are, as many of each and of one size: uint8 `[N, H, W]` or `[N, H, W, 3]`.

    Of each side the spread and the closest pair, in gray levels, and MS-SSIM of pairs with its standard error.
    """
    n, side, measured = min(len(fake), len(real)), min(fake.shape[1], real.shape[1]), {}
    for name, images in (("generated", fake), ("real", real)):
        small = np.stack([resize(image, side) for image in images[:n]])
        found = spread(small), closest_pair(small)[2], *evaluation.diversity(small)
        measured[name] = dict(zip(("spread", "closest", "likeness", "error"), found, strict=True))
    return measured


def variety_findings(measured: Mapping[str, Mapping[str, float]]) -> list[str]:
    """What `variety` found: whether the generator has collapsed, is less varied, or repeats an image."""
    fake, real = measured["generated"], measured["real"]
    verdict = "as varied as the radiographs, as far as can be told"
    if fake["likeness"] - real["likeness"] > 2 * np.hypot(fake["error"], real["error"]):
        verdict = "less varied than the radiographs"
    if fake["spread"] < COLLAPSE * real["spread"]:
        verdict = "**collapsed**: nearly one image again and again, whatever the figures below seem to show"
    copies = "; those two are nearly one image" if fake["closest"] < real["closest"] / 2 else ""
    pairs = [f"{side['likeness']:.2f} ± {2 * side['error']:.2f}" for side in (fake, real)]
    return [
        f"The samples are {verdict}. They spread over {fake['spread']:.1f} gray levels, the radiographs over "
        f"{real['spread']:.1f}; two samples are alike by {pairs[0]} (MS-SSIM), two radiographs by {pairs[1]}.",
        f"The most similar samples differ by {fake['closest']:.1f} gray levels{copies}; radiographs, as many of them, "
        f"by {real['closest']:.1f}.",
    ]


def findings(
    measured: Mapping[str, Mapping[str, float]], disagreement: Mapping[int, float], walks: Sequence[np.ndarray]
) -> list[str]:
    """What `variety`, `scale_disagreement` and walks found. A walk: its images in order, uint8 `[P, H, W, ...]`."""
    sentences, spreads = variety_findings(measured), {name: side["spread"] for name, side in measured.items()}
    for side, levels in sorted(disagreement.items(), key=lambda item: item[1])[-1:]:
        says = "agree" if levels < AGREE * spreads["generated"] else "do not agree"
        sentences.append(f"The scales {says}: the worst, of {side} pixels, is {levels:.1f} gray levels from the "
                         f"largest image; samples spread over {spreads['generated']:.1f}.")  # fmt: skip
    steps = [np.abs(np.diff(images.astype(float), axis=0)).mean(tuple(range(1, images.ndim))) for images in walks]
    way, largest = min(map(sum, steps)), max(step.max() / max(step.sum(), 1e-12) for step in steps)
    says = "stand nearly still" if way < COLLAPSE * spreads["real"] else "jump" if largest >= JUMP else "are gradual"
    return [*sentences, f"The walks {says}: each is {way:.1f} gray levels long or more, and no step is more than "
            f"{largest:.0%} of its walk, where equal ones would be {1 / len(steps[0]):.0%}."]  # fmt: skip
