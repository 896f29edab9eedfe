import json
import random

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from papermill import PapermillExecutionError, execute_notebook

from sapggan_lib.base.errors import SapgganError
from sapggan_lib.notebook import record_path
from sapggan_lib.notebook import workspace as notebook
from tests.small_notebooks import make_project, write_notebook

PARAMETERS = (
    'run_dir: str = ""\ndata: str = ""\ntable: str = ""\npublishable: bool = False\n'
    "seed: int = 0\nsize: int = 16\nn_phantom: int = 10"
)


@pytest.fixture
def begin(tmp_path, monkeypatch):
    """Start notebook 01 or 04 in a run folder of the test."""
    folder = make_project(tmp_path, monkeypatch)
    for name in ("01_preprocessing", "04_model_comparison"):
        write_notebook(folder / f"{name}.ipynb", [], PARAMETERS)

    def start(name="01_preprocessing", **values):
        defaults = {"run_dir": str(tmp_path / "run"), "data": "", "table": "", "publishable": False}
        return notebook.start(name, defaults | {"seed": 0, "size": 16, "n_phantom": 10} | values)

    return start


def test_starting_seeds_every_generator(begin):
    def draw():
        begin(seed=7)
        return random.random(), np.random.rand(), float(torch.rand(()))  # noqa: NPY002

    assert draw() == draw()


def test_papermill_alone_refuses_an_unknown_parameter_with_the_near_match(tmp_path):
    with pytest.raises(PapermillExecutionError, match='unknown key "epoch"; did you mean "epochs"'):
        execute_notebook(
            notebook.NOTEBOOKS / "04_model_comparison.ipynb", tmp_path / "out.ipynb", {"epoch": 3, "seed": 1},
            progress_bar=False, cwd=tmp_path,
        )


def test_starting_refuses_a_parameter_changed_to_another_type(begin):
    with pytest.raises(SapgganError, match='01_preprocessing: "size" must be int, not str'):
        begin(size="16")


def test_figures_tables_and_results_are_saved_under_the_notebooks_number_and_listed_once(begin):
    nb = begin()
    figure, _ = plt.subplots(figsize=(1, 1))
    for _ in range(2):
        nb.figure(figure, "empty", alt="An empty plot.")
        nb.table(pd.DataFrame({"a": [1]}), "one")
        nb.result({"fd": 1.5}, "score")
    record = nb.finish()
    assert record["alt"] == {"01_empty.png": "An empty plot."}
    assert record["figures"] == ["01_empty.png"] and record["results"] == ["01_one.csv", "01_score.json"]
    assert json.loads((nb.folder / "results" / "01_score.json").read_text()) == {"fd": 1.5}
    assert json.loads(record_path(nb.folder, nb.name).read_text()) == record


def test_findings_are_a_list_to_read_and_a_result_to_keep(begin):
    nb = begin()
    assert nb.findings(["One leads.", "Two tie."]).data == "- One leads.\n- Two tie."
    assert json.loads((nb.folder / "results" / "01_findings.json").read_text()) == ["One leads.", "Two tie."]
    assert nb.finish()["results"] == ["01_findings.json"]


def test_the_record_has_what_a_rerun_needs(begin):
    record = begin(seed=5).finish()
    assert record["parameters"]["seed"] == 5 and "run_dir" not in record["parameters"]
    assert len(record["git"]["commit"]) in (0, 40) and record["versions"]["torch"] == torch.__version__.split("+")[0]


def test_notebooks_of_a_run_share_a_store_with_the_settings_of_the_first(begin, tmp_path, monkeypatch):
    first = begin()
    first.parameters["clip_limit"] = 4.0
    made = first.radiographs()
    assert made.config["clip_limit"] == 4.0 and first.data["images"] == len(made) > 0
    second = begin("04_model_comparison")
    assert second.radiographs().path == made.path
    other_size = begin("04_model_comparison", size=8)
    assert other_size.radiographs().resolution == 8


def test_a_publishable_run_on_own_files_shows_phantoms(begin, tmp_path):
    import cv2

    (tmp_path / "own").mkdir()
    for index in range(4):
        cv2.imwrite(str(tmp_path / "own" / f"{index}.png"), np.full((16, 16), 60 + index, np.uint8))
    (tmp_path / "own" / "views.csv").write_text("filename,view\n" + "".join(f"{i}.png,PA\n" for i in range(4)))
    nb = begin(data=str(tmp_path / "own"), publishable=True)
    store = nb.radiographs()
    shown = nb.shown_radiographs(store)
    assert shown.path != store.path and len(store) == 4
    assert nb.example_file(store).parent != tmp_path / "own"
    (tmp_path / "own" / "3.png").unlink()  # files that change make another store, not an error
    assert len(nb.radiographs()) == 3
    nb.parameters["publishable"] = False
    assert nb.shown_radiographs(store) is store
    assert nb.example_file(store).parent == tmp_path / "own"


def test_an_array_file_has_no_example_of_its_own_so_a_phantom_is_shown(begin, tmp_path):
    (tmp_path / "own").mkdir()
    np.savez(tmp_path / "own" / "chestmnist_64.npz", train_images=np.full((4, 16, 16), 90, np.uint8))
    nb = begin(data=str(tmp_path / "own"))
    nb.parameters["unknown_view"] = "keep"
    store = nb.radiographs()
    assert len(store) == 4 and nb.example_file(store).suffix == ".dcm"


@pytest.mark.parametrize(("size", "side"), [(32, 64), (64, 64), (127, 64), (128, 128), (512, 256)])
def test_the_shipped_generator_for_a_size_is_the_largest_not_above_it(size, side, tmp_path):
    for name in ("64", "128", "128.discriminator", "256"):
        (tmp_path / f"sapggan_{name}.safetensors").touch()
    assert notebook.shipped(size, tmp_path).name == f"sapggan_{side}.safetensors"


def test_a_run_that_trained_none_shows_the_shipped_generator_for_its_size(begin):
    nb = begin("04_model_comparison")
    assert nb.generator() == notebook.SHIPPED
    nb.result({"fd": 1.0}, "scores")
    assert nb.generator() == nb.work / "models" / "sapggan"


def test_the_catalogue_lists_what_the_folder_holds_in_the_notebooks_own_words(tmp_path):
    write_notebook(tmp_path / "01_a.ipynb", [])
    told = "# Walks\n\n**Time**: half a second. **Prerequisites**: none."
    cell = {"cell_type": "markdown", "metadata": {}, "source": [told]}
    (tmp_path / "07_b.ipynb").write_text(json.dumps({"cells": [cell]}))
    (tmp_path / "notes.ipynb").write_text("{}")
    rows = notebook.catalogue(tmp_path).splitlines()
    assert rows[2:] == ["| `01_a` | Title of 01_a |  |", "| `07_b` | Walks | half a second |"]
