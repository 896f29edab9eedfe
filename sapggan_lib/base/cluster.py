"""A Dask cluster: connecting to it, and what a task on a worker must know."""

import contextlib
import platform
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from sapggan_lib.base.errors import SapgganError

if TYPE_CHECKING:
    from distributed import Client

TIMEOUT = 15  # seconds to wait for a scheduler


@contextlib.contextmanager
def connect(scheduler: str) -> Iterator["Client"]:
    """A client of the Dask scheduler at `scheduler`. Raises `SapgganError` when none answers or it has no workers.

    `tls://HOST:8786` takes its certificates from Dask's own configuration (`distributed.comm.tls`).
    """
    try:
        from distributed import Client
    except ImportError:
        raise SapgganError("--scheduler needs Dask distributed: pip install 'sapggan[cluster]'") from None
    _check_encryption(scheduler)
    try:
        client = Client(scheduler, timeout=TIMEOUT, set_as_default=False)
    except (OSError, TimeoutError, ValueError):
        raise SapgganError(f'{scheduler}: no Dask scheduler answers; start one with "dask scheduler"') from None
    with client:
        if not client.scheduler_info(n_workers=-1)["workers"]:
            raise SapgganError(f'{scheduler}: no workers; start some with "dask worker {scheduler} --nthreads 1"')
        yield client


def _check_encryption(scheduler: str) -> None:
    """Raise `SapgganError` where Dask's configuration does not allow `scheduler`; Dask would say so in a traceback."""
    from distributed.security import Security

    try:
        encryption = Security().get_connection_args("client")
    except (OSError, ValueError) as error:
        raise SapgganError(f"Dask's configuration distributed.comm.tls: the certificates cannot be used ({error}); "
                           "docs/data.md says what it must hold") from None  # fmt: skip
    if scheduler.startswith("tls://") and not encryption.get("ssl_context"):
        raise SapgganError(f"{scheduler}: Dask's configuration names no certificates (distributed.comm.tls: ca-file, "
                           "client.cert, client.key); docs/data.md says how to make them")  # fmt: skip
    if encryption["require_encryption"] and not scheduler.startswith("tls://"):
        raise SapgganError(f"{scheduler}: Dask's configuration requires encryption; give tls:// in place of tcp://")


def slots(client: "Client") -> dict[str, float]:
    """What a task that trains asks for: one GPU where the workers declare them, else nothing."""
    workers = client.scheduler_info(n_workers=-1)["workers"].values()
    return {"GPU": 1} if any(worker["resources"].get("GPU") for worker in workers) else {}


def require_shared(*folders: Path) -> None:
    """Raise `SapgganError` where a worker does not see a folder that the submitting machine sees."""
    for folder in folders:
        if not folder.is_dir():
            raise SapgganError(f"{folder}: not there on {platform.node()}; it must be on storage that every worker "
                               "sees under the same path")


def wanted() -> bool:
    """Whether somebody still waits for the task that this thread does; True outside of a Dask worker.

    Dask cannot stop a thread: when the submitting process ends, a long task must notice by itself.
    """
    if "distributed" not in sys.modules:
        return True
    from distributed import get_worker

    try:
        worker = get_worker()
    except ValueError:
        return True
    task = worker.state.tasks.get(worker.get_current_task())
    return task is not None and task.state != "cancelled"
