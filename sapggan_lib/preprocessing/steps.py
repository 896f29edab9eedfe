"""The paper's steps, pure functions on images: CLAHE, random crop by 5 %, resize."""

import hashlib

import cv2
import numpy as np

from sapggan_lib.base.config import PreprocessConfig


def apply_clahe(image: np.ndarray, clip_limit: float, tiles: int) -> np.ndarray:
    """CLAHE (Zuiderveld 1994) of uint8 or uint16 `[H, W]`, or of the luma of uint8 `[H, W, 3]`; `tiles` per side.

    `clip_limit`, from 1, is the most by which contrast is multiplied: no tile's curve is steeper, so it means the same
    at every size, bit depth and number of tiles. OpenCV's counts whole pixels, at least 1 a level, and does not.
    Curves have 256 levels. Between these, and between the tiles' centres, they are interpolated. A limit up to 1
    returns the image as it is.
    """
    if clip_limit <= 1:
        return image
    if image.ndim == 3:
        luma, *chroma = cv2.split(cv2.cvtColor(image, cv2.COLOR_RGB2YCrCb))
        return cv2.cvtColor(cv2.merge([apply_clahe(luma, clip_limit, tiles), *chroma]), cv2.COLOR_YCrCb2RGB)
    height, width = image.shape
    down, across, unit = min(tiles, height), min(tiles, width), np.float32(np.iinfo(image.dtype).max // 255)
    parts = [part for band in np.array_split(to_uint8(image), down) for part in np.array_split(band, across, axis=1)]
    counts = [cv2.calcHist([part], [0], None, [256], [0, 256]).ravel() / part.size for part in parts]
    curves = tone_curves(np.array(counts), clip_limit).astype(np.float32).reshape(down, -1)
    by_row = cv2.resize(curves, (across * 256, height))                   # interpolated between the tiles' centres
    place = ((np.arange(width, dtype=np.float32) + 0.5) / width * across - 0.5).clip(0, across - 1)
    result = np.empty_like(image)
    for rows in (slice(top, top + 64) for top in range(0, height, 64)):   # as much as a cache holds
        level = image[rows] / unit
        row = np.repeat(np.arange(len(level), dtype=np.float32)[:, None], width, axis=1)
        left, right = (cv2.remap(by_row[rows], level + 256 * tile, row, cv2.INTER_LINEAR)
                       for tile in (np.floor(place), np.ceil(place)))
        result[rows] = np.rint((left + place % 1 * (right - left)) * unit)
    return result


def tone_curves(shares: np.ndarray, clip_limit: float) -> np.ndarray:
    """CLAHE's curves of histograms `[N, 256]`, each of sum 1: what becomes of levels 0 to 255, `[N, 256]`.

    What exceeds `clip_limit` times the mean is shared out equally among the levels below it, none beyond it. A curve
    is the sum up to the middle of each level, which leaves a uniform histogram as it is.
    """
    bars = np.minimum(shares * 256, clip_limit)
    while (lost := 1 - bars.mean(axis=1, keepdims=True)).max() > 1e-6:
        low = bars < clip_limit
        bars = np.minimum(bars + low * lost * 256 / low.sum(axis=1, keepdims=True).clip(1), clip_limit)
    return (bars.cumsum(axis=1) - bars / 2 - 0.5).clip(0, 255)


def random_crop(image: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """A view of `image` at a random place, smaller by `share` of its height and of its width."""
    height, width = image.shape[:2]
    new_height, new_width = max(round(height * (1 - share)), 1), max(round(width * (1 - share)), 1)
    top, left = rng.integers(height - new_height + 1), rng.integers(width - new_width + 1)
    return image[top : top + new_height, left : left + new_width]


def resize(image: np.ndarray, size: int) -> np.ndarray:
    """To `size` x `size`, by area where it shrinks; stretched to a square where it is none, as NIH's images are."""
    shrinks = min(image.shape[:2]) >= size
    return cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def to_uint8(image: np.ndarray) -> np.ndarray:
    """uint16 over its full range to uint8, rounded; uint8 as it is."""
    return image if image.dtype == np.uint8 else cv2.convertScaleAbs(image, alpha=255 / 65535)


def to_channels(image: np.ndarray, channels: int) -> np.ndarray:
    """Gray `[H, W]` or colour `[H, W, 3]`: gray is repeated for 3 channels, colour becomes luma for 1."""
    if channels == 3:
        return image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2)
    return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) if image.ndim == 3 else image


def crop_generator(image: np.ndarray, seed: int) -> np.random.Generator:
    """What draws an image's crop: depends on `seed` and on the pixels alone, so neither a file's name, encoding and
    neighbours nor the worker and the order change the crop."""
    sample = np.ascontiguousarray(image[::8, ::8])
    return np.random.default_rng([seed, *hashlib.sha256(sample.tobytes()).digest()])


def transform(image: np.ndarray, config: PreprocessConfig) -> np.ndarray:
    """All steps in the paper's order: uint8 or uint16 `[H, W]` (or colour) to uint8 `[size, size]` (or `[..., 3]`)."""
    rng = crop_generator(image, config.seed)
    image = apply_clahe(image, config.clip_limit, config.tiles)
    image = random_crop(image, config.crop, rng)
    return to_channels(to_uint8(resize(image, config.size)), config.channels)
