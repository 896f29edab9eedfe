"""A run's folder: its name, whether it may be shared, and where in it things lie."""

import contextlib
import re
from dataclasses import dataclass
from pathlib import Path

from sapggan_lib.base.checkout import COMMITTED
from sapggan_lib.base.errors import SapgganError
from sapggan_lib.base.files import only_one, write_json
from sapggan_lib.notebook import Hider, is_publishable, private_folder, record_path
from sapggan_lib.runs.jobs import Job


@dataclass(frozen=True)
class RunFolder:
    """Where a run leaves what may be shown, and the rest: in the same folder, unless the run is publishable."""

    shown: Path
    private: Path                    # with store, trainings, logs and what failed

    def record(self, name: str) -> Path:
        """Where a notebook's record is kept."""
        return record_path(self.shown, name)

    def executing(self, name: str) -> Path:
        """Where a notebook lies while it runs, beside its lock."""
        return self.private / ".running" / name / "executed.ipynb"

    def log(self, name: str) -> Path:
        """Where a notebook's output goes while it runs."""
        return self.private / "logs" / f"{name}.log"

    def failed(self, name: str) -> Path:
        """Where a notebook that failed is kept, with all that it printed."""
        return self.private / "failed" / f"{name}.ipynb"

    def hider(self, job: Job) -> Hider:
        """What takes the places of the job's inputs out of what the run leaves."""
        return Hider(job.parameters, self.shown, self.private, job.publishable)

    def sweep(self) -> None:
        """Delete what killed processes left half written, unless a notebook of an earlier run is still at work."""
        with contextlib.ExitStack() as stack, contextlib.suppress(SapgganError):
            for lock in (self.private / ".running").glob("*/.lock"):
                stack.enter_context(only_one(lock.parent, "at work"))
            for stale in (stale for place in {self.shown, self.private} for stale in place.rglob(".*.partial*")):
                if stale.is_file():
                    stale.unlink(missing_ok=True)


def run_folder(runs: Path, name: str, publishable: bool) -> Path:
    """The folder of the run `name` in the folder `runs`. Raises `SapgganError` for what is not one plain name."""
    if not re.fullmatch(r"\w[\w .+-]*", name) or name.endswith((".", " ")):
        raise SapgganError(f'"{name}" is no name for a run: give one plain name of letters, digits, spaces and - _ + .')
    if name.casefold() == "profiles" or (name.casefold() in COMMITTED and not publishable):
        add = ", or add --publishable" if name.casefold() in COMMITTED else ""
        raise SapgganError(f"{runs / name} is committed, for everyone to see: choose another --run{add}")
    others = [path.name for path in runs.iterdir()] if runs.is_dir() else []
    for other in [*COMMITTED, *others]:
        if other.casefold() == name.casefold() and other != name:
            raise SapgganError(f'run "{name}": some disks take it for "{other}"; write it so, or choose another name')
    return runs / name


def claim(folder: Path, profile: str, publishable: bool) -> RunFolder:
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
    return RunFolder(folder, private_folder(folder) if publishable else folder)
