"""Many files through few processes: shards that survive crashes, hangs, kills and lost machines.

Sorted input files are cut into shards of `SHARD` files. A shard's results are written under names that say they
are whole, so a second try repeats at most the shards that were in work. Decoding happens in a child process with
a limit on time and memory, because a hostile file can crash or hang the C libraries that decode it.
"""

import contextlib
import itertools
import json
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from sapggan_lib.base import cluster
from sapggan_lib.base.config import PreprocessConfig
from sapggan_lib.base.errors import SapgganError
from sapggan_lib.base.files import ROOT, atomic_path, write_json
from sapggan_lib.privacy import patient_key

SHARD = 32             # files; a killed run repeats at most these, per worker
CPU_SECONDS = 10       # for one file, in its process; a large JPEG 2000 takes about one
WALL_SECONDS = 60      # for one file, storage included
AT_ONCE = 1024         # shards on a cluster at once
MEMORY = 6 << 30       # address space of a child process, in bytes
TOO_SLOW = f"took more than {CPU_SECONDS} s of processor time to decode"
TOO_LARGE = "needs more memory than one image should"
CHILD = ("-m", "sapggan_lib.preprocessing.worker")


@dataclass(frozen=True)
class Item:
    """One input: a file, or one image inside an array file."""

    path: str                       # what the manifest says: a keyed hash, or the path below the source
    file: str                       # where it can be opened
    row: int = -1                   # which image of an array file; -1: the file is one image
    member: str = ""                # the array in its archive
    view: str = ""                  # what a table says: PA, AP, lateral, unknown; "" where no table names the file
    patient: str = ""               # the keyed hash of the table's patient


@dataclass(frozen=True)
class Job:
    """One shard, with all that a worker on another machine needs; folders are on storage that both see."""

    number: int
    items: Sequence[Item]
    config: PreprocessConfig
    key_mark: str                   # of the patient hash's key, which each machine reads for itself and never travels
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
        answer, reason = self._ask((item, config, key))
        # A second try, as the first may have met a full memory or storage that hung; not for what is slow by itself.
        if reason != TOO_SLOW and (answer is None or answer[0].get("reason") == TOO_LARGE):
            answer, reason = self._ask((item, config, key))
        if answer:
            return answer
        # The header alone, without the decoder, so that the row tells what it can.
        answer, _ = self._ask((item, config, key, False))
        row = answer[0] if answer else {"path": item.path}
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
            if code == -signal.SIGPROF:
                return None, TOO_SLOW
            if timed_out:
                return None, f"no answer in {WALL_SECONDS} s, as of storage that hangs or a busy machine"
            if code == -signal.SIGKILL:
                return None, "ended by the system, as when memory runs out"
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
    """Start `worker` by its name, not by multiprocessing: Dask's daemonic workers may do so, and a script or notebook
    needs no `if __name__ == "__main__"`."""
    search = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
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
    key, rows, images = patient_key(job.key_mark), [], []
    for item in job.items:
        row, image = guard(item, job.config, key)
        rows.append(row)
        if image is not None:
            images.append(image)
    with atomic_path(job.images_file) as temporary, temporary.open("wb") as stream:
        np.save(stream, np.stack(images) if images else np.zeros(0, np.uint8))
    write_json(job.rows_file, rows)
    return job.number


def run_local(jobs: Iterable[Job], workers: int, done: Callable[[int], Any]) -> None:
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


def run_dask(jobs: Iterable[Job], scheduler: str, done: Callable[[int], Any]) -> None:
    """Run the jobs on a Dask cluster, `AT_ONCE` submitted; a job whose worker is lost runs again elsewhere."""
    with cluster.connect(scheduler) as client:
        from distributed import KilledWorker, as_completed

        todo = (client.submit(run_shard, job, pure=False, retries=3) for job in jobs)
        futures = as_completed(itertools.islice(todo, AT_ONCE), loop=client.loop)
        try:
            for future in futures:
                done(future.result())
                futures.update(itertools.islice(todo, 1))
        except KilledWorker:
            raise SapgganError(f"{scheduler}: a shard ended several workers; look at their logs, then run again: "
                               "finished shards are kept") from None


def finished(work: Path, count: int) -> Iterator[tuple[list[dict[str, Any]], Path]]:
    """Rows and images file of `count` finished shards in the folder `work`, in order."""
    for number in range(count):
        job = Job(number, (), PreprocessConfig(), "", "", work)
        yield json.loads(job.rows_file.read_text(encoding="utf-8")), job.images_file
