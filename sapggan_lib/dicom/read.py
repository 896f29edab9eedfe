"""Chest radiographs from DICOM: the header's facts, and pixels as a viewer would show them.

Pixels go through the standard's chain: modality LUT or rescale, VOI LUT or window, then inversion for
MONOCHROME1 or PresentationLUTShape INVERSE. The chain is evaluated once per gray value, not per pixel.
"""

import io
import warnings
import zlib
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from sapggan_lib.base.errors import SapgganError
from sapggan_lib.base.images import MAX_BYTES, MAX_PIXELS
from sapggan_lib.dicom.codestream import check_codestream
from sapggan_lib.dicom.gray import pixel_spacing_ratio, presentation
from sapggan_lib.dicom.terms import term
from sapggan_lib.dicom.view import ViewDecision, decide_view

_JPEG_EXTENDED = "1.2.840.10008.1.2.4.51"
_JPEG2000 = ("1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91")


@dataclass(frozen=True)
class Radiograph:
    """One radiograph in presentation space."""

    pixels: np.ndarray                      # uint16 [H, W], 0 black to 65535 white; bone is light, air is dark
    view: ViewDecision
    facts: dict[str, str]                   # manifest columns: view, modality, body_part, photometric, ...
    notes: list[str]                        # "window replaced by percentiles", "burned-in annotation", ...


def read_radiograph(path: Path | str) -> Radiograph:
    """Read a DICOM file, whatever its view. Raises `SapgganError` with the reason when it cannot be shown."""
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SapgganError(f"{path}: cannot be read ({error.strerror})") from None
    try:
        dataset = read_header(data)
        pixels, notes = read_pixels(dataset)
    except SapgganError as error:
        raise SapgganError(f"{path}: {error}") from None
    return Radiograph(pixels, decide_view(dataset), header_facts(dataset), notes)


def read_header(data: bytes) -> Any:
    """Parse a DICOM file's bytes to a pydicom Dataset, pixels still encoded. Raises `SapgganError`."""
    from pydicom import dcmread, uid

    if len(data) > MAX_BYTES:
        raise SapgganError(f"{len(data):,} bytes are more than a radiograph has")
    marked = data[128:132] == b"DICM"
    if not marked and data[:2] not in (b"\x08\x00", b"\x00\x08", b"\x02\x00"):
        raise SapgganError('not a DICOM file (no "DICM" at byte 128)')
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset: Any = dcmread(_Bounded(data), force=not marked)
            if "PixelData" not in dataset:            # cut inside the pixels: pydicom then drops the header too
                dataset = dcmread(_Bounded(data), force=not marked, stop_before_pixels=True)
            # Reading every element now keeps pydicom's later surprises inside this block.
            for element in dataset:
                if element.keyword == "PixelData":
                    break
            if "TransferSyntaxUID" not in dataset.file_meta:
                implicit, little = dataset.original_encoding
                explicit = uid.ExplicitVRLittleEndian if little else uid.ExplicitVRBigEndian
                dataset.file_meta.TransferSyntaxUID = uid.ImplicitVRLittleEndian if implicit else explicit
    except SapgganError:
        raise
    except MemoryError:
        raise SapgganError("header asks for more memory than a radiograph needs") from None
    except Exception as error:           # pydicom raises nearly every type on hostile headers
        raise SapgganError(f"damaged DICOM header ({type(error).__name__})") from None
    if not marked and "SOPClassUID" not in dataset:
        raise SapgganError('not a DICOM file (no "DICM" at byte 128)')
    return dataset


