"""Images inside `.npz` files, as MedMNIST publishes them."""

import hashlib
import math
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from sapggan_lib.base.errors import SapgganError
from sapggan_lib.base.files import atomic_path
from sapggan_lib.preprocessing.item import MIN_SIDE, Item

PACKED = 200       # an array file's members unpack to at most so many times their size; radiographs reach about 10
HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def is_array_file(file: str, head: bytes) -> bool:
    """Whether a name and first bytes are an `.npz` file's."""
    return file.endswith(".npz") and head.startswith(b"PK\x03\x04")


def array_items(path: str, file: str) -> list[Item]:
    """One item for each image of the `*_images` arrays of the `.npz` file, `path/train/000000` and on.

    No more images than the file can hold: neither its arrays' shapes nor its members' sizes are believed.
    Raises `SapgganError` for any other file.
    """
    items = []
    with _opened(file) as archive:
        if sum(entry.compress_size for entry in archive.infolist()) > Path(file).stat().st_size:
            raise ValueError("its members say they are larger than the file")
        for member in sorted(name for name in archive.namelist() if name.endswith("_images.npy")):
            name = f"{path}/{member.removesuffix('_images.npy')}"
            count = _count(archive, member, file)
            items += [Item(f"{name}/{row:06d}", file, row=row, member=member, kind="array") for row in range(count)]
    if not items:
        raise SapgganError(f"{file}: holds no arrays named *_images, as MedMNIST's files do")
    return items


def _count(archive: zipfile.ZipFile, member: str, file: str) -> int:
    """How many images an array in the archive holds."""
    packed = archive.getinfo(member)
    with archive.open(member) as stream:
        shape, _, kind = HEADERS[np.lib.format.read_magic(stream)](stream)
        start = stream.tell()
    if kind != np.uint8 or not (len(shape) == 3 or (len(shape) == 4 and shape[3] == 3)):
        raise SapgganError(f"{file}: {member} holds {kind} of shape {shape}, not uint8 images")
    if min(shape[1:3]) < MIN_SIDE or packed.file_size != start + math.prod(shape):
        raise SapgganError(f"{file}: {member} says it holds {shape[0]:,} images of {shape[1]} x {shape[2]} "
                           f"pixels, which its {packed.file_size:,} bytes cannot be; download it again")
    if packed.file_size > PACKED * packed.compress_size:
        raise SapgganError(f"{file}: {member} unpacks to {packed.file_size:,} bytes, more than images do; "
                           "download it again")
    return shape[0]


def unpack_array(item: Item, work: Path) -> Item:
    """The item with its array as plain `.npy` in `work`, which every process can map."""
    name = hashlib.sha256(f"{item.file}\0{item.member}".encode("utf-8", "surrogateescape")).hexdigest()[:16]
    target = work / f"{name}.npy"
    if not target.exists():
        with (_opened(item.file) as archive, archive.open(item.member) as packed,
              atomic_path(target) as temporary, temporary.open("wb") as stream):
            shutil.copyfileobj(packed, stream, 1 << 20)
    return replace(item, file=str(target))


@contextmanager
def _opened(file: str) -> Iterator[zipfile.ZipFile]:
    """The archive, and any error of reading it as a `SapgganError`."""
    try:
        with zipfile.ZipFile(file) as archive:
            yield archive
    except SapgganError:
        raise
    except Exception as error:                           # zipfile and numpy raise nearly every type on hostile files
        raise SapgganError(f"{file}: damaged or encrypted array file ({error or type(error).__name__}); "
                           "download it again") from None
