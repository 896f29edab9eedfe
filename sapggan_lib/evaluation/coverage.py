"""How real, how varied, how new: precision, recall, density, coverage, and the nearest real images.

`Pair` is two sets of features, with what several metrics need of them worked out once.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np

from sapggan_lib.base.errors import SapgganError
from sapggan_lib.evaluation.features import AnyFeatures, arrays
from sapggan_lib.evaluation.kernel import kernel_distance


def distances(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Euclidean distances `[N, M]` between features `[N, D]` and `[M, D]`."""
    squares = np.square(x).sum(1)[:, None] + np.square(y).sum(1) - 2 * x @ y.T
    return np.sqrt(squares.clip(0))


@dataclass(frozen=True)
class Pair:
    """Real and generated features, float64 `[R, D]` and `[F, D]`; what every metric of `scores.METRICS` takes."""

    real: np.ndarray
    fake: np.ndarray
    within_real: np.ndarray   # distances [R, R]
    within_fake: np.ndarray   # [F, F]
    across: np.ndarray        # [R, F]
    k: int                    # neighbours
    seed: int

    @classmethod
    def of(cls, real: np.ndarray, fake: np.ndarray, k: int = 5, seed: int = 0) -> Self:
        """A pair of features, float64 `[N, D]`, of more than `k` images each."""
        return cls(real, fake, distances(real, real), distances(fake, fake), distances(real, fake), k, seed)

    def keep(self, real: np.ndarray, fake: np.ndarray) -> Self:
        """The pair of those images alone, by index; no distance is worked out again."""
        return replace(
            self, real=self.real[real], fake=self.fake[fake], within_real=self.within_real[np.ix_(real, real)],
            within_fake=self.within_fake[np.ix_(fake, fake)], across=self.across[np.ix_(real, fake)],
        )  # fmt: skip

    @cached_property
    def radii(self) -> tuple[np.ndarray, np.ndarray]:
        """Distance of each real image to its `k`-th nearest real one, `[R]`; the same among generated ones, `[F]`."""
        real, fake = (np.partition(d, self.k, axis=1)[:, self.k] for d in (self.within_real, self.within_fake))
        return real, fake                     # place 0 is the image itself

    @cached_property
    def inside(self) -> np.ndarray:
        """Whether a generated image lies within a real one's radius, `[R, F]`."""
        return self.across < self.radii[0][:, None]

    @cached_property
    def kernel(self) -> tuple[float, float]:
        """The kernel distance and its standard error."""
        return kernel_distance(self.real, self.fake, self.seed)


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


def coverage_scores(real: AnyFeatures, fake: AnyFeatures, k: int = 5) -> dict[str, float]:
    """`precision`, `recall`, `density`, `coverage` of `[N, D]` features by `k` nearest neighbours (needs N > k).

    Equal to those of `prdc`.
    """
    x, y = arrays(real, fake)
    pair = Pair.of(x, y, k)
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


def nearest_neighbours(train: AnyFeatures, held_out: AnyFeatures, fake: AnyFeatures, seed: int = 0) -> Neighbours:
    """Look for memorisation: generated images against those trained on and those held out, by features `[N, D]`.

    Authenticity: Alaa et al. 2022 (arXiv 2102.08921). `closer_to_train` averages over `to_as_many`, since the nearest
    of many is nearer. No metric finds all copies (arXiv 2306.04675).
    """
    train, held_out, fake = arrays(train, held_out, fake)
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
