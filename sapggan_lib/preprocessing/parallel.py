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
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sapggan_lib.base import cluster
from sapggan_lib.base.config import PreprocessConfig
from sapggan_lib.base.errors import SapgganError
from sapggan_lib.base.files import ROOT, atomic_path, write_json
from sapggan_lib.preprocessing.item import TOO_LARGE, Answer, Item, process_item
from sapggan_lib.preprocessing.sources import unpack
from sapggan_lib.privacy import patient_key

SHARD = 32             # files; a killed run repeats at most these, per worker
CPU_SECONDS = 10       # for one file, in its process; a large JPEG 2000 takes about one
WALL_SECONDS = 60      # for one file, storage included
AT_ONCE = 1024         # shards on a cluster at once
MEMORY = 6 << 30       # address space of a child process, in bytes
TOO_SLOW = f"took more than {CPU_SECONDS} s of processor time to decode"
CHILD = "from sapggan_lib.preprocessing.parallel import answer_requests; answer_requests()"


@dataclass(frozen=True)
class Shard:
    """Some of the inputs, with all that a worker on another machine needs; folders are on storage that both see."""

    number: int
    items: Sequence[Item]
    config: PreprocessConfig
    key_mark: str                   # of the patient hash's key, which each machine reads for itself and never travels
    source: Path                    # folder of the inputs
    work: Path                      # folder of finished shards

    @property
    def rows_file(self) -> Path:
        """The manifest rows; written last, so where it exists the shard is whole, with its images beside it."""
        return self.work / f"{self.number:06d}.json"


def process_all(
    items: Iterable[Item],
    config: PreprocessConfig,
    key_mark: str,
    source: Path,
    work: Path,                     # where finished shards are kept; some may be there already
    workers: int | None,            # processes on this machine; None: one per core
    scheduler: str | None,          # of a Dask cluster, in place of them
    done: Callable[[int], Any],     # called with the number of files after each shard
) -> None:
    """Process all items; `results` reads what becomes of them."""
    rest = iter(items)
    pieces = iter(lambda: list(itertools.islice(rest, SHARD)), [])
    shards = (
        Shard(number, [unpack(item, work) for item in piece], config, key_mark, source, work)
        for number, piece in enumerate(pieces)
    )
    if scheduler:
        _run_dask(shards, scheduler, done)
    else:
        _run_local(shards, workers or os.cpu_count() or 1, done)


def results(work: Path) -> Iterator[Answer]:
    """Each item's row and, where it is kept, its image, of all finished shards in the folder `work`, in order."""
    for rows_file in sorted(work.glob("*.json")):
        rows = json.loads(rows_file.read_text(encoding="utf-8"))
        kept = any(row["status"] == "kept" for row in rows)
        images = iter(np.load(rows_file.with_suffix(".npy"), mmap_mode="r") if kept else ())
        for row in rows:
            yield row, next(images) if row["status"] == "kept" else None


def _run_local(shards: Iterable[Shard], workers: int, done: Callable[[int], Any]) -> None:
    todo, lock, stop = iter(shards), threading.Lock(), threading.Event()

    def work() -> None:
        with Guard(stop) as guard:
            while not stop.is_set():
                with lock:
                    shard = next(todo, None)
                if shard is None:
                    return
                files = run_shard(shard, guard)
                with lock:
                    done(files)

    with ThreadPoolExecutor(workers) as pool:
        try:
            for future in as_completed([pool.submit(work) for _ in range(workers)]):
                future.result()
        except BaseException:
            stop.set()
            raise


def _run_dask(shards: Iterable[Shard], scheduler: str, done: Callable[[int], Any]) -> None:
    """`AT_ONCE` shards are submitted; one whose worker is lost is done again elsewhere."""
    with cluster.connect(scheduler) as client:
        from distributed import KilledWorker, as_completed

        todo = (client.submit(run_shard, shard, pure=False, retries=3) for shard in shards)
        futures = as_completed(itertools.islice(todo, AT_ONCE), loop=client.loop)
        try:
            for future in futures:
                done(future.result())
                futures.update(itertools.islice(todo, 1))
        except KilledWorker:
            raise SapgganError(f"{scheduler}: a shard ended several workers; look at their logs, then run again: "
                               "finished shards are kept") from None


