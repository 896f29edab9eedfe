"""What a notebook gets as parameters is what went in, to the type and the last digit; its process starts quickly."""

import json
import pickle
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sapggan_lib.base.config import load_yaml
from sapggan_lib.cli import options
from sapggan_lib.notebook.parameters import resolve_parameters
from sapggan_lib.notebook.places import hide
from sapggan_lib.runs.execution import run_papermill
from sapggan_lib.runs.folder import RunFolder
from sapggan_lib.runs.jobs import Job
from tests.small_notebooks import write_notebook

PARAMETERS = (
    'run_dir: str = ""\nlr: float = 0.0\nseed: int = 0\nloss: str = ""\nwide: bool = False\n'
    "rates: list[float] = []\nseeds: list[int] = []\nlosses: list[str] = []"
)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
WORDS = st.text(max_size=30)


def injected(values):
    """The variables of a notebook after its parameters cell, with `values` on their way through a run's task."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "{run}"                        # braces mean something to papermill
        source = write_notebook(folder / "01_first.ipynb", [], PARAMETERS)
        job = Job("01_first", source, resolve_parameters(source, values, "test"), (), "key")
        run = RunFolder(folder, folder)
        run_papermill(*pickle.loads(pickle.dumps((job, run))), prepare_only=True)
        cells = json.loads(run.executing("01_first").read_text(encoding="utf-8"))["cells"]
    names = {}
    for cell in cells:
        if cell["cell_type"] == "code":
            exec("".join(cell["source"]), names)
    return {name: names[name] for name in values}


@given(st.fixed_dictionaries({
    "lr": NUMBERS, "seed": st.integers(), "loss": WORDS, "wide": st.booleans(),
    "rates": st.lists(NUMBERS, max_size=3), "seeds": st.lists(st.integers(), max_size=3),
    "losses": st.lists(WORDS, max_size=3),
}))  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_every_value_arrives_as_it_was(values):
    expected = hide(values)[0]
    found = injected(values)
    assert repr(found) == repr(expected)


@pytest.mark.parametrize("text", ["1e-4", "0.00001", "1e16", "-2E+3", "1.5e-7", ".5e1", "3.", "1e5"])
def test_numbers_are_numbers_however_they_are_written(text):
    assert options.parse_settings([f"lr={text}"]) == {"lr": float(text)}
    assert injected({"lr": float(text)}) == {"lr": float(text)}


@given(st.one_of(NUMBERS, st.integers(), st.booleans()))
def test_yaml_reads_what_python_and_json_write(value):
    assert repr(load_yaml(json.dumps(value))) == repr(load_yaml(repr(value))) == repr(value)


def test_a_notebooks_process_starts_without_what_only_its_kernel_needs():
    slow = {"torch", "sklearn", "pandas", "cv2", "rfc3987_syntax.syntax_helpers"}
    code = f"import sys, sapggan_lib.runs.execution, papermill\nprint({slow} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()", "seconds for each notebook of each run"
