import contextlib
import json
import os
import pickle
import subprocess
import sys
import tracemalloc
import zlib

import cv2
import numpy as np
import pytest

from sapggan_lib.base.errors import SapgganError
from sapggan_lib.store.pickles import load_pickle
from sapggan_lib.store.store import open_store, read_image_folder, read_manifest, write_store

IMAGES = np.random.default_rng(0).integers(0, 256, (20, 16, 16), dtype=np.uint8)


def rows_of(patients: list[str]) -> list[dict]:
    return [{"path": f"{i}.dcm", "status": "kept", "index": i, "patient": patient, "sha256": f"{i:064x}"}
            for i, patient in enumerate(patients)]


@pytest.mark.parametrize("format", ["npy", "pickle"])
@pytest.mark.parametrize("images", [IMAGES, np.repeat(IMAGES[..., None], 3, axis=3)])
def test_a_store_comes_back_as_it_was_written(tmp_path, format, images):
    write_store(tmp_path / "store", images, config_mapping={"size": 16}, format=format)
    store = open_store(tmp_path / "store")
    np.testing.assert_array_equal(store.images, images)
    assert (len(store), store.resolution, store.channels) == (20, 16, 1 if images.ndim == 3 else 3)
    assert len(store.manifest) == 20 and list(store.manifest["index"]) == list(range(20))
    assert isinstance(store.images, np.memmap) == (format == "npy")


def test_the_hash_follows_images_and_configuration(tmp_path):
    hashes = [write_store(tmp_path / str(i), images, config_mapping=config).hash for i, (images, config) in enumerate(
        [(IMAGES, {}), (IMAGES, {}), (IMAGES ^ 1, {}), (IMAGES, {"seed": 1})])]
    assert hashes[0] == hashes[1] and len(set(hashes)) == 3


def test_the_papers_pickle_is_read_by_plain_pickle_too(tmp_path):
    write_store(tmp_path / "store", IMAGES, format="pickle")
    with (tmp_path / "store" / "images.pkl").open("rb") as stream:
        np.testing.assert_array_equal(pickle.load(stream), IMAGES)


@pytest.mark.parametrize("protocol", range(6))
def test_pickles_of_arrays_and_plain_values_are_read_in_every_protocol(tmp_path, protocol):
    value = {"images": [IMAGES, np.asfortranarray(IMAGES[0].astype(">f4"))], "names": ("a", 1, None, 2.5, b"x")}
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(value, protocol))
    loaded = load_pickle(tmp_path / "a.pkl")
    np.testing.assert_array_equal(loaded["images"][0], IMAGES)
    np.testing.assert_array_equal(loaded["images"][1], IMAGES[0])
    assert loaded["names"] == value["names"]


class Runs:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize(
    "payload",
    [
        lambda mark: Runs(os.system, f"touch {mark}"),
        lambda mark: Runs(eval, f"open({str(mark)!r}, 'w')"),
        lambda mark: Runs(open, str(mark), "w"),
        lambda mark: [IMAGES, {"a": Runs(os.mkdir, str(mark))}],
        lambda mark: np.array([Runs(os.mkdir, str(mark))], dtype=object),
    ],
)
def test_a_malicious_pickle_runs_nothing(tmp_path, payload):
    mark = tmp_path / "ran"
    (tmp_path / "evil.pkl").write_bytes(pickle.dumps(payload(mark)))
    with pytest.raises(SapgganError, match=r"evil\.pkl: refused"):
        load_pickle(tmp_path / "evil.pkl")
    assert not mark.exists()


@pytest.mark.parametrize("damage", [b"", b"\x80", b"cos\nsystem\n(S'true'\ntR."])
def test_a_damaged_pickle_is_refused(tmp_path, damage):
    (tmp_path / "a.pkl").write_bytes(damage)
    with pytest.raises(SapgganError, match="refused"):
        load_pickle(tmp_path / "a.pkl")


def test_no_patient_is_on_both_sides_of_a_split_and_the_key_does_not_matter(tmp_path):
    patients = [f"p{i // 3}" for i in range(20)]
    store = write_store(tmp_path / "a", IMAGES, rows_of(patients))
    other = write_store(tmp_path / "b", IMAGES, rows_of([p[::-1] for p in patients]))
    train, held = store.split(0.3, seed=1)
    assert sorted([*train, *held]) == list(range(20)) and 4 <= len(held) <= 6
    assert {patients[i] for i in train}.isdisjoint(patients[i] for i in held)
    np.testing.assert_array_equal(other.split(0.3, seed=1)[1], held)
    assert any(list(store.split(0.3, seed=s)[1]) != list(held) for s in range(2, 6))


