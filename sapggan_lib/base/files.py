"""Writing files so that nothing partial ever looks finished."""

import contextlib
import errno
import hashlib
import json
import os
import secrets
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sapggan_lib.base.errors import SapgganError

ROOT = Path(__file__).resolve().parents[2]  # the project's folder


@contextlib.contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path beside `path`; move it onto `path` when the block ends well, else delete it.

    Creates the parent folder. Raises `SapgganError` when the disk is full or the folder cannot be written.
    """
    path = Path(path)
    # Random, as two containers with one process number may share the folder.
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        temporary.replace(path)
    except OSError as error:
        raise readable(error, path) from error
    finally:
        with contextlib.suppress(OSError):               # a read-only file system forbids even this
            temporary.unlink()


@contextlib.contextmanager
def only_one(folder: Path, busy: str = "") -> Iterator[None]:
    """Hold `folder` for this process by a lock file in it, and sweep what killed ones left half written there.

    Creates the folder. Raises `SapgganError` with `busy` when another process holds it (without `busy` it waits), and
    where the folder cannot be written. On a file system without locks it goes on, and says so.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(folder / ".lock")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0 if busy else -1)
    except Timeout:
        raise SapgganError(f"{folder}: {busy}") from None
    except (OSError, NotImplementedError) as error:      # the latter: an older filelock where locks are missing
        if isinstance(error, OSError) and error.errno not in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP):
            raise readable(error, folder) from error
        print(f"{folder}: this file system has no locks; let nothing else write here", file=sys.stderr)
    with lock if lock.is_locked else contextlib.nullcontext():
        sweep(folder)
        yield


def sweep(folder: Path) -> None:
    """Delete what `atomic_path` left half written in `folder` when its process was killed; for who holds the lock."""
    for stale in folder.glob(".*.partial"):
        stale.unlink(missing_ok=True)


def readable(error: OSError, path: Path | str) -> Exception:
    """The `SapgganError` for a full disk, a forbidden folder or none at `path`; any other error as it is."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return SapgganError(f"{path}: no space left on the disk; free some or choose another folder, then run again")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return SapgganError(f"{path}: no permission to write; choose another folder")
    if error.errno in (errno.ENOTDIR, errno.EEXIST):
        return SapgganError(f"{path}: a file lies where a folder must be; choose another folder")
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


def hash_listing(folder: Path | str, skip: Path | None = None) -> str:
    """SHA-256 of the names, sizes and times of all files that `walk` finds: cheap for 80,000 files."""
    digest = hashlib.sha256()
    for path in walk(folder, skip):
        digest.update(repr((os.path.relpath(path, folder), *file_state(path))).encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def file_state(path: Path | str) -> tuple[int, ...]:
    """Size, modification and change time of what a path leads to; where all are the same the content is, since
    no program sets the change time. Empty for what cannot be looked at."""
    try:
        status = Path(path).stat()
    except OSError:
        return ()
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


def walk(folder: Path | str, skip: Path | None = None) -> Iterator[str]:
    """Every file below `folder`, sorted by path, one folder's names in memory at a time.

    Links are followed, each folder once. Hidden names (the system's, as .DS_Store) and the folder `skip` are left out.
    A folder that cannot be listed and a link to nothing come as files do.
    """
    seen: set[tuple[int, int]] = set()

    def below(place: str) -> Iterator[str]:
        status = Path(place).stat()
        if (status.st_dev, status.st_ino) in seen:       # a link back, or a second link to the same folder
            return
        seen.add((status.st_dev, status.st_ino))
        try:
            with os.scandir(place) as entries:           # "/" after a folder's name: the order of whole paths
                names = sorted(e.name + "/" * e.is_dir() for e in entries if not e.name.startswith("."))
        except OSError:
            yield place
            return
        for name in names:
            path = f"{place}/{name}"
            if not name.endswith("/"):
                yield path
            elif Path(path).absolute() != skip:
                yield from below(path.rstrip("/"))

    return below(os.fspath(folder))
