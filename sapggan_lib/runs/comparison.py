"""A run's results against a reference run's, within the tolerances that `RULES` states."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from sapggan_lib.base.errors import SapgganError
from sapggan_lib.notebook import record_path
from sapggan_lib.runs.jobs import Job

TOLERANCE = 0.15      # relative: another processor rounds otherwise, and training makes much of it
AROUND_ZERO = 0.02    # or this far apart, for shares and for distances near 0
ROUNDING = 1e-6       # relative, of numbers that count as equal
EXACT = "equal"
NEAR = "text and whole numbers equal, others within TOLERANCE or AROUND_ZERO"
SCORE = "intervals overlap, or as NEAR"
SEEDS = "intervals over seeds overlap; as SCORE where there is one seed"
SKIP = "not compared"
RULES = (             # the first that matches decides; *.md and *.tex have the numbers of the CSV beside them
    # file of results/         columns or keys              how
    ("04_scores_equal_time.*", ["*"],                       SKIP),   # what this machine reaches in a time
    ("05_table_1_hours.*",     ["*"],                       SKIP),
    ("*_paper_table_1.csv",    ["*"],                       EXACT),
    ("*_findings.json",        ["*"],                       SKIP),   # sentences made of the other results
    ("*",                      ["hours", "seconds*", "MB"], SKIP),   # times and sizes are this machine's
    ("*",                      ["low", "high"],             SKIP),   # part of the score
    ("*_table*.csv",           ["value"],                   SEEDS),  # a clear lead, if swapped, differs however small
    ("*_table*.csv",           ["images"],                  SKIP),   # part of the score
    ("*",                      ["value"],                   SCORE),
    ("*",                      ["epoch", "kimg"],           EXACT),
    ("*",                      ["spread", "worst rise"],    SKIP),   # over few seeds, so any size
    ("*",                      ["*"],                       NEAR),   # counts, parameters, protocols: whole or text
)  # fmt: skip
STATES = ("same", "within tolerance", "differs", "not comparable")  # of a comparison, the worse the later
SAME, WITHIN, DIFFERS = range(3)
Place = tuple[str | int, ...]  # of a plain value in a result: keys, and numbers of rows
Values = Mapping[Place, Any]


@dataclass(frozen=True)
class Comparison:
    """One line of a check."""

    what: str             # "04_scores.json value", or a notebook
    state: str            # one of STATES
    detail: str           # the two values


def require_reference(reference: Path, folder: Path) -> None:
    """Raise `SapgganError` unless `reference` is a finished run other than the one in `folder`."""
    if reference.resolve() == folder.resolve():
        raise SapgganError(f"--check: {reference} is this run itself; name the run otherwise with --run")
    record = reference / "record.json"     # a run writes it first, and its end at the end
    if not record.is_file() or "finished" not in json.loads(record.read_text(encoding="utf-8")):
        raise SapgganError(f"--check {reference}: no finished run there, as it has no whole record.json; name a run")


def check(folder: Path, reference: Path, jobs: Sequence[Job]) -> None:
    """Print how the results of `jobs` in `folder` compare with `reference`, a line each.

    Raises `SapgganError` when one differs or none is comparable.
    """
    lines = compare(folder, reference, jobs)
    print(f"compared with {reference}:")
    for line in lines:
        print(f"{line.state:17} {line.what:32} {line.detail}".rstrip())
    differing = [line for line in lines if line.state == "differs"]
    if differing:
        raise SapgganError(f"{len(differing)} of {len(lines)} comparisons with {reference} differ, first "
                           f"{differing[0].what}; sapggan_lib/runs/comparison.py states the tolerances")
    if all(line.state == "not comparable" for line in lines):
        raise SapgganError(f"nothing is comparable with {reference}; run with its profile and data")


def compare(folder: Path, reference: Path, jobs: Sequence[Job]) -> list[Comparison]:
    """The comparisons of every notebook of `jobs`: names of figures and results, then each result of both.

    A notebook whose parameters or data differ is one line, "not comparable", and so is what needs it.
    """
    lines: list[Comparison] = []
    apart: set[str] = set()
    for job in jobs:
        reason = next((f"it needs {needed}" for needed in job.needs if needed in apart), "")
        if not reason and not record_path(reference, job.name).exists():
            reason = "the reference does not have it"
        if not reason:
            ours, theirs = (json.loads(record_path(run, job.name).read_text("utf-8")) for run in (folder, reference))
            reason = _other_experiment(ours, theirs)
        if reason:
            apart.add(job.name)
            lines.append(Comparison(job.name, "not comparable", reason))
            continue
        names, other = ([*record["figures"], *record["results"]] for record in (ours, theirs))
        only = [f"{name} only here" for name in names if name not in other]
        only += [f"{name} only in the reference" for name in other if name not in names]
        detail = ", ".join(only) or "names of figures and results"
        lines.append(Comparison(job.name, "differs" if only else "same", detail))
        for name in sorted(set(ours["results"]) & set(theirs["results"])):
            lines += compare_files(folder / "results" / name, reference / "results" / name)
    return lines


def _other_experiment(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> str:
    """Which parameter or data of two records of a notebook differ; "" where the results must agree."""
    for name in sorted((ours["parameters"].keys() | theirs["parameters"].keys()) - {"publishable"}):
        here, there = (record["parameters"].get(name, "unset") for record in (ours, theirs))
        if here != there:
            return f"{name}: {here or 'none'} here, {there or 'none'} in the reference"
    if ours["data"].get("source") == "own files" and ours["data"]["store"] != theirs["data"].get("store"):
        return "the input files differ"
    return ""


def compare_files(ours: Path, theirs: Path) -> list[Comparison]:
    """One comparison of all columns (or last keys) that are the same in two results, then one of the worst value in
    each other column."""
    missing = [path for path in (ours, theirs) if not path.is_file()]
    if missing:
        return [Comparison(ours.name, "differs", f"{missing[0]} is missing")]
    here, there = (dict(_values(read_result(path))) for path in (ours, theirs))
    rules = [(name, how) for file, columns, how in RULES if fnmatch(ours.name, file) for name in columns]
    worst: dict[str, tuple[int, float, str]] = {}
    for place in dict.fromkeys([*here, *there]):
        column = next((key for key in reversed(place) if isinstance(key, str)), "")
        how = next(how for name, how in rules if fnmatch(column, name))
        if how == SKIP:
            continue
        state, distance = _judge(here, there, place, how)
        where = " ".join(key if isinstance(key, str) else f"row {key}" for key in place)
        detail = f"{where}: {_text(here, place)} here, {_text(there, place)} in the reference"
        worst[column] = max(worst.get(column, (SAME, -1.0, "")), (state, distance, detail))
    same = [column for column, (state, *_) in worst.items() if state == SAME]
    lines = [Comparison(ours.name, "same", ", ".join(same))] if same else []
    return lines + [Comparison(f"{ours.name} {column}".rstrip(), STATES[state], detail)
                    for column, (state, _, detail) in worst.items() if state != SAME]


def _judge(ours: Values, theirs: Values, place: Place, how: str) -> tuple[int, float]:
    """The index in STATES and the relative distance of the values at a place of two results."""
    if place not in ours or place not in theirs:
        return DIFFERS, math.inf
    here, there = ours[place], theirs[place]
    if here == there:
        return SAME, 0.0
    if {type(here), type(there)} not in ({float}, {float, int}):
        return DIFFERS, math.inf
    distance = abs(here - there) / max(abs(here), abs(there))
    ends = [values.get((*place[:-1], end)) for end in ("low", "high") for values in (ours, theirs)]
    known = [end for end in ends if isinstance(end, (int, float))]
    overlap = how in (SCORE, SEEDS) and len(known) == 4 and max(known[:2]) <= min(known[2:])
    near = how != EXACT and math.isclose(here, there, rel_tol=TOLERANCE, abs_tol=AROUND_ZERO)
    near = near and not (how == SEEDS and len(known) == 4)
    return (SAME if distance <= ROUNDING else WITHIN if overlap or near else DIFFERS), distance


def read_result(path: Path) -> Any:
    """A result's content: of a CSV a mapping for each row, nothing of text."""
    if path.suffix == ".json":
        return json.loads(path.read_text(encoding="utf-8"))
    if path.suffix != ".csv":
        return {}
    import pandas as pd

    # nullable types: a blank cell must not make whole numbers of a column fractions
    table = pd.read_csv(path, dtype_backend="numpy_nullable", keep_default_na=False, na_values=[""])
    return json.loads(table.to_json(orient="records", double_precision=15))


def _values(content: Any, place: Place = ()) -> Iterator[tuple[Place, Any]]:
    """Every plain value, with the keys and the numbers of rows that lead to it."""
    if not isinstance(content, (dict, list)):
        yield place, content
        return
    for key, value in content.items() if isinstance(content, dict) else enumerate(content, start=1):
        yield from _values(value, (*place, key))


def _text(values: Values, place: Place) -> str:
    value = values.get(place, "missing")
    return f"{value:.6g}" if isinstance(value, float) else str(value)
