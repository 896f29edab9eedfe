"""One notebook of a run, in a process of its own: `python -m sapggan_lib.runs` with the task on standard input.

That process holds the notebook's lock, so that one which outlives a killed run or a lost worker is waited for, and
publishes the notebook itself, when it is whole and names no place.
"""

import contextlib
import json
import logging
import os
import pickle
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from sapggan_lib.base import cluster
from sapggan_lib.base.errors import SapgganError
from sapggan_lib.base.files import ROOT, only_one, readable, write_json, write_text
from sapggan_lib.base.progress import HEADLESS_VARIABLE
from sapggan_lib.notebook import MARK, PLACES_VARIABLE, hide
from sapggan_lib.runs.folder import RunFolder
from sapggan_lib.runs.jobs import Job

MAX_NOTEBOOK_MB = 25       # an executed notebook over this opens in no browser
UNCHANGED, REFUSED = 3, 4  # exit statuses of the notebook's process: nothing to do; an error that its last line states


def unchanged(job: Job, folder: RunFolder) -> bool:
    """Whether the run has the notebook whole, from the same cells, parameters, library and inputs."""
    try:
        record = json.loads(folder.record(job.name).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    left = [f"{job.name}.ipynb", *(f"{kind}/{name}" for kind in ("figures", "results") for name in record[kind])]
    return record.get("key") == job.key and all((folder.shown / path).is_file() for path in left)


def execute(job: Job, folder: RunFolder, force: bool, threads: int) -> str:
    """Run one notebook in its own process, with `threads` (0: all that the library wants), here or on a Dask worker.

    Returns "unchanged", "done in N s" or "failed: why". Raises `SapgganError` when nobody waits for it any more.
    """
    cluster.require_shared(job.source.parent, folder.shown, folder.private)
    started, log = time.time(), folder.log(job.name)
    log.parent.mkdir(exist_ok=True)
    variables = os.environ | {HEADLESS_VARIABLE: "1", "JUPYTER_PREFER_ENV_PATH": "1"}  # this environment's kernel
    if threads:  # kernels that each take all cores slow each other down tenfold
        variables |= {"OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "PASSIVE"}
    with log.open("ab") as stream:
        process = subprocess.Popen([sys.executable, "-m", "sapggan_lib.runs"], env=variables, cwd=ROOT,
                                   stdin=subprocess.PIPE, stdout=stream, stderr=subprocess.STDOUT)
    with contextlib.suppress(BrokenPipeError), process.stdin as pipe:  # type: ignore[union-attr]
        pipe.write(pickle.dumps((job, folder, force)))
    while process.poll() is None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=1)
        if not cluster.wanted():
            process.terminate()
            raise SapgganError(f"{job.name}: stopped, as the run that asked for it ended")
    if process.returncode in (0, UNCHANGED):
        return "unchanged" if process.returncode else f"done in {time.time() - started:,.0f} s"
    folder.record(job.name).unlink(missing_ok=True)  # its last cell may have written it
    return f"failed: {_failure(job, folder, process.returncode == REFUSED)}"


def _failure(job: Job, folder: RunFolder, refused: bool) -> str:
    """Which cell failed and why, from the executed notebook; from the log's last line when the kernel died.

    Of a publishable run only the kind of error, since its text may quote a file or a header.
    """
    executed, failed, hider = folder.executing(job.name), folder.failed(job.name), folder.hider(job)
    cells = []
    if executed.exists():
        with contextlib.suppress(ValueError):                  # cut, when the notebook's process was killed
            cells = json.loads(executed.read_text(encoding="utf-8"))["cells"]
        failed.parent.mkdir(exist_ok=True)
        executed.replace(failed)
    lines = folder.log(job.name).read_text(encoding="utf-8", errors="replace").strip().splitlines()
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
    job, folder, force = pickle.load(sys.stdin.buffer)
    try:
        with only_one(folder.executing(job.name).parent):
            if not force and unchanged(job, folder):
                return UNCHANGED
            os.ftruncate(sys.stdout.fileno(), 0)  # the log of this try alone
            for page in (f"{job.name}.ipynb", f"{job.name}.html"):  # so that none stands for a notebook that failed
                (folder.shown / page).unlink(missing_ok=True)
            for path in (folder.record, folder.failed, folder.executing):
                path(job.name).unlink(missing_ok=True)
            run_papermill(job, folder)
            if not folder.record(job.name).exists():
                return 1
            _publish(job, folder)
            return 0
    except (SapgganError, OSError) as error:
        print(readable(error, folder.shown) if isinstance(error, OSError) else error, flush=True)
        return REFUSED


def run_papermill(job: Job, folder: RunFolder, prepare_only: bool = False) -> None:
    """Execute the notebook beside its lock; with `prepare_only` only write it with its parameters.

    Through papermill's Python interface: on its command line numbers such as 1e-05 arrive as text.
    """
    import papermill
    from traitlets.config import Config

    shown, places = hide(job.parameters)
    where = folder.shown.resolve()
    shown["run_dir"] = where.relative_to(ROOT).as_posix() if where.is_relative_to(ROOT) else f"{MARK}run_dir"
    places |= {"run_dir": str(where), "work": str(folder.private.absolute() / "work")}
    os.environ[PLACES_VARIABLE] = json.dumps(places)
    output = folder.executing(job.name)
    output.parent.mkdir(parents=True, exist_ok=True)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    source, target = (str(path).replace("{", "{{").replace("}", "}}") for path in (job.source, output))
    config = Config()
    with tempfile.TemporaryDirectory(prefix="sapggan-") as sockets:
        if os.name == "posix" and len(sockets) < 80:  # not ports: two kernels that start at once may choose the same
            config.ConnectionFileMixin = Config(transport="ipc", ip=f"{sockets}/kernel")
        papermill.execute_notebook(source, target, shown, kernel_name="python3", language="python", cwd=str(ROOT),
                                   progress_bar=False, log_output=True, prepare_only=prepare_only, config=config,
                                   shutdown_kernel="immediate")  # all is written; libraries take seconds to end


def _publish(job: Job, folder: RunFolder) -> None:
    """Move the executed notebook into the run's folder, without places, and mark its record as whole.

    A publishable one goes without what it wrote to standard error, where libraries quote headers of files.
    """
    import nbformat

    executed, hider = folder.executing(job.name), folder.hider(job)
    if executed.stat().st_size > MAX_NOTEBOOK_MB * 1e6:
        raise SapgganError(f"its outputs exceed {MAX_NOTEBOOK_MB} MB; show fewer or smaller images")
    notebook = nbformat.read(executed, as_version=4)
    for cell in notebook.cells if job.publishable else ():
        if "outputs" in cell:
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    record = json.loads(folder.record(job.name).read_text(encoding="utf-8"))
    for kind in ("figures", "results"):
        kept = {Path(name).stem for name in record[kind]}
        for path in (folder.shown / kind).glob(f"{job.name[:2]}_*"):
            if path.stem not in kept:
                path.unlink()              # of an earlier try with other parameters
    write_text(folder.shown / f"{job.name}.ipynb", nbformat.writes(nbformat.from_dict(hider.walk(notebook))))
    write_json(folder.record(job.name), record | {"key": job.key})
    executed.unlink()
