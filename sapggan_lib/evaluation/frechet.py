"""Fréchet distance between two sets of features (Heusel et al. 2017, arXiv 1706.08500)."""

import numpy as np
import torch

from sapggan_lib.base.errors import SapgganError
from sapggan_lib.evaluation.features import AnyFeatures, arrays


def frechet_distance(real: AnyFeatures, fake: AnyFeatures) -> float:
    """`|m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^1/2)` of the Gaussians fitted to `[N, D]` features.

    With centred, scaled features A and B (`S1 = A'A`, `S2 = B'B`) the last trace is the sum of the singular values of
    `A B'`. Factors with more than D rows shrink to D x D first, so that the eigenvalues of `L' S2 L` (`S1 = L L'`)
    do; those are symmetric, unlike `S1 S2` whose general square root costs many times more.
    """
    (mean1, a), (mean2, b) = map(_factor, arrays(real, fake))
    if mean1.shape != mean2.shape:
        raise SapgganError(f"features of {len(mean1)} and {len(mean2)} dimensions; use one extractor for both sides")
    distance = np.square(mean1 - mean2).sum() + np.square(a).sum() + np.square(b).sum()
    return float(max(distance - 2 * trace_sqrt_product(a, b), 0.0))


def trace_sqrt_product(a: np.ndarray, b: np.ndarray) -> float:
    """`tr (A'A B'B)^1/2` for factors `[N, D]` and `[M, D]`."""
    if min(len(a), len(b)) < a.shape[1]:
        if max(len(a), len(b)) <= a.shape[1]:
            return float(torch.linalg.svdvals(torch.from_numpy(a @ b.T)).sum())
        small, large = (a, b) if len(a) < len(b) else (b, a)
        product = small @ (large.T @ large) @ small.T
    else:
        covariance = a.T @ a
        try:
            factor = np.linalg.cholesky(covariance)
        except np.linalg.LinAlgError:               # features that never vary
            values, vectors = np.linalg.eigh(covariance)
            factor = vectors * np.sqrt(values.clip(0))
        product = factor.T @ (b.T @ b) @ factor
    values = np.linalg.eigvalsh(product)
    # what rounding left of zero eigenvalues would count with its square root
    return float(np.sqrt(values[values > values[-1] * len(values) * np.finfo(float).eps]).sum())


def _factor(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if features.ndim != 2 or len(features) < 2:
        raise SapgganError(f"features of shape {features.shape}: a covariance needs two images or more on each side")
    mean = features.mean(0)
    return mean, (features - mean) / np.sqrt(len(features) - 1)


def frechet_infinity(real: AnyFeatures, fake: AnyFeatures, seed: int = 0, points: int = 15) -> tuple[float, float]:
    """The Fréchet distance extrapolated to endlessly many images, and its standard error from the fit.

    Chong & Forsyth 2020 (arXiv 1911.07023): random subsets (chosen by `seed`) of `points` sizes, a line over 1 / N,
    its value at 0. Both sides shrink together, so the real side's bias goes too. The bias follows 1 / N only when N
    is well above the features' dimension D; raises `SapgganError` for N < 2 D.
    """
    sides = arrays(real, fake)
    n, dimension = min(map(len, sides)), sides[0].shape[1]
    if n < 2 * dimension:
        raise SapgganError(f"{n:,} images a side are too few to extrapolate {dimension:,} features; "
                           f"use {2 * dimension:,} or more, or the kernel distance, which has no bias")
    rng = np.random.default_rng(seed)
    sizes = np.linspace(max(n // 10, dimension), n, points).astype(int)
    values = [frechet_distance(*(rng.choice(side, size, replace=False) for side in sides)) for size in sizes]
    # a subset's distance spreads as 1 / sqrt(N) or less: weight by it
    (_, value), covariance = np.polyfit(1 / sizes, values, 1, w=np.sqrt(sizes), cov=True)
    return float(max(value, 0.0)), float(np.sqrt(covariance[1, 1]))
