"""One input through the steps of the paper: PA only, CLAHE, random crop by 5 %, resize."""

import hashlib
import io
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from sapggan_lib.base.config import PreprocessConfig
from sapggan_lib.base.errors import SapgganError
from sapggan_lib.base.images import read_image
from sapggan_lib.dicom import MAX_BYTES, burned_in, decide_view, header_facts, read_header, read_pixels, stretch
from sapggan_lib.preprocessing.shards import TOO_LARGE, Item
from sapggan_lib.preprocessing.sources import is_image
from sapggan_lib.privacy import patient_hash

MIN_SIDE = 16    # pixels; what is smaller shows no chest


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


def process_item(
    item: Item, config: PreprocessConfig, key: bytes, decode: bool = True
) -> tuple[dict[str, Any], np.ndarray | None]:
    """One input's manifest row, and its image where it is kept. A bad file gives a row with the reason.

    `decode` False stops before the pixels are decoded.
    """
    row: dict[str, Any] = {"path": item.path, "status": "failed"}
    try:
        if item.member:
            pixels = np.array(np.load(item.file, mmap_mode="r")[item.row])
            row["sha256"] = hashlib.sha256(pixels.data).hexdigest()
            image = _table_item(item, row, config, lambda: pixels)
        else:
            data = _read(item.file)
            row["sha256"] = hashlib.sha256(data).hexdigest()
            if is_image(data):
                image = _table_item(item, row, config, lambda: read_image(io.BytesIO(data)))
            else:
                image = _dicom_item(item, data, row, config, key, decode)
        if image is None:
            return row, None
        if min(image.shape[:2]) < MIN_SIDE:
            raise SapgganError(f"{image.shape[0]} x {image.shape[1]} pixels are fewer than a radiograph has")
        result = transform(image, config)
        return row | {"status": "kept"}, result
    except SapgganError as error:
        return row | {"reason": str(error)}, None
    except MemoryError:
        return row | {"reason": TOO_LARGE}, None
    except Exception as error:           # a file stranger than all we know; the rest must go on
        return row | {"reason": f"cannot be processed ({type(error).__name__})"}, None


def _read(file: str) -> bytes:
    path = Path(file)
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise SapgganError("not a file")
        if path.stat().st_size > MAX_BYTES:
            raise SapgganError(f"{path.stat().st_size:,} bytes are more than a radiograph has")
        return path.read_bytes()
    except OSError as error:
        broken = path.is_symlink() and not path.exists()
        raise SapgganError("a link to nothing" if broken else f"cannot be read ({error.strerror})") from None


def _table_item(
    item: Item, row: dict, config: PreprocessConfig, read: Callable[[], np.ndarray]
) -> np.ndarray | None:
    row |= {"view": item.view or "unknown", "evidence": "table" if item.view else ""}
    row["patient"] = item.patient
    if not _wanted(row, config):
        return None
    image = read()
    row |= {"rows": image.shape[0], "columns": image.shape[1], "bits_stored": image.dtype.itemsize * 8}
    if image.dtype == np.uint16:
        image, row["notes"] = stretch(image), "no window"
    return image


def _dicom_item(
    item: Item, data: bytes, row: dict, config: PreprocessConfig, key: bytes, decode: bool
) -> np.ndarray | None:
    dataset = read_header(data)
    decision = decide_view(dataset)
    row |= header_facts(dataset) | {"view": decision.view, "evidence": decision.evidence}
    if "PixelData" not in dataset and decision.reason != "not a radiograph":
        raise SapgganError("no pixels in this file: it ends early, or holds no image")
    row["patient"] = patient_hash(key, str(dataset.get("PatientID") or dataset.get("StudyInstanceUID") or ""))
    if decision.reason == "view unknown" and item.view:
        row |= {"view": item.view, "evidence": "table"}
    elif decision.reason not in ("", "AP", "lateral", "view unknown"):
        row |= {"status": "dropped", "reason": decision.reason}
        return None
    if not _wanted(row, config):
        return None
    if burned_in(dataset) and config.burned_in == "drop":
        row |= {"status": "dropped", "reason": "burned-in annotation"}
        return None
    if not decode:
        return None
    image, notes = read_pixels(dataset)
    row["notes"] = "; ".join(notes)
    return image


def _wanted(row: dict, config: PreprocessConfig) -> bool:
    """PA, or unknown where the rule says keep; else the row is marked dropped, with the reason."""
    if row["view"] == "PA" or (row["view"] == "unknown" and config.unknown_view == "keep"):
        return True
    row |= {"status": "dropped", "reason": "view unknown" if row["view"] == "unknown" else row["view"]}
    return False
