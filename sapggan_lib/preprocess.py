"""A folder of radiographs becomes a store, in parallel, and again the same bytes after any interruption."""

import contextlib
import hashlib
import json
import os
import secrets
import shutil
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sapggan_lib import __version__
from sapggan_lib.config import PreprocessConfig, to_mapping
from sapggan_lib.errors import SapgganError
from sapggan_lib.files import atomic_path, readable, sha256_file
from sapggan_lib.preprocess_steps import (
    apply_clahe,
    crop_generator,
    process_item,
    random_crop,
    resize,
    to_channels,
    to_uint8,
    transform,
)
from sapggan_lib.progress import progress_bar
from sapggan_lib.shards import SHARD, Item, Job, finished, run_dask, run_local
from sapggan_lib.sources import is_image, list_items, unpack_arrays
from sapggan_lib.store import IMAGE_FILES, read_manifest, write_manifest, write_parts

__all__ = [
    "Summary", "apply_clahe", "crop_generator", "is_image", "preprocess", "process_item", "random_crop", "resize",
    "to_channels", "to_uint8", "transform",
]  # fmt: skip

KEY_VARIABLE = "SAPGGAN_PATIENT_KEY"   # a file; where it is unset, the key is in the user's configuration folder


@dataclass(frozen=True)
class Summary:
    """What `preprocess` did."""

    out: Path
    files: int                      # inputs, one manifest row each
    kept: int
    dropped: dict[str, int]         # reason -> count, most frequent first
    failed: int
    first_failure: str              # "path: reason", or ""
    shape: tuple[int, ...]          # of the images
    seconds: float
    images_file: str
    already_done: bool = False      # the store was there already, made of the same files with the same settings
    table: str = ""                 # the table that told the views, where one did

    def text(self) -> str:
        """The lines that the command prints."""
        lines = [f"views from {self.table}"] if self.table else []
        dropped = sum(self.dropped.values())
        reasons = f" ({', '.join(f'{n:,} {reason}' for reason, n in self.dropped.items())})" if dropped else ""
        lines.append(f"{self.files:,} files: {self.kept:,} kept, {dropped:,} dropped{reasons}, {self.failed:,} failed")
        if self.failed:
            lines.append(f'first failure: {self.first_failure} (all: manifest.csv, status "failed")')
        size = f"{' x '.join(map(str, self.shape))}  {int(np.prod(self.shape)) / 1e6:,.1f} MB"
        speed = "already done, nothing to do" if self.already_done else (
            f"{self.seconds:,.0f} s, {self.files / max(self.seconds, 1e-9):,.0f} files/s")
        lines.append(f"{self.out / self.images_file}  {size}      {self.out / 'manifest.csv'}  {self.files:,} rows"
                     f"      {speed}")
        return "\n".join(lines)


