"""What a finished store tells: how many of the inputs were kept, and whether it is the one that is wanted now."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sapggan_lib.base.config import PreprocessConfig, to_mapping
from sapggan_lib.base.files import sha256_file, write_json
from sapggan_lib.preprocessing.sources import Listing
from sapggan_lib.store import read_facts, read_manifest


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


def difference(inputs: Listing, out: Path, config: PreprocessConfig, retry_failed: bool) -> str:
    """What differs between the finished store in `out` and one of these inputs with these settings, or "".

    Contents are compared where sizes and times cannot tell. Files that failed may change when they are tried again.
    """
    facts = read_facts(out)
    for name, value in to_mapping(config).items():
        if name not in facts["config"]:
            return "holds a store of an older version, whose manifest may name files; delete it and run this again"
        if facts["config"][name] != value:
            return (f"holds a store made with {name} {facts['config'][name]}, not {value}; choose another folder, "
                    "or delete this one first")
    if config.clip_limit and facts.get("clahe") != inputs.facts["clahe"]:
        return "holds a store of an older version, whose clip limit meant other contrasts; delete it and run again"
    if facts | inputs.facts == facts:
        return ""
    same, mended = facts.get("inputs") == inputs.facts["inputs"], 0
    for item, row in zip(inputs, read_manifest(out) if same else (), strict=False):
        equal = not item.member and _content(item.file) == row["sha256"]
        if row["status"] == "failed":
            mended += not equal and not retry_failed
        else:
            same &= equal
    if not same:
        return (f"holds a store of other files than {inputs.source} and the table have now, or of another patient key; "
                "choose another folder, or delete this one first")
    if mended:
        return f"{mended:,} of the files that failed have changed since; --retry-failed tries them again"
    write_json(out / "store.json", facts | inputs.facts)      # the next time sizes and times will tell
    return ""


def _content(file: str) -> str:
    """SHA-256 of a file, "" where it cannot be read."""
    try:
        return sha256_file(file)
    except OSError:
        return ""
