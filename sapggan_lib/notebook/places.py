"""Where things lie on this machine, and how what a run leaves names them: `private:data`, never a real place."""

import hashlib
import html
import json
import os
import re
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sapggan_lib.base.errors import SapgganError
from sapggan_lib.base.files import ROOT, readable

MARK = "private:"
PRIVATE_VARIABLE = "SAPGGAN_PRIVATE"   # another folder than the cache for what publishable runs keep to themselves
PLACES_VARIABLE = "SAPGGAN_PLACES"     # from a run to its notebooks: JSON of the real places, by name
BASE64 = re.compile(r"(data:[\w/+.-]+;base64,[A-Za-z0-9+/=]*)")
PICTURES = ("image/", "audio/", "video/", "application/pdf", "application/octet-stream")
# Where a file name that follows a folder may end. In text that can be any character, so the whole line counts.
REST = {"text": r"[^\n]*", "markup": r"[^<\"\n]*", "table": r"[^\",|&\n]*"}


def private_folder(run: Path) -> Path:
    """Where the publishable run in `run` keeps store, trainings and logs: readable for its user only, made here.

    Below `~/.cache/sapggan/runs`, or below the folder that the environment variable SAPGGAN_PRIVATE names.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sapggan" / "runs"
    base = Path(os.environ.get(PRIVATE_VARIABLE) or cache)
    place = run.resolve()
    folder = base.absolute() / f"{place.name}-{hashlib.sha256(os.fsencode(place)).hexdigest()[:12]}"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)            # it may have been there; that of another user raises
    except OSError as error:
        raise readable(error, folder) from error
    return folder


def is_publishable(run: Path) -> bool | None:
    """Whether the run in the folder `run` said that it may be shared; None where it said nothing."""
    record = run / "record.json"
    return json.loads(record.read_text(encoding="utf-8")).get("publishable") if record.exists() else None


def is_place(value: Any) -> bool:
    """Whether a parameter's value names a file or a folder, or looks so."""
    return isinstance(value, str) and bool(value) and (
        "/" in value or "\\" in value or os.path.exists(ROOT / value)  # noqa: PTH110 - no error for a name too long
    )


def hide(parameters: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The parameters with `private:NAME` for each place in them, and the real values of those that changed."""
    shown, real = dict(parameters), {}
    for name, value in parameters.items():
        items = value if isinstance(value, list) else [value]
        if any(map(is_place, items)):
            hidden = [MARK + name if is_place(item) else item for item in items]
            shown[name], real[name] = hidden if isinstance(value, list) else hidden[0], value
    return shown, real


def given() -> dict[str, Any]:
    """The real places that the run gave to this notebook; none in a notebook opened by hand."""
    return dict(json.loads(os.environ.get(PLACES_VARIABLE) or "{}"))


def reveal(parameters: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The parameters with the real places of this run. Raises `SapgganError` for a place that nobody gave."""
    places, found = given(), {}
    for name, value in parameters.items():
        items = value if isinstance(value, list) else [value]
        hidden = any(isinstance(item, str) and item.startswith(MARK) for item in items)
        if hidden and name not in places:
            raise SapgganError(f"{where}: {name} = {value!r} stands for a place that was left out; write your own")
        found[name] = places[name] if hidden else value
    return found


class Hider:
    """Takes the places of a run's inputs and folders out of text; with `strict` all that stands behind them, too."""

    def __init__(self, parameters: Mapping[str, Any], folder: Path, private: Path, strict: bool):
        self.labels: dict[str, str] = {}     # spelling: what stands in its place
        self.private: set[str] = set()       # spellings of inputs, and of folders above them
        for name, value in hide(parameters)[1].items():
            for place in value if isinstance(value, list) else [value]:
                if is_place(place):
                    self._input(place, MARK + name)
        folders = {ROOT: ".", Path.home(): "~", private.resolve(): f"{MARK}work"}
        folders |= {folder.absolute(): f"{MARK}run", folder.resolve(): f"{MARK}run"}
        for place, label in folders.items():
            for spelling in spellings(str(place)) - self.labels.keys() if len(place.parts) > 1 else ():
                self.labels[spelling] = label
                self.labels.setdefault(f"{spelling}/", "" if place == ROOT else f"{label}/")
        self.longest_first = sorted(self.labels, key=len, reverse=True)
        self.patterns = {
            kind: re.compile("|".join(re.escape(s) + (rest if strict and s in self.private else "")
                                      for s in self.longest_first))
            for kind, rest in {**REST, "code": ""}.items()
        }  # fmt: skip

    def _input(self, place: str, label: str) -> None:
        whole = {place, os.path.abspath(ROOT / place), os.path.realpath(ROOT / place)}  # noqa: PTH100
        parents = {parent for path in whole for parent in Path(path).parents if len(parent.parts) > 2}
        above = {str(parent) for parent in parents if not parent.is_relative_to(ROOT)
                 and not any(known.is_relative_to(parent) for known in (ROOT, Path.home()))}  # fmt: skip
        for path in sorted(whole) + sorted(above):
            for spelling in spellings(path):
                self.labels.setdefault(spelling, label)
                self.private.add(spelling)

    def text(self, text: str, kind: str = "text") -> str:
        """`text` without the places. `kind` is one of `REST`, or "code": nothing behind a place is taken away."""

        def label(match: re.Match[str]) -> str:
            return next(self.labels[s] for s in self.longest_first if match.group().startswith(s))

        parts = BASE64.split(text)           # every second one is a picture
        parts[::2] = [self.patterns[kind].sub(label, part) for part in parts[::2]]
        return "".join(parts)

    def walk(self, value: Any, kind: str = "text") -> Any:
        """A JSON value with the places taken out of its strings; what holds pictures stays as it is."""
        if isinstance(value, str):
            return self.text(value, kind)
        if isinstance(value, (list, tuple)):
            return [self.walk(item, kind) for item in value]
        if not isinstance(value, dict):
            return value
        found = {}
        kinds = {"text/html": "markup", "text/latex": "table", "text/markdown": "table"}
        if "cell_type" in value:
            kinds["source"] = "code"
        for key, item in ((str(key), item) for key, item in value.items()):  # JSON writes other keys as text, too
            if key.startswith(PICTURES) or (key == "data" and value.get("encoding") == "base64"):
                found[key] = item
            else:
                found[self.text(key, kind)] = self.walk(item, kinds.get(key, kind))
        return found


def spellings(path: str) -> set[str]:
    """How a path may stand in text: as it is, composed and decomposed, escaped for JSON, Python, HTML and addresses."""
    if path.strip("/.\\") == "":
        return set()
    found = set()
    for form in (path, unicodedata.normalize("NFC", path), unicodedata.normalize("NFD", path)):
        found |= {form, json.dumps(form)[1:-1], json.dumps(form, ensure_ascii=False)[1:-1], repr(form)[1:-1],
                  form.encode("unicode_escape").decode("ascii"), html.escape(form), html.escape(form, quote=False),
                  html.escape(form).replace("&#x27;", "&#39;"), quote(os.fsencode(form))}  # fmt: skip
    return {spelling.rstrip("/") for spelling in found}
