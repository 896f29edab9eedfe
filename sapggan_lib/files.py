"""Writing files so that nothing partial ever looks finished."""

import contextlib
import errno
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sapggan_lib.errors import SapgganError


@contextlib.contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path beside `path`; move it onto `path` when the block ends well, else delete it.

    Creates the parent folder. Raises `SapgganError` when the disk is full or the folder cannot be written.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        temporary.replace(path)
    except OSError as error:
        raise readable(error, path) from error
    finally:
        temporary.unlink(missing_ok=True)


def readable(error: OSError, path: Path | str) -> Exception:
    """The `SapgganError` for a full disk or a forbidden folder at `path`; any other error as it is."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return SapgganError(f"{path}: no space left on the disk; free some or choose another folder, then run again")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return SapgganError(f"{path}: no permission to write; choose another folder")
    return error


def write_text(path: Path | str, text: str) -> None:
    """Write `text` to `path` as UTF-8, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path | str, value: Any) -> None:
    """Write `value` to `path` as indented JSON, atomically. NaN and infinity are refused (ValueError)."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def sha256_file(path: Path | str) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def hash_listing(folder: Path | str) -> str:
    """SHA-256 of the names, sizes and times of all files below `folder`: cheap for 80,000 files."""
    entries = sorted(
        (str(path.relative_to(folder)), path.stat().st_size, path.stat().st_mtime_ns)
        for path in Path(folder).rglob("*")
        if path.is_file()
    )
    return hashlib.sha256(json.dumps(entries).encode()).hexdigest()
