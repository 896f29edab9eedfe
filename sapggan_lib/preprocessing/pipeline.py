"""A folder of radiographs becomes a store: list the inputs, process each, assemble the results.

Each step is repeatable, so that a run which goes on after any interruption ends with the same bytes.
"""

import hashlib
import itertools
import json
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from sapggan_lib import __version__
from sapggan_lib.base.config import PreprocessConfig, to_mapping
from sapggan_lib.base.errors import SapgganError
from sapggan_lib.base.files import atomic_path, only_one, sweep
from sapggan_lib.base.progress import progress_bar
from sapggan_lib.preprocessing.finished import Summary, count_rows, difference
from sapggan_lib.preprocessing.item import Answer, Item
from sapggan_lib.preprocessing.parallel import process_all, results
from sapggan_lib.preprocessing.sources import list_inputs
from sapggan_lib.privacy import key_mark, patient_key, write_paths
from sapggan_lib.store import IMAGE_FILES, open_store, read_facts, read_manifest, write_manifest, write_parts


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
    _check(config, source, out)

    key = patient_key()
    inputs = list_inputs(source, out, table, config, key)
    write_paths(key, lambda: ((item.path, item.file) for item in inputs))
    items: Iterable[Item] = inputs
    total, retry = inputs.count, False
    if (out / "store.json").exists():
        differs = difference(inputs, out, config, retry_failed)
        if differs and not renew:
            raise SapgganError(f"{out}: {differs}")
        if not differs:
            counts = count_rows(read_manifest(out))
            if not (retry_failed and counts["failed"]):
                return _summary(out, counts, start, already_done=True, table=inputs.table)
            total, retry = counts["failed"], True
            items = (i for i, row in zip(inputs, read_manifest(out), strict=True) if row["status"] == "failed")

    made_of = json.dumps([__version__, to_mapping(config), inputs.facts, retry, key_mark(key)])
    work = out / ".work" / hashlib.sha256(made_of.encode()).hexdigest()[:16]
    busy = "another sapggan preprocess is writing here; wait for it to end"
    with only_one(out / ".work", busy), progress_bar(total, "preprocess", "files") as bar:
        _clear_but_for(out, work)
        process_all(items, config, key_mark(key), source, work, workers, scheduler, bar.update)
        before = open_store(out).images if retry else None
        counts = _assemble(source, out, config, inputs.facts, lambda: _answers(out, work, before))
    shutil.rmtree(out / ".work", ignore_errors=True)
    return _summary(out, counts, start, table=inputs.table)


def _check(config: PreprocessConfig, source: Path, out: Path) -> None:
    for wrong, message in (
        (not 8 <= config.size <= 4096, f"preprocess: size must be 8 to 4096 pixels, not {config.size}"),
        (not 0 <= config.crop <= 0.9, f"preprocess: crop must be 0 to 0.9, not {config.crop}; 0.05 removes 5 %"),
        (config.clip_limit != 0 and not 1 <= config.clip_limit <= 256,
         f"preprocess: clip limit must be 0 (off) or 1 (no contrast added) to 256, not {config.clip_limit}"),
        (not 1 <= config.tiles <= 64, f"preprocess: tiles must be 1 to 64 per side, not {config.tiles}"),
        (config.seed < 0, f"preprocess: seed must be 0 or more, not {config.seed}"),
        (not source.exists(), f"{source}: no such folder; name the folder that holds the DICOM files"),
        (not source.is_dir(), f"{source}: not a folder; name the folder that holds this file"),
        (out == source or out in source.parents,
         f"{out}: the store cannot be its own source; choose a folder outside {source}"),
    ):
        if wrong:
            raise SapgganError(message)


def _clear_but_for(out: Path, work: Path) -> None:
    """Make the folder of finished parts, and delete what runs with other inputs or settings left beside it."""
    sweep(out)
    for stale in (out / ".work").iterdir():
        if stale.is_dir() and stale != work:
            shutil.rmtree(stale, ignore_errors=True)
    work.mkdir(exist_ok=True)


def _answers(out: Path, work: Path, before: np.ndarray | None) -> Iterator[Answer]:
    """Each input's row and, where it is kept, its image: of the shards, or in a retry of the images `before` and the
    manifest but for what had failed."""
    tried = results(work)
    if before is None:
        yield from tried
        return
    for row in read_manifest(out):
        if row["status"] == "failed":
            yield next(tried)
        else:
            yield row, before[int(row["index"])] if row["status"] == "kept" else None


def _assemble(
    source: Path, out: Path, config: PreprocessConfig, facts: dict[str, str], answers: Callable[[], Iterator[Answer]]
) -> dict[str, Any]:
    """What the inputs became to a store, in constant memory; returns their counts."""
    def rows() -> Iterator[dict[str, Any]]:
        numbers = itertools.count()
        for row, image in answers():
            yield row | {"index": "" if image is None else next(numbers)}

    counts = count_rows(rows())
    if not counts["kept"]:
        with atomic_path(out / "manifest.csv") as temporary:
            write_manifest(temporary, rows())
        shutil.rmtree(out / ".work", ignore_errors=True)
        reasons = [f"{n:,} {reason}" for reason, n in counts["dropped"].items()]
        reasons += [f"{counts['failed']:,} failed, first {counts['first_failure']}"] if counts["failed"] else []
        raise SapgganError(f"{source}: none of {counts['files']:,} files can be used: {', '.join(reasons)}; "
                           f"{out / 'manifest.csv'} tells why for each")
    shape = (counts["kept"], config.size, config.size) + ((3,) if config.channels == 3 else ())
    images = (image for _, image in answers() if image is not None)
    write_parts(out, shape, images, rows(), to_mapping(config), config.format, facts)
    return counts


def _summary(out: Path, counts: dict[str, Any], start: float, **more: Any) -> Summary:
    facts = read_facts(out)
    return Summary(out=out, **counts, shape=tuple(facts["shape"]), images_file=IMAGE_FILES[facts["format"]],
                   seconds=time.monotonic() - start, **more)
