"""Classes of a store's images, from a column of its manifest or of a table that names its files."""

import csv
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sapggan_lib.base.errors import SapgganError, near_match
from sapggan_lib.privacy import original_paths
from sapggan_lib.store import Store

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
    rows = store.manifest[store.manifest["status"] == "kept"].sort_values("index")
    lines = rows if table is None else _read_table(table)
    if column not in lines:
        raise SapgganError(f'{table or store.path}: no column "{column}"; {near_match(column, lines)}')
    if table is None:
        return list(rows[column])
    originals = original_paths(store.path)
    files = [originals.get(path, path) for path in rows["path"]]
    told: list[str | None] = []
    for names in lines.drop(columns=column).to_dict("list").values():  # the column that names most files
        cells = {name.strip().replace("\\", "/"): text for name, text in zip(names, lines[column], strict=True)}
        told = max(told, [_find(file, cells) for file in files], key=lambda texts: len(texts) - texts.count(None))
    lost = [Path(file).name for file, text in zip(files, told, strict=True) if text is None]
    if lost:
        raise SapgganError(f"{table}: names {len(files) - len(lost):,} of the {len(files):,} files of {store.path}; it "
                           f"lacks {', '.join(lost[:3])}{', ...' if len(lost) > 3 else ''}; take the table that "
                           "belongs to them")  # fmt: skip
    return [text or "" for text in told]


def _read_table(path: Path | str) -> Any:
    import pandas as pd  # not at the top: a node that only trains may lack it

    try:
        return pd.read_csv(path, dtype=str, keep_default_na=False, sep=None, engine="python", encoding="utf-8-sig")
    except (OSError, ValueError, csv.Error) as error:
        raise SapgganError(f"{path}: not a readable CSV table ({type(error).__name__})") from None


def _find(file: str, cells: dict[str, str]) -> str | None:
    """What the table says of the file, by as much of its path as it gives, with or without a suffix."""
    parts = file.split("/")
    tails = ["/".join(parts[start:]) for start in range(len(parts))]
    return next((cells[name] for tail in tails for name in (tail, tail.rsplit(".", 1)[0]) if name in cells), None)
