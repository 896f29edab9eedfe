"""Notebooks small enough to run in a test, and the project folders around them."""

from pathlib import Path

import nbformat

from sapggan_lib import notebook, plan

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
        "from pathlib import Path\nfrom sapggan_lib import notebook\n"
        f"notebook.NOTEBOOKS = Path({str(folder)!r})\nnb = notebook.start({name!r}, globals())"
    )


def make_project(root: Path, monkeypatch, profile: str = "all: {seed: 3}\n") -> Path:
    """Point the library at `root`/notebooks and `root`/papermill_runs; returns the notebooks folder."""
    monkeypatch.setattr(plan, "NOTEBOOKS", root / "notebooks")
    monkeypatch.setattr(notebook, "NOTEBOOKS", root / "notebooks")
    monkeypatch.setattr(plan, "RUNS", root / "papermill_runs")
    (root / "papermill_runs" / "profiles").mkdir(parents=True)
    (root / "papermill_runs" / "profiles" / "smoke.yml").write_text(profile)
    return root / "notebooks"
