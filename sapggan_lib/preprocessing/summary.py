"""What became of the inputs, counted from the rows of a manifest."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Summary:
    """What `preprocess` did."""

    out: Path
    files: int                      # inputs, one manifest row each
    kept: int
    dropped: dict[str, int]         # reason -> count, most frequent first
    failed: int
    first_failure: str              # "path: reason", the path as the manifest has it; or ""
    shape: tuple[int, ...]          # of the images
    seconds: float
    images_file: str
    already_done: bool = False      # the store was there already, made of the same files with the same settings
    table: str = ""                 # the table that told the views, where one did

    def text(self) -> str:
        """The lines that the command prints."""
        lines = [f"views from {self.table}"] if self.table else []
        dropped = sum(self.dropped.values())
        reasons = f" ({', '.join(f'{n:,} {reason}' for reason, n in self.dropped.items())})" if dropped else ""
        lines.append(f"{self.files:,} files: {self.kept:,} kept, {dropped:,} dropped{reasons}, {self.failed:,} failed")
        if self.failed:
            lines.append(f"first failure: {self.first_failure}")
            lines.append('all failures: manifest.csv, status "failed"; --retry-failed tries them again, '
                         f"sapggan which {self.out} PATH tells which file it was")
        size = f"{' x '.join(map(str, self.shape))}  {int(np.prod(self.shape)) / 1e6:,.1f} MB"
        speed = "already done, nothing to do" if self.already_done else (
            f"{self.seconds:,.0f} s, {self.files / max(self.seconds, 1e-9):,.0f} files/s")
        lines.append(f"{self.out / self.images_file}  {size}      {self.out / 'manifest.csv'}  {self.files:,} rows"
                     f"      {speed}")
        return "\n".join(lines)


def count_rows(rows: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """The fields of `Summary` from `files` to `first_failure`."""
    status, dropped, first = Counter[str](), Counter[str](), ""
    for row in rows:
        status[row["status"]] += 1
        if row["status"] == "dropped":
            dropped[row["reason"]] += 1
        elif row["status"] == "failed" and not first:
            first = f"{row['path']}: {row['reason']}"
    return {"files": status.total(), "kept": status["kept"], "dropped": dict(dropped.most_common()),
            "failed": status["failed"], "first_failure": first}
