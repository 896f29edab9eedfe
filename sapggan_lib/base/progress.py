"""Progress on long work: a bar in a terminal or in JupyterLab, log lines everywhere else."""

import contextlib
import os
import sys
from typing import Any

HEADLESS_VARIABLE = "SAPGGAN_HEADLESS"  # set for notebooks run by papermill: a saved bar would stay at 0 %


class NoProgress(contextlib.AbstractContextManager):
    """Stands in for a tqdm where that is missing: a bare machine with a GPU trains and scores all the same."""

    def update(self, n: float = 1) -> None: ...
    def set_postfix_str(self, s: str) -> None: ...
    def __exit__(self, *exception: object) -> None: ...


def progress_bar(total: int, description: str, unit: str = "images", disable: bool = False) -> Any:
    """Show progress over `total` steps: a tqdm, so a context manager with `.update(n)` and `.set_postfix_str(text)`.

    A terminal gets a bar, a JupyterLab cell gets a widget bar, anything else gets log lines on stderr; `disable` shows
    nothing.
    """
    try:
        from tqdm import tqdm

        from sapggan_lib.base.log_lines import LogLines
    except ImportError:
        return NoProgress()
    kernel = sys.modules.get("ipykernel.kernelapp")  # imported is not yet running
    if kernel and kernel.IPKernelApp.initialized() and not os.environ.get(HEADLESS_VARIABLE):
        from tqdm.notebook import tqdm as notebook_bar

        return notebook_bar(total=total, desc=description, unit=f" {unit}", disable=disable)
    if sys.stderr.isatty():
        return tqdm(total=total, desc=description, unit=f" {unit}", dynamic_ncols=True, disable=disable)
    return LogLines(total, description, unit, disable=disable)
