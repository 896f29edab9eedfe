"""The paper's steps, pure functions on images: CLAHE, random crop by 5 %, resize."""

import hashlib

import numpy as np

from sapggan_lib.base.config import PreprocessConfig


def apply_clahe(image: np.ndarray, clip_limit: float = 2.0, tiles: int = 8) -> np.ndarray:
    """CLAHE on the full bit depth of uint8 or uint16 `[H, W]`, or on the luma of uint8 `[H, W, 3]`.

    OpenCV's clip limit is relative to a uniform histogram over all 65,536 values; a 12-bit image fills 4,096 of
    them, and would be clipped 16 times too hard. So the limit is given relative to the levels that occur. Beyond
    4,096 levels a tile has too few pixels for its histogram, so the lowest bits are left out of it.
    `clip_limit` 0 returns the image as it is.
    """
    import cv2

    if clip_limit == 0:
        return image
    if image.ndim == 3:
        luma, *chroma = cv2.split(cv2.cvtColor(image, cv2.COLOR_RGB2YCrCb))
        return cv2.cvtColor(cv2.merge([apply_clahe(luma, clip_limit, tiles), *chroma]), cv2.COLOR_YCrCb2RGB)
    if image.dtype == np.uint16:
        counts = cv2.calcHist([image], [0], None, [65536], [0, 65536])
        if np.count_nonzero(counts) > 4096:
            image, counts = image & np.uint16(0xFFF0), counts.reshape(4096, 16).sum(axis=1)
        clip_limit *= 65536 / int(np.count_nonzero(counts))
    return cv2.createCLAHE(clip_limit, (tiles, tiles)).apply(image)


def random_crop(image: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """A view of `image` at a random place, smaller by `share` of its height and of its width."""
    height, width = image.shape[:2]
    new_height, new_width = max(round(height * (1 - share)), 1), max(round(width * (1 - share)), 1)
    top, left = rng.integers(height - new_height + 1), rng.integers(width - new_width + 1)
    return image[top : top + new_height, left : left + new_width]


def resize(image: np.ndarray, size: int) -> np.ndarray:
    """To `size` x `size`, by area where it shrinks; stretched to a square where it is none, as NIH's images are."""
    import cv2

    shrinks = min(image.shape[:2]) >= size
    return cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def to_uint8(image: np.ndarray) -> np.ndarray:
    """uint16 over its full range to uint8, rounded; uint8 as it is."""
    return image if image.dtype == np.uint8 else ((image.astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8)


def to_channels(image: np.ndarray, channels: int) -> np.ndarray:
    """Gray `[H, W]` or colour `[H, W, 3]`: gray is repeated for 3 channels, colour becomes luma for 1."""
    import cv2

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
