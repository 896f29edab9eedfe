"""What keeps identifiers out of a store: keyed hashes in it, and outside it a private list that leads back.

The key is the user's: a restart, another machine of the same user or another data set of the same patients gives the
same hashes, and nobody without the key can try identifiers. Beside the key, in `paths/`, lies for each store the list
of its inputs (mode 600).
"""

import contextlib
import hashlib
import hmac
import json
import os
import platform
import secrets
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from sapggan_lib.base.errors import SapgganError
from sapggan_lib.base.files import atomic_path
from sapggan_lib.store import read_manifest

KEY_VARIABLE = "SAPGGAN_PATIENT_KEY"   # a file; where it is unset, the key is in the user's configuration folder
HASH_DIGITS = 16


def key_file() -> Path:
    """Where this user's key lies."""
    named = os.environ.get(KEY_VARIABLE)
    home = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    return Path(named) if named else home / "sapggan" / "patient-key"


def patient_key(mark: str = "") -> bytes:
    """The user's secret key, made at first use. Of several who make it at once all get the same one.

    With `mark` only the key that has it (`key_mark`), which is never made. Raises `SapgganError` when the key cannot
    be read or made, or the file holds something else.
    """
    try:
        path = key_file()
        if not path.exists() and not mark:
            _make_key(path)
        for _ in range(20):                  # without hard links, another process's key is there before its digits
            if text := path.read_text().strip():
                break
            time.sleep(0.1)
        key = bytes.fromhex(text)
    except (OSError, RuntimeError):                            # the latter: no home
        raise SapgganError(f"{path} on {platform.node()}: the key of the patient hashes cannot be read or made; set "
                           f"{KEY_VARIABLE} to a file that can") from None
    except ValueError:
        key = b""
    if len(key) < 16:
        raise SapgganError(f"{path}: not a patient key (64 hexadecimal digits); delete it to get a new one")
    if mark and key_mark(key) != mark:
        raise SapgganError(f"{path} on {platform.node()}: another key than that of the machine that began this; copy "
                           f"that one here, or name a file that all machines see: {KEY_VARIABLE}")
    return key


def key_mark(key: bytes) -> str:
    """What tells a key from others without telling the key."""
    return _hash(key, "mark\0")


def patient_hash(key: bytes, patient: str) -> str:
    """HMAC-SHA-256 of a patient's identifier, 16 hexadecimal digits; "" for no identifier."""
    return _hash(key, patient.strip()) if patient.strip() else ""


def path_hash(key: bytes, path: str) -> str:
    """HMAC-SHA-256 of a path below the source, 16 hexadecimal digits; never a patient's, though named after one."""
    return _hash(key, f"path\0{path}")


def paths_file(key: bytes, paths: Iterable[str]) -> Path:
    """Where the private list of the inputs lies that a manifest calls `paths`."""
    digest = hashlib.sha256()
    for path in paths:
        digest.update(f"{path}\0".encode())
    return key_file().parent / "paths" / f"{_hash(key, digest.hexdigest())}.jsonl"


def write_paths(key: bytes, inputs: Callable[[], Iterable[tuple[str, str]]]) -> None:
    """Write the private list of inputs: what the manifest's column `path` says of each, and the file, absolute."""
    with atomic_path(paths_file(key, (path for path, _ in inputs()))) as temporary:
        temporary.touch(mode=0o600)
        with temporary.open("w", encoding="utf-8") as stream:
            stream.writelines(json.dumps(pair) + "\n" for pair in inputs())


def original_path(store: Path | str, which: int | str) -> Path:
    """The input file of image number `which` of the store, or of the manifest's row whose `path` is `which`.

    Raises `SapgganError` where there is no such row, and where this user does not have the store's private list.
    """
    store = Path(store)
    if not (store / "manifest.csv").is_file():
        raise SapgganError(f"{store}: no manifest.csv here; name a store")
    column = "index" if isinstance(which, int) else "path"
    path = next((row["path"] for row in read_manifest(store) if row[column] == str(which)), None)
    if path is None:
        raise SapgganError(f'{store / "manifest.csv"}: no row has {column} "{which}"')
    file = original_paths(store).get(path)
    if file:
        return Path(file)
    listed = paths_file(patient_key(), (row["path"] for row in read_manifest(store)))
    raise SapgganError(f"{store}: {listed} does not lead back to its files; take the key of the user who made the "
                       f"store with the folder paths beside it ({KEY_VARIABLE}), or preprocess the same files again")


def original_paths(store: Path | str) -> dict[str, str]:
    """The store's input files, absolute, by the manifest's `path`; empty where this user lacks the private list."""
    listed = paths_file(patient_key(), (row["path"] for row in read_manifest(store)))
    with contextlib.suppress(FileNotFoundError), listed.open(encoding="utf-8") as stream:
        return dict(map(json.loads, stream))
    return {}


def _make_key(path: Path) -> None:
    """A new key at `path`, whole from its first moment there, unless another process is quicker."""
    path.parent.mkdir(parents=True, exist_ok=True)
    key = secrets.token_hex(32) + "\n"
    with (contextlib.suppress(FileExistsError),
          tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=f".{path.name}.") as temporary):    # mode 600
        temporary.write(key)
        temporary.flush()
        try:
            path.hardlink_to(temporary.name)
        except OSError:                                        # no hard links here; or the key is, as "x" will say
            with path.open("x") as stream:
                path.chmod(0o600)
                stream.write(key)


def _hash(key: bytes, text: str) -> str:
    return hmac.new(key, text.encode(), "sha256").hexdigest()[:HASH_DIGITS]
