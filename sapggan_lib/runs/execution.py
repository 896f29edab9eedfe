"""One notebook of a run, in a process of its own: `python -m sapggan_lib.execute` with the task on standard input.

That process holds the notebook's lock, so that one which outlives a killed run or a lost worker is waited for, and
publishes the notebook itself, when it is whole and names no place.
"""

import contextlib
import json
import logging
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sapggan_lib.base import cluster
from sapggan_lib.base.errors import SapgganError
from sapggan_lib.base.files import ROOT, only_one, readable, write_json, write_text
from sapggan_lib.base.progress import HEADLESS_VARIABLE
from sapggan_lib.notebook import MARK, PLACES_VARIABLE, Hider, hide, record_path

if TYPE_CHECKING:
    from sapggan_lib.runs.jobs import Job

MAX_NOTEBOOK_MB = 25       # an executed notebook over this opens in no browser
UNCHANGED, REFUSED = 3, 4  # exit statuses of the notebook's process: nothing to do; an error that its last line states


def log_path(private: Path, name: str) -> Path:
    """Where a notebook's output goes while it runs."""
    return private / "logs" / f"{name}.log"


def failed_path(private: Path, name: str) -> Path:
    """Where a notebook that failed is kept, with all that it printed."""
    return private / "failed" / f"{name}.ipynb"


def executed_path(private: Path, name: str) -> Path:
    """Where a notebook lies while it runs, beside its lock."""
    return private / ".running" / name / "executed.ipynb"


