"""A data source of somebody else's: one file, this one, and one entry; nothing else has to know it."""

from dataclasses import replace

import numpy as np
import pytest

from sapggan_lib.base.config import PreprocessConfig
from sapggan_lib.preprocessing import Item, preprocess
from sapggan_lib.preprocessing.sources import KINDS, Kind
from sapggan_lib.store import open_store, read_manifest

MAGIC, SIDE = b"RAWSTACK", 32


def items(path, file):
    """The images of a file that holds raw bytes of 32 x 32 pixels, one after the other."""
    with open(file, "rb") as stream:  # noqa: PTH123
        count = len(stream.read()[len(MAGIC):]) // SIDE**2
    return [Item(f"{path}/{row}", file, row=row, member="all", kind="raw") for row in range(count)]


def unpack(item, work):
    target = work / "raw.npy"
    if not target.exists():
        np.save(target, np.fromfile(item.file, np.uint8, offset=len(MAGIC)).reshape(-1, SIDE, SIDE))
    return replace(item, file=str(target))


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    monkeypatch.setitem(KINDS, "raw", Kind(lambda _, head: head.startswith(MAGIC), items, unpack))


def test_its_images_become_a_store(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (5, SIDE, SIDE), np.uint8)
    (tmp_path / "scans").mkdir()
    (tmp_path / "scans" / "stack.bin").write_bytes(MAGIC + images.tobytes())
    config = PreprocessConfig(size=SIDE, crop=0.0, clip_limit=0.0, unknown_view="keep", keep_paths=True)
    assert preprocess(tmp_path / "scans", tmp_path / "store", config, workers=1).kept == 5
    assert [row["path"] for row in read_manifest(tmp_path / "store")] == [f"stack.bin/{row}" for row in range(5)]
    np.testing.assert_array_equal(open_store(tmp_path / "store").images, images)
