"""Many files through few processes: shards that survive crashes, hangs, kills and lost machines.

Sorted input files are cut into shards of `SHARD` files. A shard's results are written under names that say they
are whole, so a second try repeats at most the shards that were in work. Decoding happens in a child process with
a limit on time and memory, because a hostile file can crash or hang the C libraries that decode it.
"""

import contextlib
import json
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from sapggan_lib import cluster
from sapggan_lib.config import PreprocessConfig
from sapggan_lib.errors import SapgganError
from sapggan_lib.files import atomic_path, write_json

SHARD = 32             # files; a killed run repeats at most these, per worker
CPU_SECONDS = 10       # for one file, in its process; a large JPEG 2000 takes about one
WALL_SECONDS = 60      # for one file, storage included
MEMORY = 6 << 30       # address space of a child process, in bytes
CHILD = ("-m", "sapggan_lib.worker")


@dataclass(frozen=True)
class Item:
    """One input: a file, or one image inside an array file."""

    path: str                       # below the source folder, `/` between its parts
    file: str                       # where it can be opened
    row: int = -1                   # which image of an array file; -1: the file is one image
    member: str = ""                # the array in its archive
    view: str = ""                  # what a table says: PA, AP, lateral, unknown; "" where no table names the file
    patient: str = ""               # the table's patient; never written anywhere as it is


@dataclass(frozen=True)
class Job:
    """One shard, with all that a worker on another machine needs; folders are on storage that both see."""

    number: int
    items: Sequence[Item]
    config: PreprocessConfig
    key: bytes                      # of the patient hash
    source: str                     # folder of the inputs
    work: Path                      # folder of finished shards

    @property
    def rows_file(self) -> Path:
        """The shard's manifest rows; written last, so where it exists the shard is whole."""
        return self.work / f"{self.number:06d}.json"

    @property
    def images_file(self) -> Path:
        """uint8 `[kept, H, W]` or `[kept, H, W, 3]`."""
        return self.work / f"{self.number:06d}.npy"


class Guard:
    """A child process that turns one item at a time into a manifest row and an image, under limits."""

    def __init__(self, stop: threading.Event | None = None):
        self._child: subprocess.Popen | None = None
        self._stop = stop or threading.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._end()

    def __call__(self, item: Item, config: PreprocessConfig, key: bytes) -> tuple[dict[str, Any], np.ndarray | None]:
        """The row and the image (None where dropped or failed). Raises only when the run is being stopped."""
        if self._stop.is_set():
            raise SapgganError("stopped; run again to go on")
        reason = ""
        for last in (False, True):                      # a second try, as the first may have met a full memory
            answer, reason = self._ask((item, config, key))
            if answer:
                return answer
            if last or reason.startswith("took"):
                break
        # The header alone, without the decoder, so that the row tells what it can and hides what it must.
        answer, _ = self._ask((item, config, key, False))
        row = answer[0] if answer else {"path": "(unreadable)"}
        return row | {"status": "failed", "reason": reason}, None

    def _ask(self, request: tuple) -> tuple[tuple[dict[str, Any], np.ndarray | None] | None, str]:
        """The child's answer, or None and what became of the child."""
        child = self._child = self._child or _start_child()
        timer = threading.Timer(WALL_SECONDS, child.kill)
        timer.start()
        try:
            pickle.dump(request, child.stdin)  # type: ignore[arg-type]
            child.stdin.flush()  # type: ignore[union-attr]
            return pickle.load(child.stdout), ""  # type: ignore[arg-type]
        except (EOFError, OSError, pickle.UnpicklingError):
            timed_out = not timer.is_alive()
            code = self._end()
            if timed_out or code == -signal.SIGPROF:
                return None, f"took more than {CPU_SECONDS} s to decode"
            return None, f"the decoder crashed ({signal.Signals(-code).name if code < 0 else f'exit {code}'})"
        finally:
            timer.cancel()

    def _end(self) -> int:
        if self._child is None:
            return 0
        child, self._child = self._child, None
        for stream in (child.stdin, child.stdout):
            with contextlib.suppress(OSError):
                stream.close()  # type: ignore[union-attr]
        try:
            return child.wait(timeout=2)
        except subprocess.TimeoutExpired:
            child.kill()
            return child.wait()


def _start_child() -> subprocess.Popen:
    """`python -m sapggan_lib.worker`, not multiprocessing: Dask's daemonic workers may start it, and a script or
    notebook needs no `if __name__ == "__main__"`."""
    package = str(Path(__file__).resolve().parent.parent)
    search = os.pathsep.join([package, *filter(None, [os.environ.get("PYTHONPATH")])])
    one_thread = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    return subprocess.Popen(
        [sys.executable, *CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, env=os.environ | one_thread | {"PYTHONPATH": search},
    )  # fmt: skip


def run_shard(job: Job, guard: Guard | None = None) -> int:
    """Do one shard and return its number; at once where it is done already. Raises `SapgganError` on a full disk."""
    if job.rows_file.exists():
        return job.number
    cluster.require_shared(Path(job.source), job.work)
    if guard is None:
        with Guard() as guard:
            return run_shard(job, guard)
    rows, images = [], []
    for item in job.items:
        row, image = guard(item, job.config, job.key)
        rows.append(row)
        if image is not None:
            images.append(image)
    with atomic_path(job.images_file) as temporary, temporary.open("wb") as stream:
        np.save(stream, np.stack(images) if images else np.zeros(0, np.uint8))
    write_json(job.rows_file, rows)
    return job.number


def run_local(jobs: Sequence[Job], workers: int, done: Callable[[int], Any]) -> None:
    """Run the jobs in `workers` processes of this machine; `done(number)` after each."""
    from concurrent.futures import ThreadPoolExecutor

    todo, lock, stop = iter(jobs), threading.Lock(), threading.Event()

    def loop() -> None:
        with Guard(stop) as guard:
            while not stop.is_set():
                with lock:
                    job = next(todo, None)
                if job is None:
                    return
                try:
                    number = run_shard(job, guard)
                except BaseException:
                    stop.set()
                    raise
                with lock:
                    done(number)

    with ThreadPoolExecutor(workers) as pool:
        futures = [pool.submit(loop) for _ in range(workers)]
        try:
            for future in futures:
                future.result()
        except BaseException:
            stop.set()
            raise


def run_dask(jobs: Sequence[Job], scheduler: str, done: Callable[[int], Any]) -> None:
    """Run the jobs on a Dask cluster; a job whose worker is lost runs again elsewhere."""
    with cluster.connect(scheduler) as client:
        from distributed import KilledWorker, as_completed

        futures = client.map(run_shard, jobs, pure=False, retries=3)
        try:
            for future in as_completed(futures, loop=client.loop):
                done(future.result())
        except KilledWorker:
            raise SapgganError(f"{scheduler}: a shard ended several workers; look at their logs, then run again: "
                               "finished shards are kept") from None


def finished(jobs: Sequence[Job]) -> Iterator[tuple[list[dict[str, Any]], Path]]:
    """Rows and images file of every finished job, in order."""
    for job in jobs:
        yield json.loads(job.rows_file.read_text(encoding="utf-8")), job.images_file
