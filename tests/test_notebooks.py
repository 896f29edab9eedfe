"""What every notebook must be: clean, parameterised, readable within its budget, and working from end to end."""

import ast
import json
import re
import statistics

import pytest

from sapggan_lib.notebook import NOTEBOOKS, parameter_names

PATHS = sorted(NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))


def cells_of(path, kind=None):
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [cell | {"text": "".join(cell["source"])} for cell in cells if kind in (None, cell["cell_type"])]


def tags(cell):
    return cell["metadata"].get("tags", [])


@pytest.fixture(params=PATHS, ids=lambda path: path.stem)
def path(request):
    return request.param


def test_sources_hold_no_outputs(path):
    for cell in cells_of(path, "code"):
        assert cell["outputs"] == [] and cell["execution_count"] is None


def test_parameters_are_one_typed_cell_that_knows_the_run_folder_and_the_seed(path):
    assert {"run_dir", "seed"} <= parameter_names(path)


def test_the_first_cell_says_what_for_whom_and_how_long(path):
    first = cells_of(path)[0]["text"]
    assert first.startswith("# ")
    for phrase in ("**What you will learn**", "**Time**", "**Prerequisites**"):
        assert phrase in first


def test_it_ends_with_summary_exercises_solutions_and_the_record(path):
    headings = [line for cell in cells_of(path, "markdown") for line in cell["text"].splitlines() if line[:2] == "##"]
    assert "## Summary" in headings and "## Exercises" in headings
    exercises = next(cell["text"] for cell in cells_of(path, "markdown") if "## Exercises" in cell["text"])
    assert 2 <= len(re.findall(r"^\d\. ", exercises.split("## Exercises")[1], re.MULTILINE)) <= 4
    assert any("solution" in tags(cell) for cell in cells_of(path))
    assert cells_of(path, "code")[-1]["text"] == "nb.finish()"


def test_budget_of_cells_lines_and_definitions(path):
    cells, code = cells_of(path), cells_of(path, "code")
    lines = sorted(len(cell["text"].splitlines()) for cell in code)
    assert len(cells) <= 45 and sum(lines) <= 200
    assert statistics.median(lines) <= 8 and lines[int(0.9 * (len(lines) - 1))] <= 25
    definitions = [node for cell in code for node in ast.walk(ast.parse(cell["text"]))
                   if isinstance(node, (ast.FunctionDef, ast.ClassDef))]
    assert len(definitions) <= 3
    words = sum(len(cell["text"].split()) for cell in cells_of(path, "markdown"))
    assert words >= 4 * sum(lines)


def test_prose_comes_before_code_and_after_every_figure(path):
    cells = cells_of(path)
    for cell, following in zip(cells, [*cells[1:], None], strict=True):
        if "nb.figure(" in cell["text"] and "solution" not in tags(cell):
            assert following and following["cell_type"] == "markdown", f"say what this figure shows: {cell['text']}"
    kinds = "".join(cell["cell_type"][0] for cell in cells if "solution" not in tags(cell))
    assert "ccc" not in kinds.replace("mcc", "m", 1), "three code cells in a row without prose"


def test_every_figure_says_in_words_what_it_shows(path):
    for cell in cells_of(path, "code"):
        for call in ast.walk(ast.parse(cell["text"])):
            if isinstance(call, ast.Call) and ast.unparse(call.func) == "nb.figure":
                alt = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}.get("alt", "")
                assert len(alt.split()) >= 4, f"alternative text is missing: {ast.unparse(call)}"


def test_headings_come_every_few_cells(path):
    since = 0
    for cell in cells_of(path):
        since = 0 if cell["cell_type"] == "markdown" and re.search(r"^#+ ", cell["text"], re.MULTILINE) else since + 1
        assert since <= 4, f"no heading for {since} cells: {cell['text'][:60]}"
