"""Progress on long work: a bar in a terminal or in JupyterLab, log lines everywhere else."""

import os
import sys
import time
from typing import Any, Protocol, Self

HEADLESS_VARIABLE = "SAPGGAN_HEADLESS"  # set for notebooks run by papermill: a saved bar would stay at 0 %


class Progress(Protocol):
    """What `progress_bar` returns; tqdm's names, so that a tqdm bar is one."""

    def update(self, n: int = 1) -> Any: ...
    def set_postfix_str(self, text: str) -> Any: ...
    def close(self) -> Any: ...
    def __enter__(self) -> Self: ...
    def __exit__(self, *exception: object) -> Any: ...


class LogLines:
    """Prints `description: done/total unit, rate, time left` every `every` seconds; nothing for shorter work."""

    def __init__(self, total: int, description: str, unit: str, every: float = 10.0):
        self.total, self.description, self.unit, self.every = total, description, unit, every
        self.done, self.postfix = 0, ""
        self.start = self.last = time.monotonic()

    def update(self, n: int = 1) -> None:
        self.done += n
        if time.monotonic() - self.last >= self.every:
            self._print()

    def set_postfix_str(self, text: str) -> None:
        self.postfix = text

    def close(self) -> None:
        if time.monotonic() - self.start >= self.every:
            self._print()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _print(self) -> None:
        self.last = time.monotonic()
        rate = self.done / max(self.last - self.start, 1e-9)
        left = (self.total - self.done) / rate if rate else float("inf")
        remaining = f", {left:,.0f} s left" if 0 < left < float("inf") else ""
        postfix = f", {self.postfix}" if self.postfix else ""
        counts = f"{self.done:,}/{self.total:,} {self.unit}, {rate:,.1f} {self.unit}/s"
        print(f"{self.description}: {counts}{remaining}{postfix}", file=sys.stderr, flush=True)


def progress_bar(total: int, description: str, unit: str = "images") -> Progress:
    """Show progress over `total` steps. A context manager with `.update(n)` and `.set_postfix_str(text)`.

    A terminal gets a bar, a JupyterLab cell gets a widget bar, anything else gets log lines on stderr.
    """
    bar: Any
    kernel = sys.modules.get("ipykernel.kernelapp")  # imported is not yet running
    if kernel and kernel.IPKernelApp.initialized() and not os.environ.get(HEADLESS_VARIABLE):
        from tqdm.notebook import tqdm as notebook_bar

        bar = notebook_bar(total=total, desc=description, unit=f" {unit}")
        return bar
    if sys.stderr.isatty():
        from tqdm import tqdm

        bar = tqdm(total=total, desc=description, unit=f" {unit}", dynamic_ncols=True)
        return bar
    return LogLines(total, description, unit)
