"""Notebooks small enough to run in a test, and the project folders around them."""

import subprocess
import sys
import time
from pathlib import Path

import nbformat

from sapggan_lib.base.files import ROOT
from sapggan_lib.notebook import workspace
from sapggan_lib.runs import jobs

PARAMETERS = 'run_dir: str = ""\nseed: int = 0\nepochs: list[int] = [10, 50]\nkimg: float = 1.0'


def write_notebook(path: Path, cells: list[str], parameters: str = PARAMETERS, needs: tuple[str, ...] = ()) -> Path:
    """A notebook with a title, a `parameters` cell and the given code cells."""
    content = nbformat.v4.new_notebook(metadata={"sapggan": {"needs": list(needs)}})
    content.cells = [nbformat.v4.new_markdown_cell(f"# Title of {path.stem}")]
    content.cells += [nbformat.v4.new_code_cell(parameters, metadata={"tags": ["parameters"]})]
    content.cells += [nbformat.v4.new_code_cell(source) for source in cells]
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(content, path)
    return path


def start_code(folder: Path, name: str) -> str:
    """The first cell of a test notebook: begin, with `folder` in place of the project's notebooks."""
    return (
        "from pathlib import Path\nfrom sapggan_lib.notebook import workspace\n"
        f"workspace.NOTEBOOKS = Path({str(folder)!r})\nnb = workspace.start({name!r}, globals())"
    )


def make_project(root: Path, monkeypatch, profile: str = "all: {seed: 3}\n") -> Path:
    """Point the library at `root`/notebooks and `root`/papermill_runs; returns the notebooks folder."""
    monkeypatch.setattr(jobs, "NOTEBOOKS", root / "notebooks")
    monkeypatch.setattr(workspace, "NOTEBOOKS", root / "notebooks")
    monkeypatch.setattr(jobs, "RUNS", root / "papermill_runs")
    (root / "papermill_runs" / "profiles").mkdir(parents=True)
    (root / "papermill_runs" / "profiles" / "smoke.yml").write_text(profile)
    return root / "notebooks"


COMMAND = """
import sys
import subprocess
import sys
import time
from pathlib import Path
from sapggan_lib import cli, notebook
from sapggan_lib.notebook import workspace
from sapggan_lib.runs import jobs
root = Path(sys.argv[1])
jobs.NOTEBOOKS = workspace.NOTEBOOKS = root / "notebooks"
jobs.RUNS = notebook.RUNS = root / "papermill_runs"
sys.exit(cli.main(sys.argv[2:]))
"""


def start_command(root: Path, *arguments: str) -> subprocess.Popen:
    """The `sapggan` command in its own process, on the project below `root`."""
    return subprocess.Popen([sys.executable, "-c", COMMAND, str(root), *arguments], cwd=ROOT,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def diary_code(root: Path, name: str, wait: bool = False) -> list[str]:
    """Cells that note in `root`/diary when the notebook begins and ends, and by which process's child's child.

    With `wait` it waits in between, until `root`/go exists.
    """
    return [
        start_code(root / "notebooks", name),
        f"import os, time, psutil\nroot = Path({str(root)!r})\ndef note(word):\n"
        f"    with (root / 'diary').open('a') as diary:\n"
        f"        diary.write(f'{name[:2]} {{word}} {{psutil.Process().parents()[1].pid}}\\n')\nnote('begins')",
        f"limit = time.monotonic() + {300 * wait}  # also when the test has failed meanwhile\n"
        "while time.monotonic() < limit and not (root / 'go').exists(): time.sleep(0.05)",
        "note('ends')\nnb.result({'seed': seed}, 'seed')\nnb.finish()",
    ]


def read_diary(root: Path, until: str = "") -> list[list[str]]:
    """`[number, word, process]` of each line; first waits for a line that starts with `until`."""
    limit = time.monotonic() + 300
    while True:
        lines = (root / "diary").read_text().splitlines() if (root / "diary").exists() else []
        if not until or any(line.startswith(until) for line in lines):
            return [line.split() for line in lines]
        assert time.monotonic() < limit, f'no "{until}" in {lines}'
        time.sleep(0.05)