def unchanged(folder: Path, name: str, key: str) -> bool:
    """Whether the run in `folder` has the notebook whole, from the same source, parameters, library and inputs."""
    try:
        record = json.loads(record_path(folder, name).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    left = [folder / "figures" / figure for figure in record["figures"]]
    left += [folder / "results" / result for result in record["results"]]
    return record.get("key") == key and all(path.is_file() for path in [folder / f"{name}.ipynb", *left])


def execute(job: "Job", folder: Path, private: Path, force: bool, threads: int) -> str:
    """Run one notebook in its own process, with `threads` (0: all that the library wants), here or on a Dask worker.

    What may be shown goes to `folder`, the rest to `private` (the same, unless the run is publishable).
    Returns "unchanged", "done in N s" or "failed: why". Raises `SapgganError` when nobody waits for it any more.
    """
    cluster.require_shared(job.source.parent, folder, private)
    started, log = time.time(), log_path(private, job.name)
    log.parent.mkdir(exist_ok=True)
    task = {"name": job.name, "source": str(job.source), "parameters": job.parameters, "key": job.key, "force": force,
            "folder": str(folder.absolute()), "private": str(private.absolute()), "publishable": job.publishable}
    variables = os.environ | {HEADLESS_VARIABLE: "1", "JUPYTER_PREFER_ENV_PATH": "1"}  # this environment's kernel
    if threads:  # kernels that each take all cores slow each other down tenfold
        variables |= {"OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "PASSIVE"}
    with log.open("ab") as stream:
        process = subprocess.Popen([sys.executable, "-m", "sapggan_lib.runs"], env=variables, cwd=ROOT,
                                   stdin=subprocess.PIPE, stdout=stream, stderr=subprocess.STDOUT)
    with contextlib.suppress(BrokenPipeError), process.stdin as pipe:  # type: ignore[union-attr]
        pipe.write(json.dumps(task).encode())
    while process.poll() is None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=1)
        if not cluster.wanted():
            process.terminate()
            raise SapgganError(f"{job.name}: stopped, as the run that asked for it ended")
    if process.returncode in (0, UNCHANGED):
        return "unchanged" if process.returncode else f"done in {time.time() - started:,.0f} s"
    record_path(folder, job.name).unlink(missing_ok=True)  # its last cell may have written it
    hider = Hider(job.parameters, folder, private, job.publishable)
    return f"failed: {_failure(job, private, process.returncode == REFUSED, hider)}"


def _failure(job: "Job", private: Path, refused: bool, hider: Hider) -> str:
    """Which cell failed and why, from the executed notebook; from the log's last line when the kernel died.

    Of a publishable run only the kind of error, since its text may quote a file or a header.
    """
    executed, failed = executed_path(private, job.name), failed_path(private, job.name)
    cells = []
    if executed.exists():
        with contextlib.suppress(ValueError):              # cut, on a full disk
            cells = json.loads(executed.read_text(encoding="utf-8"))["cells"]
        failed.parent.mkdir(exist_ok=True)
        executed.replace(failed)
    lines = log_path(private, job.name).read_text(encoding="utf-8", errors="replace").strip().splitlines()
    last = hider.text(lines[-1]) if lines else "no output"
    if refused:
        return last
    added = {"injected-parameters", "papermill-error-cell-tag"}  # papermill's own cells are not the author's
    written = [cell for cell in cells if not added & set(cell["metadata"].get("tags", []))]
    for number, cell in enumerate(written, start=1):
        for output in cell.get("outputs", []):
            if output["output_type"] == "error":
                first = next((line for line in cell["source"] if line.strip()), "").strip()
                reason = output["ename"] + ("" if job.publishable else f": {output['evalue']}")
                return hider.text(f'cell {number} ("{first}"): {reason}')
    return "its kernel died or never finished, perhaps out of memory" + ("" if job.publishable else f" ({last})")


def main() -> int:
    """The notebook's process: execute what standard input says, unless it is done; returns the exit status."""
    task = json.load(sys.stdin)
    folder, private, name = Path(task["folder"]), Path(task["private"]), task["name"]
    try:
        with only_one(executed_path(private, name).parent):
            if not task["force"] and unchanged(folder, name, task["key"]):
                return UNCHANGED
            os.ftruncate(sys.stdout.fileno(), 0)  # the log of this try alone
            _forget(folder, private, name)
            run_papermill(task)
            if not record_path(folder, name).exists():
                return 1
            _publish(task)
            return 0
    except (SapgganError, OSError) as error:
        print(readable(error, folder) if isinstance(error, OSError) else error, flush=True)
        return REFUSED


def _forget(folder: Path, private: Path, name: str) -> None:
    """Remove what an earlier try left, so that a page never stands for a notebook that failed since."""
    for stale in (record_path(folder, name), folder / f"{name}.ipynb", folder / f"{name}.html",
                  failed_path(private, name), executed_path(private, name)):
        stale.unlink(missing_ok=True)


def run_papermill(task: dict[str, Any], prepare_only: bool = False) -> None:
    """Execute the task's notebook beside its lock; with `prepare_only` only write it with its parameters.

    Through papermill's Python interface: on its command line numbers such as 1e-05 arrive as text.
    """
    import papermill
    from traitlets.config import Config

    folder, private = Path(task["folder"]), Path(task["private"])
    shown, places = hide(task["parameters"])
    where = folder.resolve()
    shown["run_dir"] = where.relative_to(ROOT).as_posix() if where.is_relative_to(ROOT) else f"{MARK}run_dir"
    places |= {"run_dir": str(where), "work": str(private / "work")}
    os.environ[PLACES_VARIABLE] = json.dumps(places)
    output = executed_path(private, task["name"])
    output.parent.mkdir(parents=True, exist_ok=True)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    source, target = (str(path).replace("{", "{{").replace("}", "}}") for path in (task["source"], output))
    config = Config()
    with tempfile.TemporaryDirectory(prefix="sapggan-") as sockets:
        if os.name == "posix" and len(sockets) < 80:  # not ports: two kernels that start at once may choose the same
            config.ConnectionFileMixin = Config(transport="ipc", ip=f"{sockets}/kernel")
        papermill.execute_notebook(source, target, shown, kernel_name="python3", language="python", cwd=str(ROOT),
                                   progress_bar=False, log_output=True, prepare_only=prepare_only, config=config)


def _publish(task: dict[str, Any]) -> None:
    """Move the executed notebook into the run's folder, without places, and mark its record as whole.

    A publishable one goes without what it wrote to standard error, where libraries quote headers of files.
    """
    import nbformat

    folder, private, name = Path(task["folder"]), Path(task["private"]), task["name"]
    hider = Hider(task["parameters"], folder, private, task["publishable"])
    executed = executed_path(private, name)
    if executed.stat().st_size > MAX_NOTEBOOK_MB * 1e6:
        raise SapgganError(f"its outputs exceed {MAX_NOTEBOOK_MB} MB; show fewer or smaller images")
    notebook = nbformat.read(executed, as_version=4)
    if task["publishable"]:
        for cell in notebook.cells:
            if "outputs" in cell:
                cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    record = json.loads(record_path(folder, name).read_text(encoding="utf-8"))
    for kind, kept in (("figures", {Path(figure).stem for figure in record["figures"]}),
                       ("results", {Path(result).stem for result in record["results"]})):
        for path in (folder / kind).glob(f"{name[:2]}_*"):
            if path.stem not in kept:
                path.unlink()              # of an earlier try with other parameters
    write_text(folder / f"{name}.ipynb", nbformat.writes(nbformat.from_dict(hider.walk(notebook))))
    write_json(record_path(folder, name), record | {"key": task["key"]})
    executed.unlink()