def preprocess(
    source: Path | str,                     # a folder of DICOM (any depth, any names), or of PNG and JPEG images
    out: Path | str,                        # the store to make
    config: PreprocessConfig | None = None, # None: the defaults
    table: Path | str | None = None,        # a CSV with a file-name and a view column; None: found in `source`
    workers: int | None = None,             # processes on this machine; None: one per core
    scheduler: str | None = None,           # "tcp://HOST:8786": on a Dask cluster instead
) -> Summary:
    """Make a store of the PA chest radiographs under `source`. Returns what was kept, dropped and failed.

    Finished parts wait in a hidden folder in `out`; run again after a kill, it goes on from them, and ends with
    the bytes of an undisturbed run. A finished store of the same files and settings is left alone.
    Raises `SapgganError` when there is nothing to read or to keep, or `out` holds another store.
    """
    start, config = time.monotonic(), config or PreprocessConfig()
    source, out = Path(source).absolute(), Path(out).absolute()
    _check_config(config)
    if not source.exists():
        raise SapgganError(f"{source}: no such folder; name the folder that holds the DICOM files")
    if not source.is_dir():
        raise SapgganError(f"{source}: not a folder; name the folder that holds this file")
    if out == source or out in source.parents:
        raise SapgganError(f"{out}: the store cannot be its own source; choose a folder outside {source}")
    items, views = list_items(source, out, table, config.unknown_view)
    key, listing = _patient_key(), _listing(items)
    table_name = views.path.name if views else ""
    if (out / "store.json").exists():
        _check_unchanged(source, out, config, items, listing)
        return _summary(out, _manifest_counts(read_manifest(out)), start, already_done=True, table=table_name)
    work = out / ".work" / _fingerprint(items, config, key)
    try:
        work.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise readable(error, out) from error
    with _only_one(out), progress_bar(len(items), "preprocess", "files") as bar:
        for stale in (out / ".work").iterdir():
            if stale.is_dir() and stale != work:
                shutil.rmtree(stale, ignore_errors=True)
        items = unpack_arrays(items, work)
        starts = range(0, len(items), SHARD)
        jobs = [Job(n, items[i : i + SHARD], config, key, str(source), work) for n, i in enumerate(starts)]
        todo = [job for job in jobs if not job.rows_file.exists()]
        bar.update(len(items) - sum(len(job.items) for job in todo))

        def done(number: int) -> None:
            bar.update(len(jobs[number].items))

        if scheduler:
            run_dask(todo, scheduler, done)
        else:
            run_local(todo, min(workers or os.cpu_count() or 1, max(len(todo), 1)), done)
        counts = _assemble(source, out, config, jobs, {"listing": listing})
    shutil.rmtree(out / ".work", ignore_errors=True)
    return _summary(out, counts, start, table=table_name)


def _assemble(source: Path, out: Path, config: PreprocessConfig, jobs: Sequence[Job], facts: dict) -> dict[str, Any]:
    """Finished shards to a store, in constant memory."""
    def rows() -> Iterator[dict[str, Any]]:
        index = 0
        for shard, _ in finished(jobs):
            for row in shard:
                yield row | ({"index": index} if row["status"] == "kept" else {})
                index += row["status"] == "kept"

    def images() -> Iterator[np.ndarray]:
        for shard, file in finished(jobs):
            if any(row["status"] == "kept" for row in shard):
                yield np.load(file)

    counts = _manifest_counts(rows())
    if not counts["kept"]:
        with atomic_path(out / "manifest.csv") as temporary:
            write_manifest(temporary, rows())
        shutil.rmtree(out / ".work", ignore_errors=True)
        reasons = [f"{n:,} {reason}" for reason, n in counts["dropped"].items()]
        reasons += [f"{counts['failed']:,} failed, first {counts['first_failure']}"] if counts["failed"] else []
        raise SapgganError(f"{source}: none of {counts['files']:,} files can be used: {', '.join(reasons)}; "
                           f"{out / 'manifest.csv'} tells why for each")
    shape = (counts["kept"], config.size, config.size) + ((3,) if config.channels == 3 else ())
    write_parts(out, shape, images(), rows(), to_mapping(config), config.format, facts)
    return counts


def _manifest_counts(rows: Iterator[dict[str, Any]]) -> dict[str, Any]:
    status, dropped, first = Counter[str](), Counter[str](), ""
    for row in rows:
        status[row["status"]] += 1
        if row["status"] == "dropped":
            dropped[row["reason"]] += 1
        elif row["status"] == "failed" and not first:
            first = f"{row['path']}: {row['reason']}"
    return {"files": status.total(), "kept": status["kept"], "dropped": dict(dropped.most_common()),
            "failed": status["failed"], "first_failure": first}


def _summary(out: Path, counts: dict[str, Any], start: float, **more: Any) -> Summary:
    facts = json.loads((out / "store.json").read_text(encoding="utf-8"))
    return Summary(out=out, **counts, shape=tuple(facts["shape"]), images_file=IMAGE_FILES[facts["format"]],
                   seconds=time.monotonic() - start, **more)


