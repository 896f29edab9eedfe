"""Notebooks through papermill: one process each, resume, records, report."""

import contextlib
import json
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Executor, Future, ThreadPoolExecutor, wait
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sapggan_lib.base import cluster
from sapggan_lib.base.errors import SapgganError
from sapggan_lib.base.files import only_one, readable, write_json
from sapggan_lib.notebook import environment
from sapggan_lib.runs import report
from sapggan_lib.runs.execution import execute, unchanged
from sapggan_lib.runs.folder import RunFolder, claim
from sapggan_lib.runs.jobs import Job


def run(
    jobs: Sequence[Job], folder: Path, profile: str, parallel: int = 1, force: bool = False, scheduler: str = ""
) -> Path:
    """Execute `jobs` into `folder`, skipping those whose key is unchanged, and write its report. Returns index.html.

    `parallel` notebooks run at once on this machine, or all that may on the Dask cluster at `scheduler`.
    A failed notebook stops those that need it; the others go on, and a `SapgganError` names every failure.
    All jobs publishable: nothing goes to `folder` but what may be shown, and it may hold nothing else beforehand.
    """
    from sapggan_lib.page import write_run_page  # with torch, which no process of a notebook needs

    started = time.time()
    publishable = all(job.publishable for job in jobs)
    try:
        with only_one(folder, "another run is writing here; wait for it, or name yours: --run"):
            place = claim(folder.absolute(), profile, publishable)
            pending = [job for job in jobs if force or not unchanged(job, place)]
            outcomes = {job.name: "unchanged" for job in jobs if job not in pending}
            for name in outcomes:
                _tell(name, outcomes, place)
            if pending:
                with _executor(scheduler, parallel) as pool:
                    _execute_all(pending, outcomes, place, pool, len(pending) if scheduler else parallel, force)
            place.sweep()
            page = write_run_page(folder / report.PAGE, place.private, publishable)
            _write_record(place, outcomes, profile, publishable, started, page)
            report.write_codecheck(folder)
            index = report.write_report(folder)
    except OSError as error:
        raise readable(error, folder) from error
    if publishable:
        print(f"not to be shared, and to be deleted with the run: {place.private}")
    if failures := [f"{name} {_described(name, outcomes, place)}" for name in outcomes if _failed(name, outcomes)]:
        raise SapgganError("; ".join(failures))
    return index


@contextlib.contextmanager
def _executor(scheduler: str, parallel: int) -> Iterator[Executor]:
    """Where notebooks run: threads of this process, each with a child, or the workers of a Dask cluster."""
    if scheduler:
        with cluster.connect(scheduler) as client:
            yield client.get_executor(pure=False, retries=2, resources=cluster.slots(client))
    else:
        with ThreadPoolExecutor(parallel) as pool:
            yield pool


def _execute_all(
    pending: list[Job], outcomes: dict[str, str], folder: RunFolder, pool: Executor, at_once: int, force: bool
) -> None:
    """Run the jobs on `pool`, `at_once`, each after what it needs; adds to `outcomes`."""
    running: dict[Future[str], Job] = {}
    seen: dict[str, int] = {}  # bytes of a log that were looked at
    local = isinstance(pool, ThreadPoolExecutor)
    threads = max(1, (os.cpu_count() or 1) // at_once) if local and at_once > 1 else 0
    while pending or running:
        for job in list(pending):
            if any(_failed(needed, outcomes) for needed in job.needs):
                outcomes[job.name] = f"failed: it needs {', '.join(job.needs)}"
                _tell(job.name, outcomes, folder)
                pending.remove(job)
            elif len(running) < at_once and outcomes.keys() >= set(job.needs):
                print(f"{job.name:24} {'running' if local else 'submitted'}", flush=True)
                log = folder.log(job.name)
                seen[job.name] = log.stat().st_size if log.exists() else 0
                running[pool.submit(execute, job, folder, force, threads)] = job
                pending.remove(job)
        done = wait(running, timeout=1, return_when=FIRST_COMPLETED).done
        for job in running.values():
            _show_progress(folder.log(job.name), job.name[:2], seen)
        for future in done:
            job = running.pop(future)
            outcomes[job.name] = _outcome(future, job, folder)
            _tell(job.name, outcomes, folder)


def _failed(name: str, outcomes: Mapping[str, str]) -> bool:
    return outcomes.get(name, "").startswith("failed")


def _tell(name: str, outcomes: Mapping[str, str], folder: RunFolder) -> None:
    print(f"{name:24} {_described(name, outcomes, folder)}", flush=True)


def _described(name: str, outcomes: Mapping[str, str], folder: RunFolder) -> str:
    """A notebook's outcome, and where to read on when it failed; for the terminal alone, as that is a place."""
    kept = [path for path in (folder.failed(name), folder.log(name)) if path.exists()]
    return outcomes[name] + (f"; see {kept[0]}" if kept and _failed(name, outcomes) else "")


def _outcome(future: Future[str], job: Job, folder: RunFolder) -> str:
    """What a notebook's task returned, or in a sentence why it did not; without places, as the record has it."""
    try:
        return future.result()
    except CancelledError:
        return "failed: the Dask scheduler is gone; start it again, then run again: finished notebooks are kept"
    except Exception as error:  # of Dask, as KilledWorker, or of the storage
        known = readable(error, folder.shown) if isinstance(error, OSError) else error
        reason = str(known) if isinstance(known, SapgganError) else f"{type(known).__name__}: {known}"
        return f"failed: {folder.hider(job).text(reason)}"


def _show_progress(log: Path, label: str, seen: dict[str, int]) -> None:
    """Print the library's progress lines that `log` got since the last call; it may be written on another machine."""
    if not log.exists():
        return
    with log.open("rb") as stream:
        if stream.seek(0, os.SEEK_END) < seen[log.stem]:  # a log starts again with its notebook
            seen[log.stem] = 0
        stream.seek(seen[log.stem])
        lines = [line for line in stream if line.endswith(b"\n")]
    seen[log.stem] += sum(map(len, lines))
    for line in (line.decode(errors="replace").rstrip() for line in lines):
        if re.search(r": .*\d \w+/s", line):
            print(f"{label} | {line}", flush=True)


def _write_record(
    place: RunFolder, outcomes: Mapping[str, str], profile: str, publishable: bool, started: float, page: str
) -> None:
    folder = place.shown
    before = json.loads((folder / "record.json").read_text(encoding="utf-8"))
    records = [json.loads(path.read_text(encoding="utf-8")) for path in sorted((folder / "records").glob("*.json"))]
    write_json(
        folder / "record.json",
        {
            "run": folder.name,
            "profile": profile,
            "publishable": publishable,
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            "seconds": round(time.time() - started, 1),
            "outcomes": before.get("outcomes", {}) | dict(outcomes),
            "page": page,                                   # whose generator generator.html draws with
            **environment(),
            "trainings": _trainings(place.private / "work", before.get("trainings", {})),
            "notebooks": {record.pop("notebook"): record for record in records},
        },
    )


def _trainings(work: Path, before: Mapping[str, Any]) -> dict[str, Any]:
    """The trainings in `work`, and those `before` that a clone lacks: nothing of their kind (`models/...`) is there."""
    from sapggan_lib.training import read_trainings

    elsewhere = {name: facts for name, facts in before.items() if not (work / name.split("/")[0]).exists()}
    return dict(sorted((elsewhere | read_trainings(work)).items()))
