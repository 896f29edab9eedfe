"""Notebooks through papermill: one process each, resume, records, report."""

import contextlib
import fcntl
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sapggan_lib import report
from sapggan_lib.errors import SapgganError
from sapggan_lib.files import write_json
from sapggan_lib.notebook import ROOT, environment, record_path
from sapggan_lib.plan import Job
from sapggan_lib.progress import HEADLESS_VARIABLE

MAX_NOTEBOOK_MB = 25  # an executed notebook over this opens in no browser


def run(jobs: Sequence[Job], folder: Path, profile: str, parallel: int = 1, force: bool = False) -> Path:
    """Execute `jobs` into `folder`, skipping those whose key is unchanged, and write its report. Returns index.html.

    A failed notebook stops those that need it; the others go on, and a `SapgganError` names every failure.
    """
    started = time.time()
    outcomes: dict[str, str] = {}
    with _only_run_in(folder) as lock, ThreadPoolExecutor(parallel) as pool:
        pending = list(jobs)
        running: dict[Future[str], Job] = {}
        while pending or running:
            for job in list(pending):
                if any(outcomes.get(needed, "").startswith("failed") for needed in job.needs):
                    outcomes[job.name] = f"failed: it needs {', '.join(job.needs)}"
                    pending.remove(job)
                elif all(needed in outcomes or needed not in {j.name for j in jobs} for needed in job.needs):
                    running[pool.submit(_execute, job, folder, force, parallel, lock)] = job
                    pending.remove(job)
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                job = running.pop(future)
                outcomes[job.name] = future.result()
                print(f"{job.name:24} {outcomes[job.name]}", flush=True)
        _write_record(folder, profile, outcomes, started)
        index = report.write_report(folder)
    failures = [f"{name} {outcome}" for name, outcome in outcomes.items() if outcome.startswith("failed")]
    if failures:
        raise SapgganError("; ".join(failures))
    return index


def _execute(job: Job, folder: Path, force: bool, parallel: int, lock: int) -> str:
    """Run one notebook in its own process, one of `parallel`, which shares the folder's `lock`.

    Returns "unchanged", "done in N s" or "failed: why".
    """
    record, output = record_path(folder, job.name), folder / f"{job.name}.ipynb"
    if not force and output.exists() and record.exists() and json.loads(record.read_text()).get("key") == job.key:
        return "unchanged"
    record.unlink(missing_ok=True)
    temporary = folder / f".{job.name}.partial.ipynb"
    log = folder / "logs" / f"{job.name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    print(f"{job.name:24} running", flush=True)
    where = folder.resolve()
    run_dir = where.relative_to(ROOT) if where.is_relative_to(ROOT) else where  # no machine's path in a shared notebook
    parameters = {**job.parameters, "run_dir": str(run_dir)}
    command = [sys.executable, "-m", "papermill", str(job.source), str(temporary), "-k", "python3", "-l", "python"]
    command += ["--cwd", str(ROOT), "--log-output", "--log-level", "WARNING", "--no-progress-bar"]
    command += ["-y", json.dumps(parameters)]
    variables = os.environ | {HEADLESS_VARIABLE: "1", "JUPYTER_PREFER_ENV_PATH": "1"}  # this environment's kernel
    if parallel > 1:  # kernels that each take all cores slow each other down tenfold
        variables["OMP_NUM_THREADS"] = str(max(1, (os.cpu_count() or 1) // parallel))
    started = time.time()
    with log.open("w", encoding="utf-8") as stream:
        process = subprocess.Popen(
            command, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT,
            pass_fds=[lock],  # a notebook that outlives a killed run keeps the folder to itself
        )  # fmt: skip
        assert process.stdout is not None
        for line in process.stdout:
            stream.write(line)
            if "/s" in line and ": " in line:  # the library's progress lines
                print(f"{job.name[:2]} | {line.rstrip()}", flush=True)
    if process.wait() != 0 or not record.exists():
        failed = folder / "failed" / f"{job.name}.ipynb"
        failed.parent.mkdir(exist_ok=True)
        if temporary.exists():
            temporary.replace(failed)
        return f"failed: {_failure(failed, log)}; see {failed if failed.exists() else log}"
    if temporary.stat().st_size > MAX_NOTEBOOK_MB * 1e6:
        return f"failed: its outputs exceed {MAX_NOTEBOOK_MB} MB; show fewer or smaller images; see {temporary}"
    _hide_parent(temporary, record, job.parameters)
    temporary.replace(output)
    (folder / "failed" / output.name).unlink(missing_ok=True)
    write_json(record, json.loads(record.read_text()) | {"key": job.key})
    return f"done in {time.time() - started:,.0f} s"


def _hide_parent(notebook: Path, record: Path, parameters: Mapping[str, Any]) -> None:
    """Leave only the name of the folder with the input files, not where it lies on a hospital's disk."""
    for key in ("data", "table"):
        parent = str(Path(parameters.get(key) or ".").parent)
        if parent not in (".", "/"):
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
def _only_run_in(folder: Path) -> Iterator[int]:
    """Hold the folder for one run at a time, and sweep what a killed run left. Yields the lock's descriptor."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SapgganError(f"{folder}: another run is writing here; wait for it, or name yours: --run") from None
        for stale in folder.rglob(".*.partial*"):
            if stale.is_file():
                stale.unlink()
        yield lock.fileno()
