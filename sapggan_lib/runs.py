"""Notebooks through papermill: one process each, resume, records, report."""

import contextlib
import json
import os
import re
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Executor, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from sapggan_lib import cluster, report
from sapggan_lib.errors import SapgganError
from sapggan_lib.execute import execute, executed_path, failed_path, log_path, unchanged
from sapggan_lib.files import only_one, readable, write_json
from sapggan_lib.notebook import environment
from sapggan_lib.page import write_run_page
from sapggan_lib.places import Hider, is_publishable, private_folder
from sapggan_lib.plan import Job

COMMITTED = "reference"  # the run that is in the repository, for everyone to see


@dataclass
class _Run:
    """A run under way."""

    folder: Path
    private: Path                    # where store, trainings and logs are: the folder itself, or not to be shared
    force: bool
    outcomes: dict[str, str] = field(default_factory=dict)

    def tell(self, job: Job, outcome: str) -> None:
        """Note how a notebook ended, and print it."""
        self.outcomes[job.name] = outcome
        print(f"{job.name:24} {outcome}{self.see(job.name)}", flush=True)

    def see(self, name: str) -> str:
        """Where to read on about a notebook that failed; for the terminal alone, as it is a place."""
        kept = [path(self.private, name) for path in (failed_path, log_path) if path(self.private, name).exists()]
        return f"; see {kept[0]}" if kept and self.outcomes[name].startswith("failed") else ""


def run_folder(runs: Path, name: str, publishable: bool) -> Path:
    """The folder of the run `name` in the folder `runs`. Raises `SapgganError` for what is not one plain name."""
    if not re.fullmatch(r"\w[\w .+-]*", name) or name.endswith((".", " ")):
        raise SapgganError(f'"{name}" is no name for a run: give one plain name of letters, digits, spaces and - _ + .')
    if name.casefold() == "profiles" or (name.casefold() == COMMITTED and not publishable):
        add = ", or add --publishable" if name.casefold() == COMMITTED else ""
        raise SapgganError(f"{runs / name} is committed, for everyone to see: choose another --run{add}")
    others = [path.name for path in runs.iterdir()] if runs.is_dir() else []
    for other in [COMMITTED, *others]:
        if other.casefold() == name.casefold() and other != name:
            raise SapgganError(f'run "{name}": some disks take it for "{other}"; write it so, or choose another name')
    return runs / name


def run(
    jobs: Sequence[Job], folder: Path, profile: str, parallel: int = 1, force: bool = False, scheduler: str = ""
) -> Path:
    """Execute `jobs` into `folder`, skipping those whose key is unchanged, and write its report. Returns index.html.

    `parallel` notebooks run at once on this machine, or all that may on the Dask cluster at `scheduler`.
    A failed notebook stops those that need it; the others go on, and a `SapgganError` names every failure.
    All jobs publishable: nothing goes to `folder` but what may be shown, and it may hold nothing else beforehand.
    """
    started = time.time()
    publishable = all(job.publishable for job in jobs)
    try:
        with only_one(folder, "another run is writing here; wait for it, or name yours: --run"):
            _claim(folder, profile, publishable)
            state = _Run(folder, private_folder(folder) if publishable else folder, force)
            pending = [job for job in jobs if force or not unchanged(folder, job.name, job.key)]
            for job in jobs:
                if job not in pending:
                    state.tell(job, "unchanged")
            if pending:
                with _executor(scheduler, parallel) as pool:
                    _execute_all(pending, state, pool, len(pending) if scheduler else parallel)
            _sweep(folder, state.private)
            page = write_run_page(folder, state.private, publishable)
            _write_record(state, profile, publishable, started, page)
            index = report.write_report(folder)
    except OSError as error:
        raise readable(error, folder) from error
    if publishable:
        print(f"not to be shared, and to be deleted with the run: {state.private}")
    failures = [f"{name} {outcome}{state.see(name)}" for name, outcome in state.outcomes.items()
                if outcome.startswith("failed")]  # fmt: skip
    if failures:
        raise SapgganError("; ".join(failures))
    return index


