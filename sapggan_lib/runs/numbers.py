"""Numbers in the project's text, each bound to the file that a run or an evaluation left.

In Markdown `55.6 [52.6, 58.6]<!-- FILE KEY, KEY, KEY -->`, of which a page shows the numbers, binds the last three
before the comment. FILE is JSON or CSV, from the project's folder. KEY is a path in it (`scores.fd.value`) and may end
in `*1000`; where FILE is a list of rows, `[method=DCGAN, epoch=15]` before the keys chooses one. A number must be that
of the file, rounded as it stands; a hash may be its beginning. `<!-- FILE.md -->` in the line above a table binds the
rows of that table to those of the file.
"""

import re
from pathlib import Path
from typing import Any

from sapggan_lib.base.errors import SapgganError
from sapggan_lib.base.files import ROOT, write_text
from sapggan_lib.runs.comparison import read_result

PAGES = ("*.md", "docs/*.md", "benchmarks/*.md", "weights/*.md")
COMMENT = re.compile(r"<!--\s*(.*?)\s*-->")
BINDING = re.compile(r"(\S+\.(?:json|csv))\s+(?:\[(.*?)\]\s+)?(.+)")
NUMBER = r"(?<![\w.])-?(?:\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d*\.?\d+)"
HASH = r"\b[0-9a-f]{7,}"
SCORE = re.compile(rf"{NUMBER} \[{NUMBER}, {NUMBER}\]")
PICTURE = re.compile(r"!\[[^\]]*\]\((\S+)/figures/(\d\d)_[^)]*\)")


def check_text(root: Path = ROOT, write: bool = False) -> int:
    """Compare what is bound in the project's Markdown with the files; returns how many comments bind something.

    With `write` stale numbers are replaced, rounded as they stood; what the sentences around them say is not. Raises
    `SapgganError` with a sentence for each stale one, and for each that is missing where it must not: below a picture
    of a run its notebook's commit, and behind a score with its interval.
    """
    problems, bound = list[str](), 0
    for path in (path for pattern in PAGES for path in sorted(root.glob(pattern))):
        before, table = path.read_text(encoding="utf-8").splitlines(keepends=True), list[str]()
        after = list(before)
        for i, line in enumerate(before):
            found, comment = [], COMMENT.fullmatch(line.strip())
            bound += len(COMMENT.findall(line))
            if comment and comment[1].endswith(".md"):
                table = _table(root / comment[1])
                found += [] if table else [f"{comment[1]} has no table"]
            elif table and line.startswith("|"):
                after[i] = table.pop(0)
                found += [] if line == after[i] else [f"shows {line.strip()}, its file has {after[i].strip()}"]
            else:
                table = []
                after[i], found = _line(line, "".join(before[i + 1:i + 5]), root)
            problems += [f"{path.relative_to(root).as_posix()}, line {i + 1}: {what}" for what in found]
        if write and after != before:
            write_text(path, "".join(after))
    if problems:
        raise SapgganError("\n".join(problems))
    return bound


def _table(path: Path) -> list[str]:
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.is_file() else []
    return [line for line in lines if line.startswith("|")]


def _line(line: str, below: str, root: Path) -> tuple[str, list[str]]:
    """The line with the numbers that its files have, and what is wrong with it; `below`: the lines under it."""
    parts, found, loose, end = [], [], "", 0
    for comment in COMMENT.finditer(line):
        text = line[end:comment.start()]
        try:
            text, first, stale = _bound(text, comment[1], root)
            found += stale
            loose += text[:first]
        except (SapgganError, OSError, ValueError, LookupError, TypeError) as error:
            found.append(f"{comment[0]} cannot be checked: {error!r}")
        parts += [text, comment[0]]
        end = comment.end()
    found += [f"{score[0]} is bound to no file: add <!-- FILE KEY, KEY, KEY -->"
              for score in SCORE.finditer(loose + line[end:])]
    found += [f"no bound commit in the caption of {picture[0]}" for picture in PICTURE.finditer(line)
              if not re.search(rf"<!-- {picture[1]}/records/{picture[2]}_\w+\.json git\.commit", below)]
    return "".join(parts) + line[end:], found


def _bound(text: str, comment: str, root: Path) -> tuple[str, int, list[str]]:
    """`text` before a comment with what the file has in place of its last numbers, where they begin, what was stale."""
    binding = BINDING.fullmatch(comment)
    if not binding:
        raise SapgganError("write FILE.json KEY, FILE.csv [COLUMN=VALUE] KEY, or FILE.md above a table")
    content = _select(read_result(root / binding[1]), binding[2] or "")
    values = [_value(content, key.strip()) for key in binding[3].split(",")]
    places = list(re.finditer(HASH if isinstance(values[0], str) else NUMBER, text))[-len(values):]
    stale = []
    for place, value in reversed(list(zip(places, values, strict=True))):
        actual = _as_shown(place[0], value)
        if actual != place[0]:
            stale.append(f"shows {place[0]}, {binding[1]} has {value} ({comment.removeprefix(binding[1]).strip()})")
        text = text[:place.start()] + actual + text[place.end():]
    return text, places[0].start(), stale


def _select(content: Any, conditions: str) -> Any:
    """Of rows the one that has these values, as in "method=DCGAN, epoch=15"; all of it without conditions."""
    for condition in filter(None, conditions.split(",")):
        column, value = condition.strip().split("=")
        content = [row for row in content if value in (str(row[column]), f"{row[column]}".removesuffix(".0"))]
    if conditions and len(content) != 1:
        raise SapgganError(f"{len(content)} rows have {conditions}")
    return content[0] if conditions else content


def _value(content: Any, key: str) -> Any:
    path, factor = re.fullmatch(r"(.*?)(?:\*([\d.e-]+))?", key).groups()  # type: ignore[union-attr]
    for name in path.split("."):
        content = content[name]
    return content * float(factor) if factor else content


def _as_shown(shown: str, value: Any) -> str:
    """`value` as long as `shown`, which stays where it is the value rounded, halves either way."""
    if isinstance(value, str):
        return value[:len(shown)]
    decimals = len(shown.partition(".")[2])
    near = abs(float(shown.replace(",", "")) - value) <= 0.5 * 10**-decimals + 1e-9
    return shown if near else f"{value:{',' if ',' in shown else ''}.{decimals}f}"
