"""How real, how varied, how new: precision, recall, density, coverage, MS-SSIM diversity, nearest neighbours."""

from dataclasses import dataclass

import cv2
import numpy as np

from sapggan_lib.base.errors import SapgganError
from sapggan_lib.evaluation.features import check_images

SCALE_WEIGHTS = np.array([0.0448, 0.2856, 0.3001, 0.2363, 0.1333])  # Wang et al. 2003, finest scale first
WINDOW = 11                                                         # pixels, with sigma 1.5


def distances(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Euclidean distances `[N, M]` between features `[N, D]` and `[M, D]`."""
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    squares = np.square(x).sum(1)[:, None] + np.square(y).sum(1) - 2 * x @ y.T
    return np.sqrt(squares.clip(0))


def coverage_scores(real_features: np.ndarray, fake_features: np.ndarray, k: int = 5) -> dict[str, float]:
    """`precision`, `recall`, `density`, `coverage` of `[N, D]` features by `k` nearest neighbours (needs N > k).

    Kynkaanniemi et al. 2019 (arXiv 1904.06991) and Naeem et al. 2020 (arXiv 2002.09797), equal to `prdc`.
    """
    real, fake = real_features, fake_features
    return coverage_of_distances(distances(real, real), distances(fake, fake), distances(real, fake), k)


def coverage_of_distances(real: np.ndarray, fake: np.ndarray, across: np.ndarray, k: int) -> dict[str, float]:
    """`coverage_scores` from distances within real `[R, R]`, within fake `[F, F]` and `across` `[R, F]`."""
    real_radius, fake_radius = (np.partition(d, k, axis=1)[:, k] for d in (real, fake))  # 0 is the image itself
    inside = across < real_radius[:, None]                                               # [R, F]
    return {
        "precision": float(inside.any(0).mean()),
        "recall": float((across < fake_radius).any(1).mean()),
        "density": float(inside.sum(0).mean() / k),
        "coverage": float((across.min(1) < real_radius).mean()),
    }


@dataclass(frozen=True)
class Neighbours:
    """Distances of each generated image to its nearest real ones; arrays are `[N]`, in the order of the images."""

    to_train: np.ndarray          # distance to the nearest training image
    nearest_train: np.ndarray     # its index
    to_held_out: np.ndarray
    nearest_held_out: np.ndarray
    authenticity: float           # share farther from its nearest training image than that is from the next one
    held_out_authenticity: float  # the same of the held-out images: what a model that copies nothing has
    closer_to_train: float        # share nearer to training than to as many held-out images; 0.5 without copying


def nearest_neighbours(
    train_features: np.ndarray, held_out_features: np.ndarray, fake_features: np.ndarray, seed: int = 0
) -> Neighbours:
    """Look for memorisation: generated images against those trained on and those held out, by features `[N, D]`.

    Authenticity: Alaa et al. 2022 (arXiv 2102.08921). `closer_to_train` averages over 10 random training subsets of
    the held-out set's size, since the nearest of many is nearer. No metric finds all copies (arXiv 2306.04675).
    """
    if min(len(train_features), len(held_out_features) + 1, len(fake_features) + 1) < 2:
        raise SapgganError("nearest neighbours need two training images, one held-out and one generated image")
    within = distances(train_features, train_features)
    np.fill_diagonal(within, np.inf)
    spacing = within.min(1)

    def authentic(to_train: np.ndarray) -> float:
        return float((to_train.min(1) > spacing[to_train.argmin(1)]).mean())

    train, held_out = distances(fake_features, train_features), distances(fake_features, held_out_features)
    rng = np.random.default_rng(seed)
    size = min(len(train_features), len(held_out_features))
    shares = [
        (train[:, rng.choice(len(train_features), size, False)].min(1)
         < held_out[:, rng.choice(len(held_out_features), size, False)].min(1)).mean()
        for _ in range(10)
    ]  # fmt: skip
    return Neighbours(
        train.min(1), train.argmin(1), held_out.min(1), held_out.argmin(1),
        authentic(train), authentic(distances(held_out_features, train_features)), float(np.mean(shares)),
    )  # fmt: skip


def ms_ssim(x: np.ndarray, y: np.ndarray) -> float:
    """Multi-scale structural similarity of two gray images `[H, W]` in [0, 255]; 1 for equal ones.

    Wang et al. 2003. Five scales from 161 pixels on; smaller images use the first ones, weights scaled to sum 1.
    """
    x, y = x.astype(np.float64), y.astype(np.float64)
    scales = min(len(SCALE_WEIGHTS), int(np.log2((min(x.shape) - 1) / (WINDOW - 1))) + 1)
    weights = SCALE_WEIGHTS[:scales] / SCALE_WEIGHTS[:scales].sum()
    result, edge = 1.0, WINDOW // 2
    for scale, weight in enumerate(weights):
        if scale:
            x, y = (cv2.resize(i[: i.shape[0] // 2 * 2, : i.shape[1] // 2 * 2], None, fx=0.5, fy=0.5,
                               interpolation=cv2.INTER_AREA) for i in (x, y))  # fmt: skip
        mean_x, mean_y, xx, yy, xy = (
            cv2.GaussianBlur(i, (WINDOW, WINDOW), 1.5)[edge:-edge, edge:-edge] for i in (x, y, x * x, y * y, x * y)
        )
        c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
        similarity = (2 * (xy - mean_x * mean_y) + c2) / (xx - mean_x**2 + yy - mean_y**2 + c2)
        if scale == scales - 1:
            similarity = similarity * (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
        result *= max(similarity.mean(), 0) ** weight
    return float(result)


def diversity(images: np.ndarray, pairs: int = 200, seed: int = 0) -> tuple[float, float]:
    """Mean MS-SSIM over up to `pairs` disjoint random pairs of images, and its standard error; low is varied.

    Odena et al. 2017 (arXiv 1610.09585). Compare with the real images' own value: higher than that tells of
    collapse. `images`: uint8 `[N, H, W]` or `[N, H, W, 3]` (the first channel is taken), at least 11 pixels.
    """
    check_images(images)
    if len(images) < 4 or min(images.shape[1:3]) < WINDOW:
        raise SapgganError(f"diversity of images {images.shape}: needs four or more, of {WINDOW} pixels or more")
    order = np.random.default_rng(seed).permutation(len(images))
    gray = images if images.ndim == 3 else images[..., 0]
    values = [ms_ssim(gray[i], gray[j]) for i, j in zip(order[::2], order[1::2], strict=False)][:pairs]
    return float(np.mean(values)), float(np.std(values, ddof=1) / np.sqrt(len(values)))
