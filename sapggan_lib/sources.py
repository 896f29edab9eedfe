"""What there is to preprocess under a folder: DICOM files, images with a table, or MedMNIST's array files."""

import math
import os
import shutil
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from sapggan_lib.errors import SapgganError
from sapggan_lib.files import atomic_path
from sapggan_lib.shards import Item
from sapggan_lib.view_table import ViewTable, find_table, read_table

SMALLEST = 16      # pixels a side of an image in an array file
PACKED = 200       # an array file's members unpack to at most so many times their size; radiographs reach about 10
IMAGE_MAGIC = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")


def list_items(
    source: Path, out: Path, table: Path | str | None, unknown_view: str
) -> tuple[list[Item], ViewTable | None]:
    """All inputs under `source`, sorted by path, with what the table says of them; and the table.

    With any DICOM file there, every file is an input. Else only the PNG and JPEG files are, or the images inside
    `.npz` files. Links are followed, each folder once. Hidden names and the folder `out` are left out.
    Raises `SapgganError` when there is nothing, or nothing tells an image folder's views.
    """
    files = sorted(_walk(source, out))
    kinds: dict[str, str] = {}
    for _, file in files:
        kinds[file] = _kind(file)
        if kinds[file] == "dicom":
            break                                     # every file is an input then; no need to open them here
    kind = next((k for k in ("dicom", "image", "array") if k in kinds.values()), "")
    if not files:
        raise SapgganError(f"{source}: no files in this folder; name the folder that holds the DICOM files")
    if kind in ("image", "array"):
        files = [pair for pair in files if kinds[pair[1]] == kind]
    views = read_table(table) if table else find_table(source) if kind == "image" else None
    if kind in ("image", "array") and not views and unknown_view == "drop":
        raise SapgganError(f"{source}: {len(files):,} {kind} files and nothing that tells their views; name a CSV with "
                           "--table, or take all of them with --unknown-view keep")
    if kind == "array":
        return [item for path, file in files for item in _array_items(path, file)], views
    items = []
    for path, file in files:
        view, patient = (views.find(path) if views else None) or ("", "")
        items.append(Item(_printable(path), file, view=view, patient=patient))
    if views and not any(item.view for item in items):
        raise SapgganError(f'{views.path}: column "{views.columns[0]}" names none of the {len(items):,} files under '
                           f"{source}; choose the table that belongs to them")
    return items, views


def unpack_arrays(items: Sequence[Item], work: Path) -> list[Item]:
    """Copy the array files' members into `work` as plain `.npy`, which every process can map; other items stay."""
    unpacked: dict[tuple[str, str], Path] = {}
    for item in items:
        key = item.file, item.member
        if item.member and key not in unpacked:
            target = unpacked[key] = work / f"array{len(unpacked)}.npy"
            if not target.exists():
                try:
                    with (zipfile.ZipFile(item.file) as archive, archive.open(item.member) as packed,
                          atomic_path(target) as temporary, temporary.open("wb") as stream):
                        shutil.copyfileobj(packed, stream, 1 << 20)
                except SapgganError:
                    raise
                except Exception as error:               # as in `_array_items`
                    raise _damaged(item.file, error) from None
    return [replace(i, file=str(unpacked[i.file, i.member])) if i.member else i for i in items]


def is_image(head: bytes) -> bool:
    """Whether a file that starts with `head` is a PNG or JPEG."""
    return head.startswith(IMAGE_MAGIC)


def _walk(source: Path, out: Path) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    seen: set[tuple[int, int]] = set()

    def unreadable(error: OSError) -> None:              # a folder that cannot be listed gets a row of its own
        found.append((Path(error.filename).relative_to(source).as_posix(), error.filename))

    for folder, folders, names in os.walk(source, followlinks=True, onerror=unreadable):
        status = Path(folder).stat()
        if (status.st_dev, status.st_ino) in seen:       # a link back, or a second link to the same folder
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        # Hidden names are the system's (.DS_Store, ._x.dcm), not the user's.
        folders[:] = sorted(n for n in folders if not n.startswith(".") and Path(folder, n).absolute() != out)
        for file in (Path(folder, name) for name in names if not name.startswith(".")):
            found.append((file.relative_to(source).as_posix(), str(file)))
    return found


def _kind(file: str) -> str:
    """`dicom`, `image`, `array`, or "" for anything else, by the first bytes."""
    try:
        if not Path(file).is_file():
            return ""
        with Path(file).open("rb") as stream:
            head = stream.read(132)
    except OSError:
        return ""
    if head[:4] == b"PK\x03\x04" and file.endswith(".npz"):
        return "array"
    return "dicom" if head[128:132] == b"DICM" else "image" if is_image(head) else ""


def _array_items(path: str, file: str) -> list[Item]:
    """One item for each image of the `*_images` arrays of an `.npz` file, as MedMNIST lays them out.

    No more images than the file can hold: neither its arrays' shapes nor its members' sizes are believed.
    """
    items = []
    try:
        with zipfile.ZipFile(file) as archive:
            if sum(entry.compress_size for entry in archive.infolist()) > Path(file).stat().st_size:
                raise ValueError("its members say they are larger than the file")
            for member in sorted(name for name in archive.namelist() if name.endswith("_images.npy")):
                packed = archive.getinfo(member)
                with archive.open(member) as stream:
                    version = np.lib.format.read_magic(stream)
                    read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
                    shape, _, kind = read[version](stream)
                    start = stream.tell()
                if kind != np.uint8 or not (len(shape) == 3 or (len(shape) == 4 and shape[3] == 3)):
                    raise SapgganError(f"{file}: {member} holds {kind} of shape {shape}, not uint8 images")
                if min(shape[1:3]) < SMALLEST or packed.file_size != start + math.prod(shape):
                    raise SapgganError(f"{file}: {member} says it holds {shape[0]:,} images of {shape[1]} x {shape[2]} "
                                       f"pixels, which its {packed.file_size:,} bytes cannot be; download it again")
                if packed.file_size > PACKED * packed.compress_size:
                    raise SapgganError(f"{file}: {member} unpacks to {packed.file_size:,} bytes, more than images do; "
                                       "download it again")
                name = f"{_printable(path)}/{member.removesuffix('_images.npy')}"
                items += [Item(f"{name}/{row:06d}", file, row=row, member=member) for row in range(shape[0])]
    except SapgganError:
        raise
    except Exception as error:                           # zipfile and numpy raise nearly every type on hostile files
        raise _damaged(file, error) from None
    if not items:
        raise SapgganError(f"{file}: holds no arrays named *_images, as MedMNIST's files do")
    return items


def _damaged(file: str, error: Exception) -> SapgganError:
    return SapgganError(f"{file}: damaged or encrypted array file ({error or type(error).__name__}); download it again")


def _printable(path: str) -> str:
    """The path as one line of valid UTF-8, whatever bytes the file system allowed."""
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
