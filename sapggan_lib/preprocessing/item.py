"""One input on its way into a store: what is taken, what is dropped and why. A bad file is a row, never an error."""

import hashlib
import io
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sapggan_lib.base.config import PreprocessConfig
from sapggan_lib.base.errors import SapgganError
from sapggan_lib.base.images import MAX_BYTES, is_image, read_image
from sapggan_lib.dicom import burned_in, decide_view, header_facts, read_header, read_pixels, require_pixels, stretch
from sapggan_lib.preprocessing.steps import transform
from sapggan_lib.privacy import patient_hash

MIN_SIDE = 16    # pixels; what is smaller shows no chest
TOO_LARGE = "needs more memory than one image should"

Answer = tuple[dict[str, Any], np.ndarray | None]      # a manifest row, and the image where it is kept


@dataclass(frozen=True)
class Item:
    """One input: a file, or one image inside an array file."""

    path: str                       # what the manifest says: a keyed hash, or the path below the source
    file: str                       # where it can be opened
    row: int = -1                   # which image of an array file; -1: the file is one image
    member: str = ""                # the array in its archive
    kind: str = ""                  # of the array file: a key of `sources.KINDS`
    view: str = ""                  # what a table says: PA, AP, lateral, unknown; "" where no table names the file
    patient: str = ""               # the keyed hash of the table's patient


class Dropped(Exception):
    """An input that is not wanted; the message is the manifest's reason."""


def process_item(item: Item, config: PreprocessConfig, key: bytes, decode: bool = True) -> Answer:
    """One input's manifest row, and its image where it is kept. A bad file gives a row with the reason.

    `decode` False stops before the pixels are decoded, with a row that has failed.
    """
    row: dict[str, Any] = {"path": item.path, "status": "failed"}
    try:
        source = _open(item, row)
        _judge(source, item, config, key, row)
        if not decode:
            raise SapgganError("not decoded")
        image = _decode(source, row)
        if min(image.shape[:2]) < MIN_SIDE:
            raise SapgganError(f"{image.shape[0]} x {image.shape[1]} pixels are fewer than a radiograph has")
        return row | {"status": "kept"}, transform(image, config)
    except Dropped as dropped:
        return row | {"status": "dropped", "reason": str(dropped)}, None
    except SapgganError as error:
        reason = str(error)
    except MemoryError:
        reason = TOO_LARGE
    except Exception as error:           # a file stranger than all we know; the rest must go on
        reason = f"cannot be processed ({type(error).__name__})"
    return row | {"reason": reason}, None


def _open(item: Item, row: dict[str, Any]) -> Any:
    """An image out of an array file, a PNG's or JPEG's bytes, or a pydicom Dataset; the SHA-256 goes into `row`."""
    if item.member:
        pixels = np.array(np.load(item.file, mmap_mode="r")[item.row])
        row["sha256"] = hashlib.sha256(pixels.data).hexdigest()
        return pixels
    path = Path(item.file)
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise SapgganError("not a file")
        if status.st_size > MAX_BYTES:
            raise SapgganError(f"{status.st_size:,} bytes are more than a radiograph has")
        data = path.read_bytes()
    except OSError as error:
        broken = path.is_symlink() and not path.exists()
        raise SapgganError("a link to nothing" if broken else f"cannot be read ({error.strerror})") from None
    row["sha256"] = hashlib.sha256(data).hexdigest()
    return data if is_image(data) else read_header(data)


def _judge(source: Any, item: Item, config: PreprocessConfig, key: bytes, row: dict[str, Any]) -> None:
    """Fill `row` with what is known before the pixels are decoded. Raises `Dropped` for what is not wanted.

    A DICOM header tells the view; where it is silent, or there is none, a table may.
    """
    if isinstance(source, (bytes, np.ndarray)):
        row |= {"view": item.view or "unknown", "evidence": "table" if item.view else "", "patient": item.patient}
        _require_view(row["view"], config)
        return
    decision = decide_view(source)
    row |= header_facts(source) | {"view": decision.view, "evidence": decision.evidence}
    if decision.reason != "not a radiograph":
        require_pixels(source)
    row["patient"] = patient_hash(key, str(source.get("PatientID") or source.get("StudyInstanceUID") or ""))
    if decision.reason == "view unknown" and item.view:
        row |= {"view": item.view, "evidence": "table"}
    elif decision.reason not in ("", "AP", "lateral", "view unknown"):
        raise Dropped(decision.reason)
    _require_view(row["view"], config)
    if burned_in(source) and config.burned_in == "drop":
        raise Dropped("burned-in annotation")


def _require_view(view: str, config: PreprocessConfig) -> None:
    """Raise `Dropped` unless the view is PA, or unknown where the rule says keep."""
    if view != "PA" and not (view == "unknown" and config.unknown_view == "keep"):
        raise Dropped("view unknown" if view == "unknown" else view)


def _decode(source: Any, row: dict[str, Any]) -> np.ndarray:
    """The pixels, uint8 or uint16 `[H, W]` or uint8 `[H, W, 3]`; what is found in them goes into `row`."""
    if not isinstance(source, (bytes, np.ndarray)):
        image, notes = read_pixels(source)
        row["notes"] = "; ".join(notes)
        return image
    image = read_image(io.BytesIO(source)) if isinstance(source, bytes) else source
    row |= {"rows": image.shape[0], "columns": image.shape[1], "bits_stored": image.dtype.itemsize * 8}
    if image.dtype == np.uint16:
        row["notes"] = "no window"
        return stretch(image)
    return image
