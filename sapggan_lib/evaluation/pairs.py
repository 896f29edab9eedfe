"""Two sets of features, with what several metrics need of them worked out once."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np

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
