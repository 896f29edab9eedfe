"""Which state of the project made something."""

import functools
import subprocess
from typing import Any

from sapggan_lib.base.files import ROOT

COMMITTED = ("reference", "radiographs", "comparison_64")  # the runs in the repository, for everyone to see


@functools.cache  # a process runs the code that it began with
def git_state() -> dict[str, Any]:
    """`{"commit": hash or "", "dirty": whether files differ from it}` of the project's checkout.

    The committed runs' own files don't count: a run writes them while it goes on.
    """

    def git(*arguments: str) -> str:
        result = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)
        return result.stdout.strip() if result.returncode == 0 else ""

    try:
        changed = git("status", "--porcelain", "--", ".", *(f":!papermill_runs/{name}" for name in COMMITTED))
        return {"commit": git("rev-parse", "HEAD"), "dirty": bool(changed)}
    except FileNotFoundError:
        return {"commit": "", "dirty": True}
