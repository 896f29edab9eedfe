"""What a compressed image says about itself, checked before a decoder sees it.

Decoders fill what is missing with gray and take memory for what the stream announces; so a stream that is cut
short, or whose size is not the header's, is refused here.
"""

import struct
from typing import Any

from sapggan_lib.base.errors import SapgganError

RLE = "1.2.840.10008.1.2.5"
JPEG_FRAMES = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC} | {0xF7}    # SOF markers; F7 is JPEG-LS


def check_codestream(dataset: Any) -> None:
    """Raise `SapgganError` when the pixel data cannot be the whole image that the header announces."""
    from pydicom.encaps import generate_frames

    rows, columns = dataset.Rows, dataset.Columns
    syntax = dataset.file_meta.TransferSyntaxUID
    if not syntax.is_compressed or syntax.is_deflated:
        expected = rows * columns * dataset.BitsAllocated // 8
        if not expected <= len(dataset.PixelData) <= expected + 1:
            raise SapgganError(f"{len(dataset.PixelData):,} bytes of pixels where {rows} x {columns} need {expected:,}")
        return
    stream = next(generate_frames(dataset.PixelData, number_of_frames=1), b"")
    if syntax == RLE:
        return                                             # pydicom checks the length of what it unpacks
    if stream.rstrip(b"\x00")[-2:] != b"\xff\xd9":
        raise SapgganError(f"compressed pixels end early, at byte {len(stream):,} of the stream")
    size = codestream_size(stream)
    if size != (rows, columns):
        said = "no size" if size is None else f"{size[0]} x {size[1]}"
        raise SapgganError(f"compressed pixels say {said} where the header says {rows} x {columns}")


def codestream_size(stream: bytes) -> tuple[int, int] | None:
    """Rows and columns that a JPEG, JPEG-LS or JPEG 2000 codestream announces; None when it announces none."""
    if stream[:4] == b"\xff\x4f\xff\x51" and len(stream) >= 24:           # JPEG 2000: SOC, SIZ
        right, bottom, left, top = struct.unpack(">4I", stream[8:24])
        return bottom - top, right - left
    position = 2
    while stream[:2] == b"\xff\xd8" and position + 9 <= len(stream) and stream[position] == 0xFF:
        marker, length = stream[position + 1], struct.unpack(">H", stream[position + 2 : position + 4])[0]
        if marker == 0xFF:
            position += 1                                                 # fill byte
            continue
        if marker in JPEG_FRAMES:
            rows, columns = struct.unpack(">2H", stream[position + 5 : position + 9])
            return rows, columns
        position += 2 + length
    return None