def run_shard(shard: Shard, guard: "Guard | None" = None) -> int:
    """Do one shard, at once where it is done already; returns how many files. Raises `SapgganError` on a full disk."""
    if shard.rows_file.exists():
        return len(shard.items)
    cluster.require_shared(shard.source, shard.work)
    key = patient_key(shard.key_mark)
    with contextlib.nullcontext(guard) if guard else Guard() as ask:
        answers = [ask(item, shard.config, key) for item in shard.items]
    images = [image for _, image in answers if image is not None]
    with atomic_path(shard.rows_file.with_suffix(".npy")) as temporary, temporary.open("wb") as stream:
        np.save(stream, np.stack(images) if images else np.zeros(0, np.uint8))
    write_json(shard.rows_file, [row for row, _ in answers])
    return len(shard.items)


class Guard(contextlib.AbstractContextManager):
    """A child process that turns one item at a time into a manifest row and an image, under limits."""

    def __init__(self, stop: threading.Event | None = None):
        self._child: subprocess.Popen | None = None
        self._stop = stop or threading.Event()

    def __exit__(self, *exception: object) -> None:
        self._end()

    def __call__(self, item: Item, config: PreprocessConfig, key: bytes) -> Answer:
        """The row and the image (None where dropped or failed). Raises only when the run is being stopped."""
        if self._stop.is_set():
            raise SapgganError("stopped; run again to go on")
        answer, reason = self._ask(item, config, key)
        # A second try, as the first may have met a full memory or storage that hung; not for what is slow by itself.
        if reason != TOO_SLOW and (answer is None or answer[0].get("reason") == TOO_LARGE):
            answer, reason = self._ask(item, config, key)
        if answer:
            return answer
        # The header alone, without the decoder, so that the row tells what it can.
        answer, _ = self._ask(item, config, key, False)
        row = answer[0] if answer else {"path": item.path}
        return row | {"status": "failed", "reason": reason}, None

    def _ask(self, *request: Any) -> tuple[Answer | None, str]:
        """The child's answer, or None and what became of the child."""
        child = self._child = self._child or _start_child()
        timer = threading.Timer(WALL_SECONDS, child.kill)
        timer.start()
        try:
            pickle.dump(request, child.stdin)  # type: ignore[arg-type]
            child.stdin.flush()  # type: ignore[union-attr]
            return pickle.load(child.stdout), ""  # type: ignore[arg-type]
        except (EOFError, OSError, pickle.UnpicklingError):
            timed_out, code = not timer.is_alive(), self._end()
            ending = signal.Signals(-code).name if code < 0 else f"exit {code}"
            if ending == "SIGPROF":
                return None, TOO_SLOW
            if timed_out:
                return None, f"no answer in {WALL_SECONDS} s, as of storage that hangs or a busy machine"
            if ending == "SIGKILL":
                return None, "ended by the system, as when memory runs out"
            return None, f"the decoder crashed ({ending})"
        finally:
            timer.cancel()

    def _end(self) -> int:
        """End the child; its exit status, negative for the signal that ended it."""
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
    """Not by multiprocessing: Dask's daemonic workers may start it, and a script or notebook needs no
    `if __name__ == "__main__"`."""
    search = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    one_thread = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    return subprocess.Popen(
        [sys.executable, "-c", CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, env=os.environ | one_thread | {"PYTHONPATH": search},
    )  # fmt: skip


def answer_requests() -> None:
    """In the child: process the items that come on stdin, until the parent closes the pipe."""
    requests, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)        # C libraries print to stdout; the answers must stay clean
    printed = tempfile.TemporaryFile(buffering=0)       # noqa: SIM115 - open as long as the process
    os.dup2(printed.fileno(), 2)

    import cv2

    cv2.setNumThreads(1)
    if sys.platform == "linux":
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGINT, signal.SIG_IGN)        # Ctrl+C goes to the parent, which closes the pipe
    while True:
        try:
            request = pickle.load(requests)
        except EOFError:
            return
        printed.seek(0)
        printed.truncate()
        _limit_time(CPU_SECONDS)
        row, image = process_item(*request)
        _limit_time(0)
        printed.seek(0)
        # libjpeg only prints that a stream is broken, and fills in what it lacks.
        if image is not None and b"Corrupt JPEG data" in printed.read(1 << 16):
            row, image = row | {"status": "failed", "reason": "corrupt JPEG data"}, None
        pickle.dump((row, image), answers, protocol=5)
        answers.flush()


def _limit_time(seconds: float) -> None:
    """End this process after so much processor time, even inside C; 0 for never. On Windows the parent's clock does."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_PROF, seconds)   # its default action ends the process
