"""Classes of a store's images, from a column of its manifest or of a table that names its files."""

import csv
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sapggan_lib.base.errors import SapgganError, near_match
from sapggan_lib.privacy import original_paths
from sapggan_lib.store import Store, read_manifest

OTHER = "other"  # the class of images that have none of the wanted ones


def read_labels(
    store: Store,
    column: str,                      # of the manifest, or of the table; several values in a cell are divided by "|"
    table: Path | str | None = None,  # CSV that names the store's files in one of its columns
    classes: Sequence[str] = (),      # which values are classes; none: each
) -> tuple[tuple[str, ...], np.ndarray]:
    """The classes' names, and each image's label: its class's place among them, `[N]`.

    An image with several classes has the rarest of them; one with none is of the class "other". Raises `SapgganError`
    for a column or a class that there is not, and naming files that the table lacks.
    """
    cells = _read_cells(store, column, table)
    values = [{value.strip() for value in cell.split("|")} - {""} for cell in cells]
    counts = Counter(value for some in values for value in some)
    ranked = sorted(classes or counts, key=lambda name: (counts[name], name))  # rarest first
    names = [next((name for name in ranked if name in some), OTHER) for some in values]
    found = tuple(classes) or tuple(sorted({*names} - {OTHER}))
    found += (OTHER,) if OTHER in names and OTHER not in found else ()
    lacking = [name for name in found if name not in names]
    if lacking:
        raise SapgganError(f'{table or store.path}: no image of class "{lacking[0]}" by column "{column}"; '
                           f"{near_match(lacking[0], counts)}")  # fmt: skip
    place = {name: label for label, name in enumerate(found)}
    return found, np.array([place[name] for name in names], np.int64)


def _read_cells(store: Store, column: str, table: Path | str | None) -> list[str]:
    """The column's text for each image of the store."""
    rows = sorted((row for row in read_manifest(store.path) if row["status"] == "kept"), key=lambda r: int(r["index"]))
    if table is None:
        return [row[_known(column, row, store.path / "manifest.csv")] for row in rows]
    lines = _read_table(Path(table))
    _known(column, lines[0], table)
    originals = original_paths(store.path)
    files = [originals.get(row["path"], row["path"]) for row in rows]
    best: list[str | None] = []
    for name in lines[0].keys() - {column}:  # the column that names most files
        cells = {line[name].strip().replace("\\", "/"): line[column] for line in lines}
        found = [_find(file, cells) for file in files]
        best = max(best, found, key=lambda texts: sum(text is not None for text in texts))
    lost = [Path(file).name for file, text in zip(files, best, strict=True) if text is None]
    if lost:
        raise SapgganError(f"{table}: names {len(files) - len(lost):,} of the {len(files):,} files of {store.path}; it "
                           f"lacks {', '.join(lost[:3])}{', ...' if len(lost) > 3 else ''}; take the table that "
                           "belongs to them")  # fmt: skip
    return [text or "" for text in best]


def _find(file: str, cells: dict[str, str]) -> str | None:
    """What the table says of the file, by as much of its path as it gives, with or without a suffix."""
    parts = file.split("/")
    tails = ["/".join(parts[start:]) for start in range(len(parts))]
    return next((cells[name] for tail in tails for name in (tail, tail.rsplit(".", 1)[0]) if name in cells), None)


def _known(column: str, row: dict[str, str], where: Path | str) -> str:
    if column not in row:
        raise SapgganError(f'{where}: no column "{column}"; {near_match(column, row)}')
    return column


def _read_table(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            head = stream.readline(1 << 16)
            stream.seek(0)
            lines = list(csv.DictReader(stream, delimiter=max(",;\t", key=head.count), restval="", restkey=""))
    except (OSError, UnicodeError, csv.Error) as error:
        raise SapgganError(f"{path}: not a readable CSV table ({type(error).__name__})") from None
    if not lines:
        raise SapgganError(f"{path}: an empty table")
    return lines
