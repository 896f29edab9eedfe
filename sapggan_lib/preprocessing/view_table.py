"""Tables that name each image's view: NIH's `Data_Entry`, MIMIC-CXR-JPG's metadata, any CSV with two columns."""

import csv
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sapggan_lib.base.errors import SapgganError
from sapggan_lib.dicom import VIEW_POSITION

# Column names as the data sets write them, in lower case without spaces and signs.
FILE_COLUMNS = ("imageindex", "filename", "file", "imagefile", "dicomid", "imageid", "image", "imagepath", "path")
VIEW_COLUMNS = ("viewposition", "view", "viewestimate", "projection", "appa")
PATIENT_COLUMNS = ("patientid", "subjectid", "patient", "subject")


@dataclass(frozen=True)
class ViewTable:
    """Views by file; `find` looks a file up."""

    path: Path
    views: dict[str, tuple[str, str]]     # file, as the table writes it -> view, patient
    columns: tuple[str, str, str]         # names of the file, view and patient column; "" where there is none

    def find(self, path: str) -> tuple[str, str] | None:
        """View and patient of the file at `path` (below the source), by as much of its path as the table gives."""
        parts = path.split("/")
        for start in range(len(parts)):
            tail = "/".join(parts[start:])
            for name in (tail, tail.rsplit(".", 1)[0]):
                if name in self.views:
                    return self.views[name]
        return None


def read_table(path: Path | str) -> ViewTable:
    """Read a CSV (comma, semicolon or tab). Raises `SapgganError` naming the columns it found when one is missing."""
    path = Path(path)
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            head = stream.readline(1 << 16)
            stream.seek(0)
            rows = csv.DictReader(_text_lines(stream), delimiter=max(",;\t", key=head.count))
            try:
                return _read_rows(path, rows)
            except csv.Error as error:                       # a field of more than 131,072 characters, mostly
                raise SapgganError(f"{path}: line {rows.line_num:,} cannot be read ({error}); look there for a "
                                   "quotation mark that is not closed") from None
    except FileNotFoundError:
        raise SapgganError(f"{path}: no such table") from None
    except (OSError, UnicodeError) as error:
        raise SapgganError(f"{path}: not a readable CSV table ({type(error).__name__}); "
                           "save it as CSV in UTF-8") from None


def _text_lines(stream: Iterable[str]) -> Iterator[str]:
    for line in stream:
        if "\0" in line:                                     # UTF-16, or no text at all
            raise UnicodeError
        yield line


def _read_rows(path: Path, rows: csv.DictReader) -> ViewTable:
    names = list(rows.fieldnames or ())
    plain = {re.sub(r"[^a-z0-9]", "", name.lower()): name for name in reversed(names)}
    file, view, patient = (
        next((plain[name] for name in known if name in plain), "")
        for known in (FILE_COLUMNS, VIEW_COLUMNS, PATIENT_COLUMNS)
    )
    if not (file and view):
        missing = " and ".join(what for what, name in (("a file-name", file), ("a view", view)) if not name)
        raise SapgganError(f'{path}: lacks {missing} column (such as "Image Index", "View Position"); '
                           f"found: {', '.join(names)[:200] or 'nothing'}")
    views: dict[str, tuple[str, str]] = {}
    for row in rows:
        if row[file] is None or row[view] is None:                   # a row that ends early
            continue
        name = row[file].strip().replace("\\", "/")
        told = VIEW_POSITION.get(row[view].strip().upper(), "unknown")
        if name in views and views[name][0] != told:
            told = "unknown"                                         # two rows that disagree
        views[name] = told, (row[patient] or "").strip() if patient else ""
    return ViewTable(path, views, (file, view, patient))


def find_table(folder: Path) -> ViewTable | None:
    """The one CSV directly in `folder` that has a file-name and a view column, if there is exactly one."""
    found = []
    for path in sorted(folder.glob("*.csv")):
        try:
            found.append(read_table(path))
        except SapgganError:
            continue
    if len(found) > 1:
        names = ", ".join(table.path.name for table in found)
        raise SapgganError(f"{folder}: several tables tell views ({names}); choose one with --table")
    return found[0] if found else None
