import io
import zipfile
from dataclasses import replace

import numpy as np
import pytest

from sapggan_lib.base.config import PreprocessConfig
from sapggan_lib.base.errors import SapgganError
from sapggan_lib.preprocessing.arrays import unpack_array
from sapggan_lib.preprocessing.pipeline import preprocess
from sapggan_lib.preprocessing.sources import list_inputs
from sapggan_lib.store.store import open_store, read_manifest

ALL = PreprocessConfig(size=32, unknown_view="keep", crop=0.0, clip_limit=0.0, keep_paths=True)


@pytest.mark.parametrize(("channels", "shape"), [(1, (28, 28)), (3, (64, 64, 3))])
def test_an_array_file_as_medmnist_lays_it_out(tmp_path, channels, shape):
    rng = np.random.default_rng(0)
    arrays = {f"{part}_{what}": rng.integers(0, 256, (n, *shape), dtype=np.uint8) if what == "images" else
              np.zeros((n, 14), np.uint8) for part, n in (("train", 40), ("val", 3), ("test", 4))
              for what in ("images", "labels")}
    (tmp_path / "mnist").mkdir()
    np.savez_compressed(tmp_path / "mnist" / "chestmnist_64.npz", **arrays)
    config = replace(ALL, size=shape[0], channels=channels)
    summary = preprocess(tmp_path / "mnist", tmp_path / "store", config, workers=1)
    assert (summary.files, summary.kept) == (47, 47)
    expected = np.concatenate([arrays[f"{part}_images"] for part in ("test", "train", "val")])
    np.testing.assert_array_equal(open_store(tmp_path / "store").images, expected)
    assert next(read_manifest(tmp_path / "store"))["path"] == "chestmnist_64.npz/test/000000"
    assert sorted(f.name for f in (tmp_path / "store").iterdir()) == ["images.npy", "manifest.csv", "store.json"]


def listed(folder):
    return list(list_inputs(folder / "in", folder / "out", None, ALL, b"key"))


def array_file(path, shape, content=b"", method=zipfile.ZIP_DEFLATED):
    """An `.npz` whose array says that it has `shape`, and whose pixels are `content`."""
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": "|u1", "fortran_order": False, "shape": shape})
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("train_images.npy", head.getvalue() + content)
    return path


@pytest.mark.parametrize(("shape", "content"), [
    ((2_000_000, 0, 0), b""), ((2_000_000, 32, 32), b""), ((1 << 20, 1, 1), bytes(1 << 20)),
    ((1 << 10, 32, 32), bytes(1 << 20)),
])  # fmt: skip
def test_an_array_file_lists_no_more_images_than_it_can_hold(tmp_path, shape, content):
    (tmp_path / "in").mkdir()
    file = array_file(tmp_path / "in" / "a.npz", shape, content)
    with pytest.raises(SapgganError, match=r"a\.npz: train_images\.npy .*download it again"):
        listed(tmp_path)
    assert file.stat().st_size < 5000


def test_the_size_that_an_archive_tells_of_its_member_is_not_believed(tmp_path):
    (tmp_path / "in").mkdir()
    file = array_file(tmp_path / "in" / "a.npz", (1 << 10, 32, 32), bytes(100))
    data = bytearray(file.read_bytes())
    place = data.index(b"PK\x01\x02")
    told = (128 + (1 << 20)).to_bytes(4, "little")
    data[place + 20 : place + 28] = told + told                     # both sizes in the central directory
    file.write_bytes(data)
    with pytest.raises(SapgganError, match=r"a\.npz: .*larger than the file"):
        listed(tmp_path)


@pytest.mark.parametrize("oddity", ["encrypted", "method", "deflate", "directory", "cut", "header"])
def test_an_odd_archive_is_one_sentence(tmp_path, oddity):
    """Both where it is listed, and where it went wrong since."""
    (tmp_path / "in").mkdir()
    noise = np.random.default_rng(0).bytes(4 * 32 * 32)
    file = array_file(tmp_path / "in" / "a.npz", (4, 32, 32), noise)
    items = listed(tmp_path)
    data = bytearray(file.read_bytes())
    place = data.index(b"PK\x01\x02")
    if oddity == "encrypted":
        data[6] |= 1
        data[place + 8] |= 1
    elif oddity == "method":
        data[8] = data[place + 10] = 99
    elif oddity == "deflate":
        data[50:60] = b"\xff" * 10
    elif oddity == "directory":
        data[place + 46 : place + 51] = b"other"
    elif oddity == "cut":
        del data[place + 10:]
    else:
        file = array_file(file, (4, 32, 32), noise, zipfile.ZIP_STORED)
        data = bytearray(file.read_bytes().replace(b"NUMPY", b"DUMMY"))
    file.write_bytes(data)
    for action in (lambda: listed(tmp_path), lambda: unpack_array(items[0], tmp_path / "work")):
        with pytest.raises(SapgganError, match=r"a\.npz: damaged or encrypted array file"):
            action()
    assert not list(tmp_path.glob("work/*"))
