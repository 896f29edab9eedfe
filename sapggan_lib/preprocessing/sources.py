"""What there is to preprocess under a folder: DICOM files, images with a table, or MedMNIST's array files."""

import hashlib
import json
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TextIO

from sapggan_lib.base.config import PreprocessConfig
from sapggan_lib.base.errors import SapgganError
from sapggan_lib.base.files import file_state, readable, walk
from sapggan_lib.base.images import is_image
from sapggan_lib.preprocessing.arrays import array_items, is_array_file, unpack_array
from sapggan_lib.preprocessing.item import Item
from sapggan_lib.preprocessing.view_table import ViewTable, find_table, read_table
from sapggan_lib.privacy import path_hash, patient_hash


@dataclass(frozen=True)
class Kind:
    """A kind of input file. One that holds several images says which, and lays them out for all processes."""

    matches: Callable[[str, bytes], bool]                     # a file's name and first bytes, 132 at most
    items: Callable[[str, str], list[Item]] | None = None     # its path below the source, its name; None: one image
    unpack: Callable[[Item, Path], Item] | None = None        # the item with its array as `.npy` in that folder


KINDS = {                                                     # of several, the first is taken; "": anything else
    "dicom": Kind(lambda _, head: head[128:132] == b"DICM"),
    "image": Kind(lambda _, head: is_image(head)),
    "array": Kind(is_array_file, array_items, unpack_array),      # as MedMNIST's
}


class Listing:
    """All inputs under a folder, sorted by path, in a file without a name: a million of them need no memory.

    Iterating gives an `Item` for each; one iteration at a time.
    """

    def __init__(self, source: Path, views: ViewTable | None):
        self.source, self.count = source, 0
        self.table = views.path.name if views else ""    # the table that tells views, where one does
        self._names, self._states = hashlib.sha256(), hashlib.sha256()
        self._stream = tempfile.TemporaryFile("w+", encoding="utf-8")    # noqa: SIM115 - closes with the listing

    def add(self, items: list[Item], state: list[int]) -> None:
        """Take in a file's items, and its size and times."""
        self.count += len(items)
        for item in items:
            self._names.update(repr((item.path, item.row, item.view, item.patient)).encode())
            self._stream.write(json.dumps(vars(item)) + "\n")
        self._states.update(str(state).encode())

    def __iter__(self) -> Iterator[Item]:
        self._stream.seek(0)
        for line in self._stream:
            yield Item(**json.loads(line))

    @property
    def facts(self) -> dict[str, str]:
        """What a store remembers of its inputs: hashes of their names with what a table says, and of their states;
        and which CLAHE its clip limit is for, 2 for `steps.apply_clahe` as it is and none for OpenCV's."""
        return {"inputs": self._names.hexdigest(), "states": self._states.hexdigest(), "clahe": "2"}


def list_inputs(source: Path, out: Path, table: Path | str | None, config: PreprocessConfig, key: bytes) -> Listing:
    """The inputs under `source`, with what the table says of them; a table beside images is found by itself.

    With any DICOM file there, every file is an input. Else only the PNG and JPEG files are, or the images inside
    `.npz` files. Links are followed, each folder once. Hidden names and the folder `out` are left out.
    Raises `SapgganError` when there is nothing, or nothing tells an image folder's views.
    """
    views = read_table(table) if table else None
    try:
        with tempfile.TemporaryFile("w+", encoding="utf-8") as found:
            kinds = _find(source, out, found)
            if not kinds:
                raise SapgganError(f"{source}: no files in this folder; name the folder that holds the DICOM files")
            wanted = next((kind for kind in KINDS if kinds[kind]), "")
            headerless, several = wanted not in ("", "dicom"), bool(wanted and KINDS[wanted].items)
            if headerless and not several and not views:
                views = find_table(source)
            if headerless and not views and config.unknown_view == "drop":
                raise SapgganError(f"{source}: {kinds[wanted]:,} {wanted} files and nothing that tells their views; "
                                   "name a CSV with --table, or take all of them with --unknown-view keep")
            listing = Listing(source, views)
            found.seek(0)
            for file, kind, state in map(json.loads, found):
                if wanted in ("", "dicom", kind):
                    items = _items(file, source, wanted, views, key)
                    listing.add([replace(item, path=_name(item.path, config, key)) for item in items], state)
    except OSError as error:
        raise readable(error, tempfile.gettempdir()) from error
    if views and not several and not any(item.view for item in listing):
        raise SapgganError(f'{views.path}: column "{views.columns[0]}" names none of the {listing.count:,} files under '
                           f"{source}; choose the table that belongs to them")
    return listing


def _find(source: Path, out: Path, found: TextIO) -> Counter[str]:
    """Walk `source`, write a line `[file, kind, size and times]` for each file to `found`, and count the kinds."""
    kinds = Counter[str]()
    for file in walk(source, skip=out):
        if file.lower().endswith(".csv"):                                # a table about the files, never one of them
            continue
        kind = "" if kinds["dicom"] else _kind(file)                     # every file is an input then
        kinds[kind] += 1
        found.write(json.dumps([file, kind, file_state(file)]) + "\n")
    return kinds


def _kind(file: str) -> str:
    """A key of `KINDS`, or "" for anything else, by the first bytes."""
    try:
        if not Path(file).is_file():
            return ""
        with Path(file).open("rb") as stream:
            head = stream.read(132)
    except OSError:
        return ""
    return next((name for name, kind in KINDS.items() if kind.matches(file, head)), "")


def _items(file: str, source: Path, kind: str, views: ViewTable | None, key: bytes) -> list[Item]:
    """The input that a file is, or those that an array file holds, by their paths below the source."""
    path = file[len(str(source)) :].lstrip("/") or "."
    if kind and (items := KINDS[kind].items):
        return items(_printable(path), file)
    view, patient = (views.find(path) if views else None) or ("", "")
    return [Item(_printable(path), file, view=view, patient=patient_hash(key, patient))]


def unpack(item: Item, work: Path) -> Item:
    """The item as every process can read it: of an array file with its array in `work`, any other as it is."""
    kind = KINDS.get(item.kind)
    return kind.unpack(item, work) if kind and kind.unpack else item


def _name(path: str, config: PreprocessConfig, key: bytes) -> str:
    """What the manifest calls the input at `path`."""
    if not config.keep_paths:
        return path_hash(key, path)
    return f"./{path}" if path.startswith(("=", "+", "-", "@")) else path    # or a spreadsheet runs it


def _printable(path: str) -> str:
    """The path as one line of valid UTF-8, whatever bytes the file system allowed."""
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
