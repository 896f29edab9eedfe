"""What is committed of two runs and of the weights: whole, publishable, small."""

import json
import re

import numpy as np
import pytest
import torch

from sapggan_lib.base.config import from_mapping
from sapggan_lib.models import ModelConfig, generate, load_generator
from sapggan_lib.notebook.workspace import ROOT, RUNS, SHIPPED
from sapggan_lib.runs.jobs import available
from sapggan_lib.training import load_discriminator
from sapggan_lib.training.start import read_start

COMMITTED = {"reference": "synthetic radiographs", "radiographs": "own files"}


@pytest.fixture(scope="module", params=COMMITTED)
def run(request):
    return RUNS / request.param


@pytest.fixture(scope="module")
def record(run):
    return json.loads((run / "record.json").read_text(encoding="utf-8"))


def test_a_committed_run_has_every_notebook_with_its_figures_and_results(run, record):
    assert set(record["notebooks"]) == {path.stem for path in available()}
    for name, entry in record["notebooks"].items():
        assert (run / f"{name}.html").is_file() and (run / f"{name}.ipynb").is_file()
        for figure in entry["figures"]:
            assert (run / "figures" / figure).is_file(), figure
        for result in entry["results"]:
            assert (run / "results" / result).is_file(), result


def test_a_committed_run_is_from_a_clean_tree_and_publishable(run, record):
    assert record["publishable"] and not record["git"]["dirty"]
    for entry in record["notebooks"].values():
        assert entry["parameters"].get("publishable", True) and not entry["git"]["dirty"]
        assert entry["data"].get("source", COMMITTED[run.name]) == COMMITTED[run.name]


def test_what_is_committed_is_small_and_names_no_folder_of_the_machine_that_made_it():
    committed = [path for name in COMMITTED for path in (RUNS / name).rglob("*") if path.is_file() and
                 path.relative_to(RUNS / name).parts[0] not in ("work", "logs", ".lock")]  # fmt: skip
    assert sum(path.stat().st_size for path in committed) < 48e6  # of two runs of ten notebooks
    for path in committed:
        if path.suffix in (".json", ".ipynb", ".csv", ".md", ".tex"):
            assert not re.search(r"[\"' ]/(home|root|tmp|work|Users)/", path.read_text(encoding="utf-8")), path


def test_the_pictures_and_pages_that_the_readme_shows_exist():
    for readme in ("README.md", "README.ko.md"):
        text = (ROOT / readme).read_text(encoding="utf-8")
        for target in re.findall(r"\]\(([^)#:]+)\)", text):
            assert (ROOT / target).exists(), f"{readme}: {target}"


def test_the_shipped_generator_makes_chests():
    images = generate(load_generator(SHIPPED), 16)
    assert images.shape == (16, 64, 64) and SHIPPED.stat().st_size < 16e6
    mean = images.mean(0)
    lungs, spine = np.r_[mean[24:36, 14:24].ravel(), mean[24:36, 42:50].ravel()].mean(), mean[24:36, 30:35].mean()
    assert spine > lungs + 30
    assert images.astype(float).std(0).mean() > 5, "the samples are all alike"


def test_a_training_can_go_on_from_what_ships():
    start = read_start(SHIPPED, from_mapping(ModelConfig, load_generator(SHIPPED).config, SHIPPED.name))
    assert str(start).endswith("generator and discriminator")
    network = load_discriminator(SHIPPED)
    assert network.state_dict().keys() == start.weights["discriminator"].keys()
    chests = torch.from_numpy(generate(load_generator(SHIPPED), 16))[:, None] / 127.5 - 1  # [16, 1, 64, 64]
    logits = network(network.real_views(chests))
    assert torch.isfinite(logits).all() and logits.std() > 0.1