def _claim(folder: Path, profile: str, publishable: bool) -> None:
    """Say in the record, before anything else, whether the run is publishable: a folder is so all its life, or never.

    Raises `SapgganError` where another kind of run was made, or one of an older version, which did not say.
    """
    before = is_publishable(folder)
    inside = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    if publishable and inside and not before:
        raise SapgganError(f"{folder}: holds what need not be publishable ({', '.join(inside[:3])}) and would stay: "
                           "delete the folder, or choose another --run")  # fmt: skip
    if publishable and (kept := {"work", "logs", "failed"} & set(inside)):
        raise SapgganError(f"{folder}: holds {' and '.join(sorted(kept))} of an older version, which may show input "
                           "images: move or delete them")  # fmt: skip
    if before and not publishable:
        raise SapgganError(f"{folder}: holds a publishable run, which this one is not: choose another --run")
    if before is None:
        write_json(folder / "record.json", {"run": folder.name, "profile": profile, "publishable": publishable})


def _sweep(folder: Path, private: Path) -> None:
    """Delete what killed processes left half written anywhere, unless a notebook of an earlier run is still at work."""
    with contextlib.ExitStack() as stack, contextlib.suppress(SapgganError):
        for lock in executed_path(private, "*").parent.parent.glob("*/.lock"):
            stack.enter_context(only_one(lock.parent, "at work"))
        for stale in (stale for place in {folder, private} for stale in place.rglob(".*.partial*")):
            if stale.is_file():
                stale.unlink(missing_ok=True)


@contextlib.contextmanager
def _executor(scheduler: str, parallel: int) -> Iterator[Executor]:
    """Where notebooks run: threads of this process, each with a child, or the workers of a Dask cluster."""
    if scheduler:
        with cluster.connect(scheduler) as client:
            yield client.get_executor(pure=False, retries=2, resources=cluster.slots(client))
    else:
        with ThreadPoolExecutor(parallel) as pool:
            yield pool


def _execute_all(pending: list[Job], run: _Run, pool: Executor, at_once: int) -> None:
    """Run the jobs on `pool`, `at_once`, each after what it needs; adds to the run's outcomes."""
    running: dict[Future[str], Job] = {}
    seen: dict[str, int] = {}  # bytes of a log that were looked at
    local = isinstance(pool, ThreadPoolExecutor)
    threads = max(1, (os.cpu_count() or 1) // at_once) if local and at_once > 1 else 0
    while pending or running:
        for job in list(pending):
            if any(run.outcomes.get(needed, "").startswith("failed") for needed in job.needs):
                run.tell(job, f"failed: it needs {', '.join(job.needs)}")
                pending.remove(job)
            elif len(running) < at_once and not {j.name for j in [*pending, *running.values()]} & set(job.needs):
                print(f"{job.name:24} {'running' if local else 'submitted'}", flush=True)
                log = log_path(run.private, job.name)
                seen[job.name] = log.stat().st_size if log.exists() else 0
                running[pool.submit(execute, job, run.folder, run.private, run.force, threads)] = job
                pending.remove(job)
        done = wait(running, timeout=1, return_when=FIRST_COMPLETED).done
        for job in running.values():
            _show_progress(log_path(run.private, job.name), job.name[:2], seen)
        for future in done:
            job = running.pop(future)
            run.tell(job, _outcome(future, job, run))


def _outcome(future: Future[str], job: Job, run: _Run) -> str:
    """What a notebook's task returned, or in a sentence why it did not; without places, as the record has it."""
    try:
        return future.result()
    except CancelledError:
        return "failed: the Dask scheduler is gone; start it again, then run again: finished notebooks are kept"
    except Exception as error:  # of Dask, as KilledWorker, or of the storage
        known = readable(error, run.folder) if isinstance(error, OSError) else error
        reason = str(known) if isinstance(known, SapgganError) else f"{type(known).__name__}: {known}"
        return f"failed: {Hider(job.parameters, run.folder, run.private, job.publishable).text(reason)}"


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


def _write_record(run: _Run, profile: str, publishable: bool, started: float, page: str) -> None:
    records = [json.loads(path.read_text(encoding="utf-8")) for path in sorted((run.folder / "records").glob("*.json"))]
    write_json(
        run.folder / "record.json",
        {
            "run": run.folder.name,
            "profile": profile,
            "publishable": publishable,
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            "seconds": round(time.time() - started, 1),
            "outcomes": run.outcomes,
            "page": page,                                   # whose generator generator.html draws with
            **environment(),
            "notebooks": {record.pop("notebook"): record for record in records},
        },
    )
