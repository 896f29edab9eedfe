"""What there is to preprocess under a folder: DICOM files, images with a table, or MedMNIST's array files."""

import hashlib
import json
import math
import os
import shutil
import tempfile
import zipfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np

from sapggan_lib.base.config import PreprocessConfig
from sapggan_lib.base.errors import SapgganError
from sapggan_lib.base.files import atomic_path, file_state, readable, walk
from sapggan_lib.preprocessing.shards import Item
from sapggan_lib.preprocessing.view_table import ViewTable, find_table, read_table
from sapggan_lib.privacy import path_hash, patient_hash

SMALLEST = 16      # pixels a side of an image in an array file
PACKED = 200       # an array file's members unpack to at most so many times their size; radiographs reach about 10
IMAGE_MAGIC = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")


class Listing:
    """All inputs under a folder, sorted by path, in a file without a name: a million of them need no memory.

    With any DICOM file there, every file is an input. Else only the PNG and JPEG files are, or the images inside
    `.npz` files. Links are followed, each folder once. Hidden names and the folder `out` are left out.
    Iterating gives an `Item` for each; one iteration at a time.
    """

    def __init__(self, source: Path, out: Path, views: ViewTable | None, key: bytes, keep_paths: bool):
        self.source, self.views, self.key, self.keep_paths = source, views, key, keep_paths
        self.kinds = Counter[str]()
        self._stream = tempfile.TemporaryFile("w+", encoding="utf-8")    # noqa: SIM115 - closes with the listing
        try:
            for file in walk(source, skip=out):
                kind = "" if self.kinds["dicom"] else _kind(file)        # every file is an input then
                self.kinds[kind] += 1
                self._stream.write(json.dumps([file, kind, file_state(file)]) + "\n")
            self._stream.flush()
        except OSError as error:
            raise readable(error, tempfile.gettempdir()) from error
        self.kind = next((kind for kind in ("dicom", "image", "array") if self.kinds[kind]), "")

    def _lines(self) -> Iterator[tuple[str, str]]:
        """Each input file, and its state as text."""
        self._stream.seek(0)
        for line in self._stream:
            file, kind, state = json.loads(line)
            if self.kind in ("", "dicom", kind):
                yield file, str(state)

    def __iter__(self) -> Iterator[Item]:
        for file, _ in self._lines():
            path = file[len(str(self.source)) :].lstrip("/") or "."
            if self.kind == "array":
                for item in _array_items(path, file):
                    yield replace(item, path=self._name(item.path))
                continue
            view, patient = (self.views.find(path) if self.views else None) or ("", "")
            yield Item(self._name(_printable(path)), file, view=view, patient=patient_hash(self.key, patient))

    def _name(self, path: str) -> str:
        """What the manifest calls the input at `path`."""
        if not self.keep_paths:
            return path_hash(self.key, path)
        return f"./{path}" if path.startswith(("=", "+", "-", "@")) else path    # or a spreadsheet runs it

    @cached_property
    def facts(self) -> dict[str, str]:
        """What a store remembers of its inputs: hashes of their names with what a table says, and of their states."""
        names = hashlib.sha256()
        for item in self:
            names.update(repr((item.path, item.row, item.view, item.patient)).encode())
        states = hashlib.sha256()
        for _, state in self._lines():
            states.update(state.encode())
        return {"inputs": names.hexdigest(), "states": states.hexdigest()}

    @cached_property
    def count(self) -> int:
        """How many inputs there are."""
        return sum(1 for _ in self)


def list_inputs(
    source: Path, out: Path, table: Path | str | None, config: PreprocessConfig, key: bytes
) -> Listing:
    """The inputs under `source`, with what the table says of them; a table beside images is found by itself.

    Raises `SapgganError` when there is nothing, or nothing tells an image folder's views.
    """
    listing = Listing(source, out, read_table(table) if table else None, key, config.keep_paths)
    if not listing.kinds:
        raise SapgganError(f"{source}: no files in this folder; name the folder that holds the DICOM files")
    if listing.kind == "image" and not table:
        listing.views = find_table(source)
    views = listing.views
    if listing.kind in ("image", "array") and not views and config.unknown_view == "drop":
        raise SapgganError(f"{source}: {listing.kinds[listing.kind]:,} {listing.kind} files and nothing that tells "
                           "their views; name a CSV with --table, or take all of them with --unknown-view keep")
    if views and listing.kind != "array" and not any(item.view for item in listing):
        raise SapgganError(f'{views.path}: column "{views.columns[0]}" names none of the {listing.count:,} files under '
                           f"{source}; choose the table that belongs to them")
    return listing


def unpacked(item: Item, work: Path) -> Item:
    """An array file's item with its array as plain `.npy` in `work`, which every process can map; others stay."""
    if not item.member:
        return item
    name = hashlib.sha256(f"{item.file}\0{item.member}".encode("utf-8", "surrogateescape")).hexdigest()[:16]
    target = work / f"{name}.npy"
    if not target.exists():
        try:
            with (zipfile.ZipFile(item.file) as archive, archive.open(item.member) as packed,
                  atomic_path(target) as temporary, temporary.open("wb") as stream):
                shutil.copyfileobj(packed, stream, 1 << 20)
        except SapgganError:
            raise
        except Exception as error:                       # as in `_array_items`
            raise _damaged(item.file, error) from None
    return replace(item, file=str(target))


def is_image(head: bytes) -> bool:
    """Whether a file that starts with `head` is a PNG or JPEG."""
    return head.startswith(IMAGE_MAGIC)


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
