import errno

import pytest

from sapggan_lib.errors import SapgganError
from sapggan_lib.files import atomic_path, sha256_file, write_json


def test_a_failed_write_leaves_the_old_file_and_nothing_beside_it(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("old")
    with pytest.raises(ValueError, match="half way"), atomic_path(path) as temporary:
        temporary.write_text("ne")
        raise ValueError("half way")
    assert [file.read_text() for file in tmp_path.iterdir()] == ["old"]


def test_a_full_disk_is_one_sentence_that_names_the_file(tmp_path):
    no_space = pytest.raises(SapgganError, match=r"table\.csv: no space left on the disk")
    with no_space, atomic_path(tmp_path / "table.csv"):
        raise OSError(errno.ENOSPC, "No space left on device")


def test_json_refuses_nan(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "score.json", {"fd": float("nan")})
    assert list(tmp_path.iterdir()) == []


def test_sha256_of_a_known_file(tmp_path):
    (tmp_path / "abc").write_bytes(b"abc")
    assert sha256_file(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
