import errno
import fcntl
import os
import subprocess
import sys

import pytest

from sapggan_lib.base.errors import SapgganError
from sapggan_lib.base.files import atomic_path, hash_listing, only_one, sha256_file, walk, write_json


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


def test_two_writers_with_one_process_number_do_not_share_a_temporary_file(tmp_path):
    with atomic_path(tmp_path / "a") as one, atomic_path(tmp_path / "a") as two:
        assert one != two
        one.write_text("1")
        two.write_text("2")
    assert (tmp_path / "a").read_text() == "1"  # the last to end


def test_a_folder_is_for_one_process_which_sweeps_what_killed_ones_left(tmp_path):
    (tmp_path / ".a.1234.partial").write_text("half")
    hold = f"""
from pathlib import Path
from sapggan_lib.base.files import only_one
with only_one(Path({str(tmp_path)!r}), "busy"):
    print("held", flush=True)
    input()
"""
    command = [sys.executable, "-c", hold]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout.readline() == b"held\n"
        assert not (tmp_path / ".a.1234.partial").exists()
        with pytest.raises(SapgganError, match="another writes here"), only_one(tmp_path, "another writes here"):
            pass
        other.kill()
    with only_one(tmp_path, "busy"):  # the lock died with its process
        pass


def test_without_locks_on_the_file_system_it_goes_on_and_says_so(tmp_path, monkeypatch, capsys):
    def flock(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", flock)
    with only_one(tmp_path / "new", "busy"):
        (tmp_path / "new" / "file").write_text("1")
    assert "this file system has no locks" in capsys.readouterr().err


def test_a_walk_is_in_the_order_of_whole_paths_and_follows_each_link_once(tmp_path):
    for name in ("a/b", "a.dcm", "a-b", ".hidden/x", "a/.DS_Store", "out/x"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "a" / "back").symlink_to(tmp_path)
    (tmp_path / "nothing").symlink_to(tmp_path / "gone")
    found = [os.path.relpath(path, tmp_path) for path in walk(tmp_path, skip=tmp_path / "out")]
    assert found == sorted(found) == ["a-b", "a.dcm", "a/b", "nothing"]


def test_a_listing_sees_a_file_of_equal_size_and_older_time_also_behind_a_link(tmp_path):
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / "file").write_text("one")
    (tmp_path / "near").mkdir()
    (tmp_path / "near" / "link").symlink_to(tmp_path / "far")
    before = hash_listing(tmp_path / "near")
    assert hash_listing(tmp_path / "near") == before
    times = (tmp_path / "far" / "file").stat()
    (tmp_path / "far" / "file").write_text("two")
    os.utime(tmp_path / "far" / "file", ns=(times.st_atime_ns, times.st_mtime_ns))
    assert hash_listing(tmp_path / "near") != before