@pytest.mark.parametrize(("held_out", "expected"), [(0.0, 0), (0.01, 1), (0.5, 10)])
def test_the_held_out_share_is_met(tmp_path, held_out, expected):
    store = write_store(tmp_path / "store", IMAGES)
    assert len(store.split(held_out)[1]) == expected


def test_an_unfinished_or_damaged_store_says_what_to_do(tmp_path):
    with pytest.raises(SapgganError, match=r'not a finished store, store\.json is missing; make one with "sapggan'):
        open_store(tmp_path)
    write_store(tmp_path / "cut", IMAGES)
    (tmp_path / "cut" / "images.npy").write_bytes((tmp_path / "cut" / "images.npy").read_bytes()[:500])
    with pytest.raises(SapgganError, match="damaged store"):
        open_store(tmp_path / "cut")
    write_store(tmp_path / "shape", IMAGES)
    facts = json.loads((tmp_path / "shape" / "store.json").read_text())
    (tmp_path / "shape" / "store.json").write_text(json.dumps(facts | {"shape": [20, 8, 8]}))
    with pytest.raises(SapgganError, match=r"holds no uint8 images of shape \(20, 8, 8\)"):
        open_store(tmp_path / "shape")


@pytest.mark.parametrize("change", [
    "[]", "null", "text", "", "[" * 100_000, "\0", {"format": ["npy"]}, {"format": "zip"}, {"shape": 5},
    {"shape": [10**30, 16, 16]}, {"shape": "abc"}, {"config": 3}, {"config": None}, {"hash": 3}, "no hash", "no config",
])  # fmt: skip
def test_a_broken_store_json_is_one_sentence(tmp_path, change):
    write_store(tmp_path / "store", IMAGES)
    facts = json.loads((tmp_path / "store" / "store.json").read_text())
    if isinstance(change, dict):
        change = json.dumps(facts | change)
    elif change.startswith("no "):
        change = json.dumps({key: value for key, value in facts.items() if key != change[3:]})
    (tmp_path / "store" / "store.json").write_text(change)
    with pytest.raises(SapgganError, match=r"damaged store|holds no uint8 images") as caught:
        open_store(tmp_path / "store")
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 300 + len(str(tmp_path))


@pytest.mark.parametrize(("shape", "kind"), [
    ((20,), "|u1"), ((20, 16), "|u1"), ((20, 16, 16, 2), "|u1"), ((2**62, 16, 16), "|u1"), ((10**30, 16, 16), "|u1"),
    ((-1, 16, 16), "|u1"), ((2**40, 16, 16), "|u1"), ((5, 16, 16), "|O"), ((2, 16, 16), "<f4"),
])  # fmt: skip
@pytest.mark.filterwarnings("error")
def test_an_array_header_that_lies_is_one_sentence(tmp_path, shape, kind):
    write_store(tmp_path / "store", IMAGES)
    facts = json.loads((tmp_path / "store" / "store.json").read_text())
    (tmp_path / "store" / "store.json").write_text(json.dumps(facts | {"shape": shape}))
    with (tmp_path / "store" / "images.npy").open("wb") as stream:
        np.lib.format.write_array_header_1_0(stream, {"descr": kind, "fortran_order": False, "shape": shape})
        stream.write(bytes(20 * 16 * 16 * 2))
    with pytest.raises(SapgganError, match=r"damaged store|holds no uint8 images"):
        open_store(tmp_path / "store")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04" + bytes(99), b"\x80\x04N.", b"\x93NUMPY\x09\0" + bytes(99),
                                     b"\x93NUMPY\x01\0\x10\0" + b"{" * 16])
def test_images_that_are_no_array_file_are_one_sentence(tmp_path, content):
    write_store(tmp_path / "store", IMAGES)
    (tmp_path / "store" / "images.npy").write_bytes(content)
    with pytest.raises(SapgganError, match="damaged store"):
        open_store(tmp_path / "store")


def test_a_file_in_the_place_of_a_store_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder" / "store.json").mkdir(parents=True)
    for name in ("file", "folder"):
        with pytest.raises(SapgganError, match=r"store\.json: cannot be read \(.*; name a store"):
            open_store(tmp_path / name)


def test_the_manifest_streams_without_pandas(tmp_path):
    write_store(tmp_path / "store", IMAGES, rows_of(["p"] * 20))
    code = ("import sys; sys.modules['pandas'] = None\n"
            "from sapggan_lib.store import open_store, read_manifest\n"
            f"print(len(list(read_manifest({str(tmp_path / 'store')!r}))), "
            f"len(open_store({str(tmp_path / 'store')!r}).split(0.0)[0]))")
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ)
    assert out.stdout.split() == ["20", "20"]
    assert next(read_manifest(tmp_path / "store"))["path"] == "0.dcm"


