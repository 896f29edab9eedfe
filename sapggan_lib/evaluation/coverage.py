"""How real, how varied, how new: precision, recall, density, coverage, and the nearest real images."""

from dataclasses import dataclass

import numpy as np

from sapggan_lib.base.errors import SapgganError
from sapggan_lib.evaluation.features import Features, arrays
from sapggan_lib.evaluation.pairs import Pair, distances


def precision(pair: Pair) -> float:
    """Share of generated images that lie among real ones (Kynkaanniemi et al. 2019, arXiv 1904.06991)."""
    return float(pair.inside.any(0).mean())


def recall(pair: Pair) -> float:
    """Share of real images that lie among generated ones (Kynkaanniemi et al. 2019)."""
    return float((pair.across < pair.radii[1]).any(1).mean())


def density(pair: Pair) -> float:
    """Real neighbourhoods that a generated image lies in, over `k` (Naeem et al. 2020, arXiv 2002.09797)."""
    return float(pair.inside.sum(0).mean() / pair.k)


def coverage(pair: Pair) -> float:
    """Share of real images with a generated one in their neighbourhood (Naeem et al. 2020)."""
    return float((pair.across.min(1) < pair.radii[0]).mean())


def coverage_scores(
    real_features: Features | np.ndarray, fake_features: Features | np.ndarray, k: int = 5
) -> dict[str, float]:
    """`precision`, `recall`, `density`, `coverage` of `[N, D]` features by `k` nearest neighbours (needs N > k).

    Equal to those of `prdc`.
    """
    real, fake = arrays(real_features, fake_features)
    pair = Pair.of(real, fake, k)
    return {score.__name__: score(pair) for score in (precision, recall, density, coverage)}


@dataclass(frozen=True)
class Neighbours:
    """Distances of each generated image to its nearest real ones; arrays are `[N]`, in the order of the images."""

    to_train: np.ndarray          # distance to the nearest training image
    nearest_train: np.ndarray     # its index
    to_held_out: np.ndarray
    nearest_held_out: np.ndarray
    authenticity: float           # share farther from its nearest training image than that is from the next one
    held_out_authenticity: float  # the same of the held-out images: what a model that copies nothing has
    to_as_many: np.ndarray        # [10, N]: distance to the nearest of 10 random, held-out-sized parts of training
    closer_to_train: float        # share nearer to such a part than to as many held-out images; 0.5 without copying


def nearest_neighbours(
    train_features: Features | np.ndarray, held_out_features: Features | np.ndarray,
    fake_features: Features | np.ndarray, seed: int = 0,
) -> Neighbours:  # fmt: skip
    """Look for memorisation: generated images against those trained on and those held out, by features `[N, D]`.

    Authenticity: Alaa et al. 2022 (arXiv 2102.08921). `closer_to_train` averages over `to_as_many`, since the nearest
    of many is nearer. No metric finds all copies (arXiv 2306.04675).
    """
    train, held_out, fake = arrays(train_features, held_out_features, fake_features)
    if min(len(train), len(held_out) + 1, len(fake) + 1) < 2:
        raise SapgganError("nearest neighbours need two training images, one held-out and one generated image")
    within = distances(train, train)
    np.fill_diagonal(within, np.inf)
    spacing = within.min(1)

    def authentic(to_train: np.ndarray) -> float:
        return float((to_train.min(1) > spacing[to_train.argmin(1)]).mean())

    to_train, to_held_out = distances(fake, train), distances(fake, held_out)
    rng = np.random.default_rng(seed)
    size = min(len(train), len(held_out))
    parts = [
        [side[:, rng.choice(side.shape[1], size, False)].min(1) for side in (to_train, to_held_out)] for _ in range(10)
    ]
    to_as_many, to_others = np.moveaxis(np.array(parts), 1, 0)                           # [10, N] each
    return Neighbours(
        to_train.min(1), to_train.argmin(1), to_held_out.min(1), to_held_out.argmin(1),
        authentic(to_train), authentic(distances(held_out, train)), to_as_many, float((to_as_many < to_others).mean()),
    )  # fmt: skip
