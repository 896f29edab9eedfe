"""PNG and JPEG files, read with nothing silently saturated, truncated or blown up; PNG files, written whole or not."""

import warnings
from pathlib import Path
from typing import BinaryIO

import numpy as np

from sapggan_lib.base.errors import SapgganError
from sapggan_lib.base.files import atomic_path

MAGIC = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")  # of PNG and JPEG
COLLAPSE = 0.25  # of the data's spread; trainings of all four models at 32 pixels had 51 % at the least, once begun
MAX_BYTES = 1 << 30  # of a file, and of a deflated one once inflated
MAX_PIXELS = 1 << 26  # 67 million: four times the largest flat panel, and 128 MiB at 16 bit


def is_image(head: bytes) -> bool:
    """Whether a file that starts with `head` is a PNG or JPEG."""
    return head.startswith(MAGIC)


def read_image(stream: BinaryIO, name: str = "image") -> np.ndarray:
    """Decode a PNG or JPEG: uint8 or uint16 `[H, W]`, or uint8 `[H, W, 3]` where the colours differ.

    Raises `SapgganError` (starting with `name`) for other formats, damaged or cut files, and absurd sizes.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")             # Pillow's own bomb warning; ours is stricter
            image = Image.open(stream, formats=("PNG", "JPEG"))
            if image.width * image.height > MAX_PIXELS:
                raise SapgganError(f"{name}: {image.width:,} x {image.height:,} pixels are more than an image has")
            if image.mode in ("I;16", "I;16B", "I"):
                return np.asarray(image.convert("I")).clip(0, 65535).astype(np.uint16)
            if image.mode in ("1", "L", "LA"):
                return np.array(image.convert("L"))
            pixels = np.array(image.convert("RGB"))
    except UnidentifiedImageError:
        raise SapgganError(f"{name}: neither PNG nor JPEG, or damaged at its start") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise SapgganError(f"{name}: damaged image ({error})") from None
    gray = (pixels[..., 0] == pixels[..., 1]).all() and (pixels[..., 0] == pixels[..., 2]).all()
    return np.ascontiguousarray(pixels[..., 0]) if gray else pixels


def write_png(path: Path | str, image: np.ndarray) -> None:
    """Write uint8 `[H, W]` or `[H, W, 3]`, atomically. Raises `SapgganError` when the disk is full or forbidden.

    Encoded in memory: where the disk is full OpenCV's own writing leaves an empty file and says that all is well.
    """
    import cv2

    done, data = cv2.imencode(".png", image[..., ::-1] if image.ndim == 3 else image)
    assert done, f"an image that PNG cannot hold: {image.dtype} of shape {image.shape}"
    with atomic_path(path) as temporary:
        temporary.write_bytes(data.tobytes())
