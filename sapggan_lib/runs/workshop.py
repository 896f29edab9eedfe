"""Copies of the notebooks for a class: students' without solutions, the instructor's with them marked."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sapggan_lib.base.errors import SapgganError
from sapggan_lib.base.files import ROOT, write_json, write_text
from sapggan_lib.notebook import SHIPPED, resolve_parameters
from sapggan_lib.runs.jobs import available, load_profile
from sapggan_lib.runs.report import PAGE

REPORT = ROOT / "papermill_runs" / "reference"
NOT_SHOWN = ("*.ipynb", "*.pdf", "work", "logs", ".*")  # what the report's pages don't link to
GUIDE = ROOT / "docs" / "workshop.md"
ROOM = {"code": "# Your answer\n", "markdown": "*Your answer:*"}  # for the student, by the kind of the cell
MARK = {"code": "# SOLUTION, for the instructor\n", "markdown": "**Solution, for the instructor.** "}


def write_workshop(out: Path, profile: str = "workshop") -> int:
    """Write `out`/student, `out`/instructor and the instructor's notes; returns the number of notebooks.

    Each has what opens without an installation: the shipped generator as a page, for the first ten minutes, and the
    committed run's report.

    The copies carry the profile's parameters and use the run folder of `sapggan run --profile`, so that what was run
    beforehand is found finished. Raises `SapgganError` when `out` holds anything.
    """
    from sapggan_lib.page import write_page  # with torch, which no process of a notebook needs

    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise SapgganError(f"{out}: not an empty folder; choose another, so that no student's work is overwritten")
    parameters = load_profile(profile)
    for source in available():
        notebook = json.loads(source.read_text(encoding="utf-8"))
        defaults = resolve_parameters(source, {}, source.name)
        values = parameters[source.stem] | {"run_dir": f"papermill_runs/{profile}"}
        changed = {name: value for name, value in values.items() if value != defaults[name]}
        for audience in ("student", "instructor"):
            write_json(out / audience / source.name, copy_for(audience, notebook, changed))
    for audience in ("student", "instructor"):
        write_page(SHIPPED, out / audience / PAGE)
        shutil.copytree(REPORT, out / audience / "report", ignore=shutil.ignore_patterns(*NOT_SHOWN))
    write_text(out / "instructor" / GUIDE.name, GUIDE.read_text(encoding="utf-8"))
    return len(available())


def copy_for(audience: str, notebook: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """The notebook with `values` set after its `parameters` cell, and its solutions marked or replaced by room.

    `audience` is "student" or "instructor".
    """
    cells = []
    for cell in notebook["cells"]:
        tags, kind = cell["metadata"].get("tags", []), cell["cell_type"]
        if "solution" in tags and audience == "student":
            cell = {**cell, "source": ROOM[kind], "metadata": {"tags": ["answer"]}}
        elif "solution" in tags:
            cell = {**cell, "source": MARK[kind] + "".join(cell["source"])}
        cells.append(cell)
        if "parameters" in tags:
            lines = ["# For this workshop", *(f"{name} = {value!r}" for name, value in values.items())]
            cells.append({**cell, "id": "workshop-values", "metadata": {"tags": ["injected-parameters"]},
                          "source": "\n".join(lines)})
    return {**notebook, "cells": cells}
