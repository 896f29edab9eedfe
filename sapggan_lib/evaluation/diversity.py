"""How varied a set of images is: MS-SSIM of random pairs."""

import cv2
import numpy as np

from sapggan_lib.base.errors import SapgganError
from sapggan_lib.evaluation.features import check_images

SCALE_WEIGHTS = np.array([0.0448, 0.2856, 0.3001, 0.2363, 0.1333])  # Wang et al. 2003, finest scale first
WINDOW = 11                                                         # pixels, with sigma 1.5


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