def test_an_image_folder_is_read_sorted(tmp_path):
    for i in (2, 0, 1):
        cv2.imwrite(str(tmp_path / f"{i}.png"), IMAGES[i])
    images, names = read_image_folder(tmp_path)
    np.testing.assert_array_equal(images, IMAGES[:3])
    assert names == ["0.png", "1.png", "2.png"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("b.png", np.zeros((16, 17), np.uint8), r"b\.png: 17 x 16 gray, but a\.png is 16 x 16 gray"),
        ("b.png", IMAGES[:3].transpose(1, 2, 0), r"b\.png: 16 x 16 colour, but a\.png is 16 x 16 gray"),
        ("b.png", np.full((16, 16), 4000, np.uint16), r"b\.png: 16-bit image; window it to 8 bit first"),
        ("b.png", b"\x89PNG\r\n\x1a\n and then nothing", r"b\.png: .*damaged"),
        ("b.jpg", b"text", r"b\.jpg: neither PNG nor JPEG"),
    ],
)
def test_an_image_folder_with_something_odd_names_the_file(tmp_path, name, content, message):
    cv2.imwrite(str(tmp_path / "a.png"), IMAGES[0])
    if isinstance(content, bytes):
        (tmp_path / name).write_bytes(content)
    else:
        cv2.imwrite(str(tmp_path / name), content)
    with pytest.raises(SapgganError, match=message):
        read_image_folder(tmp_path)


def test_an_empty_or_missing_image_folder_is_one_line(tmp_path):
    with pytest.raises(SapgganError, match="no PNG or JPEG"):
        read_image_folder(tmp_path)
    with pytest.raises(SapgganError, match="no such folder"):
        read_image_folder(tmp_path / "x")


@pytest.mark.parametrize("share", [0.5, 0.9])
@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
def test_a_truncated_image_is_refused_not_filled_with_gray(tmp_path, name, share):
    cv2.imwrite(str(tmp_path / name), IMAGES.reshape(80, 64))
    data = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(data[: int(len(data) * share)])
    with pytest.raises(SapgganError, match="damaged"):
        read_image_folder(tmp_path)


def test_an_image_bomb_is_refused_by_its_header(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), IMAGES[0])
    data = bytearray((tmp_path / "a.png").read_bytes())
    data[16:24] = (60_000).to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(SapgganError, match=r"60,000 x 60,000 pixels are more|exceeds limit of"):
        read_image_folder(tmp_path)


def nested(depth):
    value = []
    for _ in range(depth):
        value = [value, value]
    return pickle.dumps(value)


@pytest.mark.parametrize("content", [
    b"\x80\x04Nr\x00\x00\x00\x02.",                                          # a memo of 2**25 places
    b"\x80\x04\x8e" + (1 << 29).to_bytes(8, "little") + b"x.",                 # bytes that are not there
    nested(20),                                                              # a million lists by reference
    b"\x80\x02c_codecs\nencode\nq\x00X\x00\x00\x10\x00" + b"a" * (1 << 20) + b"\x85q\x01" + b"h\x00h\x01R" * 500 + b".",
], ids=["memo", "length", "references", "encoding"])  # fmt: skip
def test_a_pickle_takes_memory_of_the_order_of_the_file(tmp_path, content):
    (tmp_path / "a.pkl").write_bytes(content)
    tracemalloc.start()
    with contextlib.suppress(SapgganError):
        load_pickle(tmp_path / "a.pkl")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20e6


@pytest.mark.parametrize("name", ["_codecs\nencode", "numpy\ndtype", "numpy.core.numeric\n_frombuffer"])
def test_a_pickle_cannot_change_what_it_names(tmp_path, name):
    from sapggan_lib.store import pickles as safe_pickle

    before = {key: dict(vars(value)) for key, value in vars(safe_pickle).items() if hasattr(value, "__dict__")}
    for state in (b"}X\x01\x00\x00\x00aK\x01s", b"N}X\x01\x00\x00\x00aK\x01s\x86"):      # {"a": 1}; None, {"a": 1}
        (tmp_path / "a.pkl").write_bytes(b"\x80\x02c" + name.encode() + b"\n" + state + b"bK\x01.")
        with pytest.raises(SapgganError, match="refused"):
            load_pickle(tmp_path / "a.pkl")
    after = {key: dict(vars(value)) for key, value in vars(safe_pickle).items() if hasattr(value, "__dict__")}
    assert before == after


def test_keys_that_take_for_ever_to_hash_are_refused(tmp_path):
    deep = b")" + b"q\x00h\x00\x86" * 60                                         # a pair of pairs of pairs ...
    (tmp_path / "a.pkl").write_bytes(b"\x80\x02}" + deep + b"K\x01s.")
    with pytest.raises(SapgganError, match="key of type tuple"):
        load_pickle(tmp_path / "a.pkl")