def read_pixels(dataset: Any) -> tuple[np.ndarray, list[str]]:
    """Decode a dataset to uint16 `[H, W]` in presentation space, with notes for the manifest.

    Several frames, colour, float pixels, more than 16 bits and absurd sizes are refused. Overlays are not drawn.
    Pixels that are not square are made so. Raises `SapgganError`.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _check_size(dataset)
            # gdcm refuses cut streams and is the fastest, the next in line might not; unused bits we look at ourselves.
            plugin = "gdcm" if dataset.file_meta.TransferSyntaxUID in _JPEG2000 else ""
            dataset.pixel_array_options(decoding_plugin=plugin, correct_unused_bits=False, view_only=True)  # no copy
            stored = dataset.pixel_array
            if stored.shape != (dataset.Rows, dataset.Columns):
                raise SapgganError(f"pixels of shape {stored.shape} where the header says "
                                   f"{dataset.Rows} x {dataset.Columns}")
            pixels, notes = presentation(dataset, stored)
            ratio = pixel_spacing_ratio(dataset)
    except SapgganError:
        raise
    except MemoryError:
        raise SapgganError("decoding needs more memory than a radiograph has") from None
    except Exception as error:
        if dataset.file_meta.TransferSyntaxUID == _JPEG_EXTENDED and not find_spec("libjpeg"):
            raise SapgganError("12-bit JPEG Extended needs a decoder under the GPL: "
                               "pip install 'sapggan[jpeg12]'") from None
        # Not its message, which may quote the header, and would stand in a manifest.
        raise SapgganError(f"pixels cannot be decoded ({type(error).__name__})") from error
    if burned_in(dataset):
        notes.append("burned-in annotation")
    if abs(ratio - 1) > 0.01:
        import cv2

        tall, wide = (max(ratio, 1), max(1 / ratio, 1))
        size = round(pixels.shape[1] * wide), round(pixels.shape[0] * tall)
        if size[0] * size[1] > MAX_PIXELS or max(tall, wide) > 4:
            raise SapgganError(f"pixels {ratio:.3g} times as tall as wide are not a radiograph's")
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_LINEAR)
        notes.append("pixels made square")
    return pixels, notes


def header_facts(dataset: Any) -> dict[str, str]:
    """The manifest's columns that describe the file; nothing that identifies a person or an institution."""
    from pydicom.uid import UID

    syntax = UID(str(dataset.file_meta.get("TransferSyntaxUID", "")))
    facts = {
        "modality": term(dataset, "Modality"),
        "body_part": term(dataset, "BodyPartExamined"),
        "photometric": term(dataset, "PhotometricInterpretation"),
        "transfer_syntax": syntax.name if syntax.is_transfer_syntax and not syntax.is_private else "unknown",
    }
    numbers = {"rows": dataset.get("Rows"), "columns": dataset.get("Columns"), "bits_stored": dataset.get("BitsStored")}
    return facts | {column: str(value) if isinstance(value, int) else "" for column, value in numbers.items()}


def burned_in(dataset: Any) -> bool:
    """Whether the header says that text is burned into the pixels. A header that does not say so proves nothing."""
    return str(dataset.get("BurnedInAnnotation", "")).strip().upper() == "YES"


def require_pixels(dataset: Any) -> None:
    """Raise `SapgganError` where a file has a header alone."""
    if "PixelData" not in dataset:
        raise SapgganError("no pixels in this file: it ends early, or holds no image")


def _check_size(dataset: Any) -> None:
    require_pixels(dataset)
    rows, columns, allocated, stored = (
        dataset.get(keyword) for keyword in ("Rows", "Columns", "BitsAllocated", "BitsStored")
    )
    if not all(isinstance(value, int) and value > 0 for value in (rows, columns, allocated, stored)):
        raise SapgganError("Rows, Columns, BitsAllocated or BitsStored is missing or not a number")
    if rows * columns > MAX_PIXELS:
        raise SapgganError(f"{rows:,} x {columns:,} pixels are more than a radiograph has")
    if int(dataset.get("NumberOfFrames") or 1) != 1:
        raise SapgganError(f"{int(dataset.NumberOfFrames):,} frames: not a single radiograph")
    if int(dataset.get("SamplesPerPixel", 1)) != 1 or not str(
        dataset.get("PhotometricInterpretation", "")
    ).startswith("MONOCHROME"):
        raise SapgganError("a colour image, not a radiograph")
    if allocated not in (8, 16) or not 1 < stored <= allocated:
        raise SapgganError(f"{stored} bits stored in {allocated}: not a radiograph's pixels")
    check_codestream(dataset)


class _Bounded(io.BytesIO):
    """A file's bytes for pydicom, which reads all the rest at once only to inflate it: refused beyond `MAX_BYTES` / 4.

    Here, since pydicom alone knows where that rest begins: file meta may have any length and several forms.
    """

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size)
        if size is None or size < 0:
            inflater, total = zlib.decompressobj(-zlib.MAX_WBITS), 0
            for start in range(0, len(data), 1 << 14):                 # inflates to 16 MB at most
                if inflater.eof:
                    break
                try:
                    total += len(inflater.decompress(data[start : start + (1 << 14)]))
                except zlib.error:                                     # not deflated
                    break
                if total > MAX_BYTES >> 2:
                    raise SapgganError("deflated data inflates to more bytes than a radiograph has")
        return data