def _check_config(config: PreprocessConfig) -> None:
    for wrong, message in (
        (not 8 <= config.size <= 4096, f"size must be 8 to 4096 pixels, not {config.size}"),
        (not 0 <= config.crop <= 0.9, f"crop must be 0 to 0.9, not {config.crop}; 0.05 removes 5 %"),
        (not 0 <= config.clip_limit <= 256, f"clip limit must be 0 (off) to 256, not {config.clip_limit}"),
        (not 1 <= config.tiles <= 64, f"tiles must be 1 to 64 per side, not {config.tiles}"),
        (config.seed < 0, f"seed must be 0 or more, not {config.seed}"),
    ):
        if wrong:
            raise SapgganError(f"preprocess: {message}")


def _check_unchanged(source: Path, out: Path, config: PreprocessConfig, items: Sequence[Item], listing: str) -> None:
    """Raise `SapgganError` unless the finished store in `out` was made of these files with these settings."""
    marker = out / "store.json"
    facts, finished_at = json.loads(marker.read_text(encoding="utf-8")), marker.stat().st_mtime
    for name, value in to_mapping(config).items():
        if facts["config"].get(name) != value:
            raise SapgganError(f"{out}: holds a store made with {name} {facts['config'].get(name)}, not {value}; "
                               "choose another folder, or delete this one first")
    changed = facts.get("listing") != listing
    for item, row in zip(items, () if changed else read_manifest(out), strict=False):
        # Only files touched since need reading.
        with contextlib.suppress(OSError):
            if not item.member and Path(item.file).stat().st_mtime > finished_at:
                changed |= sha256_file(item.file) != row["sha256"]
    if changed:
        raise SapgganError(f"{out}: holds a store of other files than {source} has now; choose another folder, or "
                           "delete this one first")


def _listing(items: Sequence[Item]) -> str:
    """A hash of the inputs' paths, sizes and views."""
    digest = hashlib.sha256()
    for item in items:
        size = 0
        with contextlib.suppress(OSError):
            size = Path(item.file).stat().st_size
        digest.update(repr((item.path, size, item.view)).encode())
    return digest.hexdigest()


def _fingerprint(items: Sequence[Item], config: PreprocessConfig, key: bytes) -> str:
    """Names the work that finished shards may be reused for: same files, untouched, same settings and library."""
    digest = hashlib.sha256(json.dumps([__version__, to_mapping(config)], sort_keys=True).encode() + key)
    for item in items:
        with contextlib.suppress(OSError):
            status = Path(item.file).stat()
            digest.update(repr((item, status.st_size, status.st_mtime_ns)).encode("utf-8", "surrogateescape"))
    return digest.hexdigest()[:16]


def _patient_key() -> bytes:
    """The secret that turns patient identifiers into hashes; made at first use, never inside a store.

    One key per user, so that a restart, another machine of the same user or another data set of the same patients
    gives the same hashes, and nobody without the key can try identifiers.
    """
    named = os.environ.get(KEY_VARIABLE)
    home = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    path = Path(named) if named else home / "sapggan" / "patient-key"
    try:
        if not path.exists():
            with atomic_path(path) as temporary:
                temporary.touch(mode=0o600)
                temporary.write_text(secrets.token_hex(32) + "\n")
        key = bytes.fromhex(path.read_text().strip())
    except (OSError, SapgganError, RuntimeError):
        raise SapgganError(f"{path}: the key of the patient hashes cannot be read or made; set {KEY_VARIABLE} to a "
                           "file that can") from None
    except ValueError:
        key = b""
    if len(key) < 16:
        raise SapgganError(f"{path}: not a patient key (64 hexadecimal digits); delete it to get a new one")
    return key


@contextlib.contextmanager
def _only_one(out: Path) -> Iterator[None]:
    """Hold `out` for this process. Raises `SapgganError` when another one works there."""
    try:
        import fcntl
    except ImportError:                  # Windows: no lock
        yield
        return
    with (out / ".work" / "lock").open("w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SapgganError(f"{out}: another sapggan preprocess is writing here; wait for it to end") from None
        except OSError:                  # a file system without locks
            pass
        yield
