"""Kernel distance, KID (Binkowski et al. 2018, arXiv 1801.01401): unbiased, so usable with few images."""

import numpy as np

from sapggan_lib.base.errors import SapgganError
from sapggan_lib.evaluation.features import AnyFeatures, arrays


def kernel_distance(real: AnyFeatures, fake: AnyFeatures, seed: int = 0, blocks: int = 10) -> tuple[float, float]:
    """Squared MMD with the kernel `(x.y / D + 1)^3` between `[N, D]` features, and its standard error.

    The unbiased estimate over all pairs, put together from the averages of `blocks` x `blocks` random blocks
    (chosen by `seed` alone); the standard error is the delete-one-block jackknife's (Efron & Stein 1981).
    """
    sides = arrays(real, fake)
    if min(map(len, sides)) < 2:
        raise SapgganError("one image on a side: the kernel distance needs two or more")
    blocks = min(blocks, *(len(side) // 2 for side in sides))
    rng = np.random.default_rng(seed)
    x, y = (np.array_split(side[rng.permutation(len(side))], blocks) for side in sides)
    xx, yy, xy = _sums(x, x), _sums(y, y), _sums(x, y)                         # [B, B] each
    for table, parts in ((xx, x), (yy, y)):
        table[np.diag_indices(blocks)] -= [_kernel_diagonal(part).sum() for part in parts]
    n, m = np.array([len(part) for part in x]), np.array([len(part) for part in y])

    def mmd(keep: np.ndarray) -> float:                                        # over the kept blocks [B]
        i, j, pick = n[keep].sum(), m[keep].sum(), np.ix_(keep, keep)
        return float(xx[pick].sum() / (i * (i - 1)) + yy[pick].sum() / (j * (j - 1)) - 2 * xy[pick].sum() / (i * j))

    without = np.array([mmd(np.arange(blocks) != block) for block in range(blocks)]) if blocks > 1 else np.zeros(1)
    error = np.sqrt((blocks - 1) / blocks * np.square(without - without.mean()).sum()) if blocks > 1 else np.inf
    return mmd(np.ones(blocks, bool)), float(error)


def _sums(x: list[np.ndarray], y: list[np.ndarray]) -> np.ndarray:
    def total(a: np.ndarray, b: np.ndarray) -> float:
        k = a @ b.T / a.shape[1] + 1
        return np.vdot(k * k, k)              # a power of 3 would take longer than the product of matrices

    return np.array([[total(a, b) for b in y] for a in x])


def _kernel_diagonal(x: np.ndarray) -> np.ndarray:
    return (np.square(x).sum(1) / x.shape[1] + 1) ** 3
