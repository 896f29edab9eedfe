"""The image store: `images.npy` (memory-mapped) or the paper's pickle, `manifest.csv` and `store.json`.

`store.json` is written last, so a folder without it is not a store, whatever else is there.
"""

import contextlib
import csv
import hashlib
import io
import json
import pickle
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from sapggan_lib.base.errors import SapgganError
from sapggan_lib.base.files import atomic_path, write_json
from sapggan_lib.store.pickles import load_pickle

MANIFEST_COLUMNS = (
    "path", "status", "reason", "index", "view", "evidence", "modality", "body_part", "photometric",
    "transfer_syntax", "rows", "columns", "bits_stored", "patient", "notes", "sha256",
)  # fmt: skip
IMAGE_FILES = {"npy": "images.npy", "pickle": "images.pkl"}


@dataclass(frozen=True)
class Store:
    """A finished image store. Open one with `open_store`."""

    path: Path
    images: np.ndarray                   # uint8 [N, H, W], or [N, H, W, 3]; read-only
    config: dict[str, Any]               # the PreprocessConfig that made it, or where generated images come from
    hash: str                            # sha256 over images and config, in hexadecimal

    def __len__(self) -> int:
        return len(self.images)

    @property
    def resolution(self) -> int:
        """Side of the square images, in pixels."""
        return self.images.shape[1]

    @property
    def channels(self) -> int:
        """1 for gray `[N, H, W]`, 3 for colour or duplicated gray `[N, H, W, 3]`."""
        return 1 if self.images.ndim == 3 else 3

    @cached_property
    def manifest(self) -> Any:
        """All rows of `manifest.csv` as a pandas DataFrame of text; `index` is a nullable integer."""
        import pandas as pd

        table = pd.read_csv(self.path / "manifest.csv", dtype=str, keep_default_na=False)
        table["index"] = pd.to_numeric(table["index"]).astype("Int64")
        return table

    def split(self, held_out: float = 0.1, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """Training and held-out indices, each sorted; no patient is in both.

        Patients are ranked by a hash of `seed` and of their files' contents, and taken until the share `held_out`
        is reached: the same files give the same split on every machine, whatever key hid the patients' names.
        """
        if not 0 <= held_out < 1:
            raise SapgganError(f"{self.path}: held_out must be at least 0 and below 1, not {held_out}")
        members: dict[str, list[int]] = {}
        content: dict[str, str] = {}
        for row in read_manifest(self.path):
            if row["status"] == "kept":
                digest = row["sha256"] or row["path"]
                patient = row["patient"] or digest
                members.setdefault(patient, []).append(int(row["index"]))
                content[patient] = min(content.get(patient, digest), digest)
        ranked = sorted(members, key=lambda patient: hashlib.sha256(f"{seed}:{content[patient]}".encode()).digest())
        wanted = round(held_out * len(self)) or int(held_out > 0 and len(ranked) > 1)
        taken: list[int] = []
        for patient in ranked:
            if len(taken) < wanted and (not taken or len(taken) + len(members[patient]) <= wanted):
                taken += members[patient]
        held = np.array(sorted(taken), dtype=np.int64)
        return np.setdiff1d(np.arange(len(self)), held), held


def open_store(path: Path | str) -> Store:
    """Open a finished store. Raises `SapgganError` when `path` is none, or is damaged.

    `images.npy` is memory-mapped; a pickle is read whole, by a loader that runs no code from it.
    """
    path = Path(path)
    facts = read_facts(path)
    shape, kind = tuple(facts["shape"]), facts["format"]
    file = path / IMAGE_FILES[kind]
    with _explained(path), np.errstate(all="ignore"):        # of a size that overflows; the file's end stops it
        images = np.lib.format.open_memmap(file, "r") if kind == "npy" else load_pickle(file)
    right = isinstance(images, np.ndarray) and images.dtype == np.uint8 and images.shape == shape
    if not right or not (len(shape) == 3 or (len(shape) == 4 and shape[3] == 3)):
        raise SapgganError(f"{file}: holds no uint8 images of shape {shape} as store.json says; make the store again")
    return Store(path, images, facts["config"], facts["hash"])


def read_facts(path: Path) -> dict[str, Any]:
    """What `store.json` says of a finished store: shape, format, config, hash, and what else its maker noted.

    Raises `SapgganError` where the folder is no store, or lacks one of the four.
    """
    with _explained(path):
        facts: dict[str, Any] = json.loads((path / "store.json").read_text(encoding="utf-8"))
        _ = tuple(facts["shape"]), IMAGE_FILES[facts["format"]]
        if not (isinstance(facts["config"], dict) and isinstance(facts["hash"], str)):
            raise ValueError("store.json lacks its config or its hash")
        return facts


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Any error of reading the store at `path` as a `SapgganError`."""
    try:
        yield
    except SapgganError:
        raise
    except FileNotFoundError as error:
        missing = Path(error.filename).name
        raise SapgganError(f'{path}: not a finished store, {missing} is missing; make one with "sapggan preprocess '
                           f'SRC {path}"') from None
    except OSError as error:
        raise SapgganError(f"{error.filename or path}: cannot be read ({error.strerror}); name a store, a folder that "
                           '"sapggan preprocess" made') from None
    except Exception as error:                           # json and numpy raise nearly every type on damaged files
        reason = str(error).split("\n")[0][:120] or type(error).__name__
        raise SapgganError(f'{path}: damaged store ({reason}); delete it and run "sapggan preprocess" again') from None


def write_store(
    path: Path | str,
    images: np.ndarray,                                   # uint8 [N, H, W] or [N, H, W, 3]
    rows: Sequence[Mapping[str, Any]] | None = None,      # manifest rows; None: one kept row per image, no patient
    config_mapping: Mapping[str, Any] | None = None,      # where the images come from
    format: str = "npy",
) -> Store:
    """Write `images` as a store and open it. Rows lacking a column get it empty."""
    if rows is None:
        rows = [{"path": f"{i:06d}", "status": "kept", "index": i} for i in range(len(images))]
    write_parts(Path(path), images.shape, iter([images]), rows, dict(config_mapping or {}), format)
    return open_store(path)


def write_parts(
    path: Path,
    shape: tuple[int, ...],                               # [N, H, W] or [N, H, W, 3] of all parts together
    parts: Iterable[np.ndarray],                          # uint8, consecutive pieces of the first axis
    rows: Iterable[Mapping[str, Any]],
    config: dict[str, Any],
    format: str,
    facts: Mapping[str, Any] | None = None,               # more keys for store.json
) -> None:
    """Write a store piece by piece in constant memory; `store.json` comes last and makes it one."""
    digest = hashlib.sha256(json.dumps(config, sort_keys=True).encode())
    file = path / IMAGE_FILES[format]
    with atomic_path(file) as temporary:
        with temporary.open("wb") as stream:
            header = {"descr": "|u1", "fortran_order": False, "shape": tuple(shape)}
            np.lib.format.write_array_header_1_0(stream, header)
            for part in parts:
                data = np.ascontiguousarray(part, dtype=np.uint8).data
                digest.update(data)
                stream.write(data)
        if format == "pickle":
            # Protocol 5 writes the mapped bytes through without a copy in memory: any size fits.
            mapped = np.asarray(np.load(temporary, mmap_mode="r"))
            temporary.unlink()
            with temporary.open("wb") as stream:
                pickle.dump(mapped, stream, protocol=5)
        (path / "store.json").unlink(missing_ok=True)
    with atomic_path(path / "manifest.csv") as temporary:
        write_manifest(temporary, rows)
    for other in IMAGE_FILES.values():
        if other != file.name:
            (path / other).unlink(missing_ok=True)
    write_json(path / "store.json",
               {"format": format, "shape": list(shape), "hash": digest.hexdigest(), "config": config, **(facts or {})})


def write_manifest(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows as a manifest, columns as in `MANIFEST_COLUMNS`."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, MANIFEST_COLUMNS, restval="", extrasaction="raise", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def read_manifest(path: Path | str) -> Iterator[dict[str, str]]:
    """The manifest's rows one by one, as text; for tables too large for memory, or without pandas."""
    with (Path(path) / "manifest.csv").open(newline="", encoding="utf-8") as stream:
        yield from csv.DictReader(stream)


def read_image_folder(path: Path | str) -> tuple[np.ndarray, list[str]]:
    """All PNG and JPEG files of a folder, sorted by name: uint8 `[N, H, W]` or `[N, H, W, 3]`, and their names.

    Raises `SapgganError` for an empty folder, sizes or colours that differ, 16-bit and damaged files.
    """
    from sapggan_lib.base.images import read_image

    path = Path(path)
    if not path.is_dir():
        raise SapgganError(f"{path}: no such folder")
    files = sorted(f for f in path.iterdir() if f.suffix.lower() in (".png", ".jpg", ".jpeg") and f.is_file())
    if not files:
        raise SapgganError(f"{path}: no PNG or JPEG files in this folder")
    images: list[np.ndarray] = []
    for file in files:
        image = read_image(io.BytesIO(file.read_bytes()), str(file))
        if image.dtype != np.uint8:
            raise SapgganError(f"{file}: 16-bit image; window it to 8 bit first")
        if images and image.shape != images[0].shape:
            raise SapgganError(f"{file}: {_words(image)}, but {files[0].name} is {_words(images[0])}; "
                               "all images of a folder must have one size and one kind")
        images.append(image)
    return np.stack(images), [file.name for file in files]


def _words(image: np.ndarray) -> str:
    return f"{image.shape[1]} x {image.shape[0]} {'colour' if image.ndim == 3 else 'gray'}"
