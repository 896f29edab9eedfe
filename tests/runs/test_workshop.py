import re

import nbformat
import pytest
import yaml
from papermill import execute_notebook

from sapggan_lib import cli
from sapggan_lib.base.errors import SapgganError
from sapggan_lib.base.files import ROOT
from sapggan_lib.runs.jobs import available
from sapggan_lib.runs.workshop import copy_for, write_workshop
from tests.small_notebooks import make_project, start_code, write_notebook


def tags(cell):
    return cell["metadata"].get("tags", [])


def test_every_copy_is_valid_and_only_the_instructors_have_the_solutions(tmp_path):
    assert write_workshop(tmp_path / "class") == len(available())
    for source in available():
        folders = (source.parent, tmp_path / "class" / "student", tmp_path / "class" / "instructor")
        original, *copies = (nbformat.read(folder / source.name, as_version=4) for folder in folders)
        solutions = [cell for cell in original.cells if "solution" in tags(cell)]
        for content in copies:
            nbformat.validate(content)
            assert len({cell.id for cell in content.cells}) == len(content.cells) == len(original.cells) + 1
        student, instructor = copies
        answers = [cell for cell in student.cells if "answer" in tags(cell)]
        assert len(answers) == len(solutions) > 0 and not any("solution" in tags(cell) for cell in student.cells)
        assert not any(cell.source in other.source for cell in solutions for other in student.cells)
        marked = [cell.source for cell in instructor.cells if "solution" in tags(cell)]
        assert all("for the instructor" in text and cell.source in text
                   for text, cell in zip(marked, solutions, strict=True))  # fmt: skip
    assert "180 minutes" in (tmp_path / "class" / "instructor" / "workshop.md").read_text(encoding="utf-8")
    assert not list((tmp_path / "class" / "student").glob("*.md"))
    report = tmp_path / "class" / "student" / "report"
    links = re.findall(r'(?:href|src)="([^"#:]+)"', (report / "index.html").read_text(encoding="utf-8"))
    assert len(links) > 30 and all((report / link).is_file() for link in links)
    assert not list(report.rglob("*.ipynb")) and (report.parent / "generator.html").is_file()


def test_the_light_ways_install_the_locks_versions_and_no_cuda():
    text = (ROOT / "requirements-cpu.txt").read_text(encoding="utf-8")
    options = [line for line in text.splitlines() if not line.startswith("#")]
    assert options == ["--constraint requirements.lock", "--editable ."]
    binder = yaml.safe_load((ROOT / "binder" / "environment.yml").read_text(encoding="utf-8"))["dependencies"]
    assert "pytorch-cpu>=2.9" in binder and binder[-1] == {"pip": ["--editable .."]}
    colab = nbformat.read(ROOT / "binder" / "colab.ipynb", as_version=4)
    nbformat.validate(colab)
    assert any("sapggan run --profile workshop" in cell.source for cell in colab.cells)
    assert not any(cell.get("outputs") for cell in colab.cells)


def test_a_folder_that_holds_anything_is_left_as_it_is(tmp_path, capsys):
    (tmp_path / "homework.ipynb").write_text("mine")
    with pytest.raises(SapgganError, match="not an empty folder"):
        write_workshop(tmp_path)
    assert cli.main(["workshop", str(tmp_path)]) == 1 and capsys.readouterr().err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["homework.ipynb"]


def test_answers_and_marks_keep_the_kind_of_the_cell():
    def cell(kind, *tags):
        return {"cell_type": kind, "id": f"{kind}{tags}", "metadata": {"tags": list(tags)}, "source": ["a\n", "b"]}

    notebook = {"cells": [cell("code", "solution"), cell("markdown", "solution"), cell("code", "parameters")]}
    student, instructor = (copy_for(audience, notebook, {"n": [1]})["cells"] for audience in ("student", "instructor"))
    assert [c["source"] for c in student[:2]] == ["# Your answer\n", "*Your answer:*"]
    assert [c["source"] for c in instructor[:2]] == [
        "# SOLUTION, for the instructor\na\nb", "**Solution, for the instructor.** a\nb"
    ]  # fmt: skip
    assert student[3]["source"] == "# For this workshop\nn = [1]" and len(student) == 4


def test_a_students_copy_runs_from_its_own_folder_with_the_workshops_values(tmp_path, monkeypatch):
    notebooks = make_project(tmp_path, monkeypatch)
    profile = "all: {seed: 3}\nnotebooks: {01_first: {epochs: [2]}}\n"
    (tmp_path / "papermill_runs" / "profiles" / "workshop.yml").write_text(profile)
    here = f"workspace.ROOT = Path({str(tmp_path)!r})"
    start = start_code(notebooks, "01_first").replace("\nnb = ", f"\n{here}\nnb = ")
    path = write_notebook(notebooks / "01_first.ipynb", [start, "raise SystemError", "nb.finish()"])
    content = nbformat.read(path, as_version=4)
    content.cells[-2].metadata["tags"] = ["solution"]
    nbformat.write(content, path)
    write_workshop(tmp_path / "class")
    copied = tmp_path / "class" / "student" / "01_first.ipynb"
    execute_notebook(copied, copied, cwd=str(copied.parent), kernel_name="python3", progress_bar=False)
    record = nbformat.read(copied, as_version=4).cells[-1].outputs[0].data["text/plain"]
    assert "'seed': 3" in record and "'epochs': [2]" in record
    assert (tmp_path / "papermill_runs" / "workshop" / "records" / "01_first.json").exists()
