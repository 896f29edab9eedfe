"""Notebooks through papermill: one process each, resume, records, report."""

import contextlib
import fcntl
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Executor, Future, ThreadPoolExecutor, wait
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sapggan_lib import cluster, report
from sapggan_lib.errors import SapgganError
from sapggan_lib.files import write_json
from sapggan_lib.notebook import ROOT, environment, record_path
from sapggan_lib.plan import Job
from sapggan_lib.progress import HEADLESS_VARIABLE

MAX_NOTEBOOK_MB = 25  # an executed notebook over this opens in no browser


def run(
    jobs: Sequence[Job], folder: Path, profile: str, parallel: int = 1, force: bool = False, scheduler: str = ""
) -> Path:
    """Execute `jobs` into `folder`, skipping those whose key is unchanged, and write its report. Returns index.html.

    `parallel` notebooks run at once on this machine, or all that may on the Dask cluster at `scheduler`.
    A failed notebook stops those that need it; the others go on, and a `SapgganError` names every failure.
    """
    started = time.time()
    outcomes: dict[str, str] = {}
    with _only_run_in(folder):
        pending = [job for job in jobs if force or not _unchanged(job, folder)]
        for job in jobs:
            if job not in pending:
                _tell(outcomes, job, "unchanged")
        if pending:
            with _executor(scheduler, parallel) as pool:
                _execute_all(pending, outcomes, folder, pool, len(pending) if scheduler else parallel, force)
        _write_record(folder, profile, outcomes, started)
        index = report.write_report(folder)
    failures = [f"{name} {outcome}" for name, outcome in outcomes.items() if outcome.startswith("failed")]
    if failures:
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
    pending: list[Job], outcomes: dict[str, str], folder: Path, pool: Executor, at_once: int, force: bool
) -> None:
    """Run the jobs on `pool`, `at_once`, each after what it needs; adds to `outcomes`."""
    running: dict[Future[str], Job] = {}
    seen: dict[str, int] = {}  # bytes of a log that were looked at
    local = isinstance(pool, ThreadPoolExecutor)
    threads = max(1, (os.cpu_count() or 1) // at_once) if local and at_once > 1 else 0
    while pending or running:
        for job in list(pending):
            if any(outcomes.get(needed, "").startswith("failed") for needed in job.needs):
                _tell(outcomes, job, f"failed: it needs {', '.join(job.needs)}")
                pending.remove(job)
            elif len(running) < at_once and not {j.name for j in [*pending, *running.values()]} & set(job.needs):
                print(f"{job.name:24} {'running' if local else 'submitted'}", flush=True)
                seen[job.name] = log.stat().st_size if (log := _log(folder, job)).exists() else 0
                running[pool.submit(_execute, job, folder, force, threads)] = job
                pending.remove(job)
        done = wait(running, timeout=1, return_when=FIRST_COMPLETED).done
        for job in running.values():
            _show_progress(_log(folder, job), job.name[:2], seen)
        for future in done:
            _tell(outcomes, running.pop(future), _outcome(future))


def _outcome(future: Future[str]) -> str:
    try:
        return future.result()
    except SapgganError as error:
        return f"failed: {error}"
    except CancelledError:
        return "failed: the Dask scheduler is gone; start it again, then run again: finished notebooks are kept"
    except Exception as error:  # of Dask, as KilledWorker, or of the storage
        return f"failed: {type(error).__name__}: {error}"


def _tell(outcomes: dict[str, str], job: Job, outcome: str) -> None:
    outcomes[job.name] = outcome
    print(f"{job.name:24} {outcome}", flush=True)


def _log(folder: Path, job: Job) -> Path:
    return folder / "logs" / f"{job.name}.log"


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
        if "/s" in line and ": " in line:
            print(f"{label} | {line}", flush=True)


def _unchanged(job: Job, folder: Path) -> bool:
    record = record_path(folder, job.name)
    finished = record.exists() and (folder / f"{job.name}.ipynb").exists()
    return finished and json.loads(record.read_text(encoding="utf-8")).get("key") == job.key


def _execute(job: Job, folder: Path, force: bool, threads: int) -> str:
    """Run one notebook in its own process, with `threads` (0: all that the library wants), here or on a Dask worker.

    Returns "unchanged", "done in N s" or "failed: why". Raises `SapgganError` when nobody waits for it any more.
    """
    cluster.require_shared(job.source.parent, folder)
    log = _log(folder, job)
    log.parent.mkdir(exist_ok=True)
    with log.open("a", encoding="utf-8") as stream:
        # The lock is also its notebook's, as the log is its output: a notebook that outlives a killed run or a lost
        # worker is waited for, and two never write into one folder.
        fcntl.flock(stream, fcntl.LOCK_EX)
        if not force and _unchanged(job, folder):
            return "unchanged"
        stream.truncate(0)
        started = time.time()
        failure = _papermill(job, folder, threads, stream)
        return failure or f"done in {time.time() - started:,.0f} s"


def _papermill(job: Job, folder: Path, threads: int, stream: Any) -> str:
    """Execute the notebook with its output into `stream`; returns "", or "failed: why"."""
    record, output = record_path(folder, job.name), folder / f"{job.name}.ipynb"
    failed, temporary = folder / "failed" / output.name, folder / f".{job.name}.partial.ipynb"
    for stale in (record, failed, temporary):
        stale.unlink(missing_ok=True)
    where = folder.resolve()
    run_dir = where.relative_to(ROOT) if where.is_relative_to(ROOT) else where  # no machine's path in a shared notebook
    parameters = {**job.parameters, "run_dir": str(run_dir)}
    command = [sys.executable, "-m", "papermill", str(job.source), str(temporary), "-k", "python3", "-l", "python"]
    command += ["--cwd", str(ROOT), "--log-output", "--log-level", "WARNING", "--no-progress-bar"]
    command += ["-y", json.dumps(parameters)]
    variables = os.environ | {HEADLESS_VARIABLE: "1", "JUPYTER_PREFER_ENV_PATH": "1"}  # this environment's kernel
    if threads:  # kernels that each take all cores slow each other down tenfold
        variables |= {"OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "PASSIVE"}
    process = subprocess.Popen(command, env=variables, stdout=stream, stderr=subprocess.STDOUT, cwd=ROOT)
    while process.poll() is None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=1)
        if not cluster.wanted():
            process.terminate()
            raise SapgganError(f"{job.name}: stopped, as the run that asked for it ended")
    message = ""
    if process.returncode != 0 or not record.exists():
        message = _failure(temporary, Path(stream.name))
    elif temporary.stat().st_size > MAX_NOTEBOOK_MB * 1e6:
        message = f"its outputs exceed {MAX_NOTEBOOK_MB} MB; show fewer or smaller images"
    if message:
        failed.parent.mkdir(exist_ok=True)
        if temporary.exists():
            temporary.replace(failed)
        return f"failed: {message}; see {failed if failed.exists() else stream.name}"
    _hide_folders(temporary, record, job.parameters)
    temporary.replace(output)
    write_json(record, json.loads(record.read_text(encoding="utf-8")) | {"key": job.key})
    return ""


def _hide_folders(notebook: Path, record: Path, parameters: Mapping[str, Any]) -> None:
    """Leave only the names of the folders with the input files, the project and the run, not where they lie."""
    paths = [Path(parameters.get(key) or ".") for key in ("data", "table")]
    parents = {str(path.parent) for path in paths} | {str(ROOT), str(notebook.resolve().parent.parent)}
    for parent in sorted(parents - {".", "/"}, key=len, reverse=True):  # the deeper ones first
        for path in (notebook, record):
            path.write_text(path.read_text(encoding="utf-8").replace(f"{parent}/", ""), encoding="utf-8")


def _failure(notebook: Path, log: Path) -> str:
    """Which cell failed and why, from the executed notebook; from the log's last line when the kernel died."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"] if notebook.exists() else []
    added = {"injected-parameters", "papermill-error-cell-tag"}  # papermill's own cells are not the author's
    written = [cell for cell in cells if not added & set(cell["metadata"].get("tags", []))]
    for number, cell in enumerate(written, start=1):
        for output in cell.get("outputs", []):
            if output["output_type"] == "error":
                first = next((line for line in cell["source"] if line.strip()), "").strip()
                return f'cell {number} ("{first}"): {output["ename"]}: {output["evalue"]}'
    lines = log.read_text(encoding="utf-8").strip().splitlines()
    return f"its kernel died or never finished, perhaps out of memory ({lines[-1] if lines else 'no output'})"


def _write_record(folder: Path, profile: str, outcomes: Mapping[str, str], started: float) -> None:
    records = [json.loads(path.read_text()) for path in sorted((folder / "records").glob("*.json"))]
    write_json(
        folder / "record.json",
        {
            "run": folder.name,
            "profile": profile,
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            "seconds": round(time.time() - started, 1),
            "outcomes": dict(outcomes),
            **environment(),
            "notebooks": {record.pop("notebook"): record for record in records},
        },
    )


@contextlib.contextmanager
def _only_run_in(folder: Path) -> Iterator[None]:
    """Hold the folder for one run at a time; at the end sweep what killed runs left, when none of it is in use."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SapgganError(f"{folder}: another run is writing here; wait for it, or name yours: --run") from None
        yield
        for stale in folder.rglob(".*.partial*"):
            if stale.is_file():
                stale.unlink()
