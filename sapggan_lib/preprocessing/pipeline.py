"""A folder of radiographs becomes a store, in parallel, and again the same bytes after any interruption."""

import hashlib
import json
import os
import shutil
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from sapggan_lib import __version__
from sapggan_lib.base.config import PreprocessConfig, to_mapping
from sapggan_lib.base.errors import SapgganError
from sapggan_lib.base.files import atomic_path, only_one, sha256_file, sweep, write_json
from sapggan_lib.base.progress import progress_bar
from sapggan_lib.preprocessing.shards import SHARD, Item, Job, finished, run_dask, run_local
from sapggan_lib.preprocessing.sources import Listing, list_inputs, unpacked
from sapggan_lib.privacy import key_mark, patient_key, write_paths
from sapggan_lib.store import IMAGE_FILES, open_store, read_facts, read_manifest, write_manifest, write_parts


@dataclass(frozen=True)
class Summary:
    """What `preprocess` did."""

    out: Path
    files: int                      # inputs, one manifest row each
    kept: int
    dropped: dict[str, int]         # reason -> count, most frequent first
    failed: int
    first_failure: str              # "path: reason", the path as the manifest has it; or ""
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
            lines.append(f"first failure: {self.first_failure}")
            lines.append('all failures: manifest.csv, status "failed"; --retry-failed tries them again, '
                         f"sapggan which {self.out} PATH tells which file it was")
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
    retry_failed: bool = False,             # of a finished store, try the failed files again
    renew: bool = False,                    # make a finished store of other files or settings anew
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
    key = patient_key()
    inputs = list_inputs(source, out, table, config, key)
    table_name = inputs.views.path.name if inputs.views else ""
    write_paths(key, lambda: ((item.path, item.file) for item in inputs))
    items: Iterable[Item] = inputs
    total, retry = inputs.count, False
    if (out / "store.json").exists():
        difference = _difference(inputs, out, config, retry_failed)
        if difference and not renew:
            raise SapgganError(f"{out}: {difference}")
        if not difference:
            total = sum(row["status"] == "failed" for row in read_manifest(out)) if retry_failed else 0
            if not total:
                return _summary(out, _counts(read_manifest(out)), start, already_done=True, table=table_name)
            retry = True
            items = (i for i, row in zip(inputs, read_manifest(out), strict=True) if row["status"] == "failed")
    made_of = json.dumps([__version__, to_mapping(config), inputs.facts, retry, key_mark(key)])
    work = out / ".work" / hashlib.sha256(made_of.encode()).hexdigest()[:16]
    shards = -(-total // SHARD)
    busy = "another sapggan preprocess is writing here; wait for it to end"
    with only_one(out / ".work", busy), progress_bar(total, "preprocess", "files") as bar:
        sweep(out)
        for stale in (out / ".work").iterdir():
            if stale.is_dir() and stale != work:
                shutil.rmtree(stale, ignore_errors=True)
        work.mkdir(exist_ok=True)

        def done(number: int) -> None:
            bar.update(min(SHARD, total - number * SHARD))

        def jobs() -> Iterator[Job]:
            rest = iter(items)
            for number in range(shards):
                job = Job(number, list(islice(rest, SHARD)), config, key_mark(key), str(source), work)
                if job.rows_file.exists():
                    done(number)
                else:
                    yield replace(job, items=[unpacked(item, work) for item in job.items])

        if scheduler:
            run_dask(jobs(), scheduler, done)
        else:
            run_local(jobs(), min(workers or os.cpu_count() or 1, shards), done)
        counts = _assemble(source, out, config, (work, shards, open_store(out).images if retry else None), inputs.facts)
    shutil.rmtree(out / ".work", ignore_errors=True)
    return _summary(out, counts, start, table=table_name)


def _assemble(
    source: Path, out: Path, config: PreprocessConfig, made: tuple[Path, int, np.ndarray | None], facts: dict[str, str]
) -> dict[str, Any]:
    """Finished shards to a store, in constant memory."""
    def rows() -> Iterator[dict[str, Any]]:
        index = 0
        for row, image in _results(out, *made):
            yield row | {"index": "" if image is None else index}
            index += image is not None

    counts = _counts(rows())
    if not counts["kept"]:
        with atomic_path(out / "manifest.csv") as temporary:
            write_manifest(temporary, rows())
        shutil.rmtree(out / ".work", ignore_errors=True)
        reasons = [f"{n:,} {reason}" for reason, n in counts["dropped"].items()]
        reasons += [f"{counts['failed']:,} failed, first {counts['first_failure']}"] if counts["failed"] else []
        raise SapgganError(f"{source}: none of {counts['files']:,} files can be used: {', '.join(reasons)}; "
                           f"{out / 'manifest.csv'} tells why for each")
    shape = (counts["kept"], config.size, config.size) + ((3,) if config.channels == 3 else ())
    images = (image for _, image in _results(out, *made) if image is not None)
    write_parts(out, shape, images, rows(), to_mapping(config), config.format, facts)
    return counts


def _results(
    out: Path, work: Path, shards: int, before: np.ndarray | None
) -> Iterator[tuple[dict[str, Any], np.ndarray | None]]:
    """Each input's row and, where it is kept, its image: of the shards, or in a retry of the images `before` and the
    manifest but for what had failed."""
    def new() -> Iterator[tuple[dict[str, Any], np.ndarray | None]]:
        for rows, file in finished(work, shards):
            images = iter(np.load(file, mmap_mode="r") if any(row["status"] == "kept" for row in rows) else ())
            for row in rows:
                yield row, next(images) if row["status"] == "kept" else None

    tried = new()
    if before is None:
        yield from tried
        return
    for row in read_manifest(out):
        if row["status"] == "failed":
            yield next(tried)
        else:
            yield row, before[int(row["index"])] if row["status"] == "kept" else None


def _counts(rows: Iterable[dict[str, Any]]) -> dict[str, Any]:
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
    facts = read_facts(out)
    return Summary(out=out, **counts, shape=tuple(facts["shape"]), images_file=IMAGE_FILES[facts["format"]],
                   seconds=time.monotonic() - start, **more)


def _difference(inputs: Listing, out: Path, config: PreprocessConfig, retry_failed: bool) -> str:
    """What differs between the finished store in `out` and one of these inputs with these settings, or "".

    Contents are compared where sizes and times cannot tell. Files that failed may change when they are tried again.
    """
    facts = read_facts(out)
    for name, value in to_mapping(config).items():
        if name not in facts["config"]:
            return "holds a store of an older version, whose manifest may name files; delete it and run this again"
        if facts["config"][name] != value:
            return (f"holds a store made with {name} {facts['config'][name]}, not {value}; choose another folder, "
                    "or delete this one first")
    if facts | inputs.facts == facts:
        return ""
    same, mended = facts.get("inputs") == inputs.facts["inputs"], 0
    for item, row in zip(inputs, read_manifest(out) if same else (), strict=False):
        equal = not item.member and _content(item.file) == row["sha256"]
        if row["status"] == "failed":
            mended += not equal and not retry_failed
        else:
            same &= equal
    if not same:
        return (f"holds a store of other files than {inputs.source} and the table have now, or of another patient key; "
                "choose another folder, or delete this one first")
    if mended:
        return f"{mended:,} of the files that failed have changed since; --retry-failed tries them again"
    write_json(out / "store.json", facts | inputs.facts)      # the next time sizes and times will tell
    return ""


def _content(file: str) -> str:
    """SHA-256 of a file, "" where it cannot be read."""
    try:
        return sha256_file(file)
    except OSError:
        return ""


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
