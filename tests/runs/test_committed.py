"""What is committed of three runs and of the weights: whole, publishable, small."""

import json
import re

import numpy as np
import pytest
import torch

from sapggan_lib.base.config import from_mapping
from sapggan_lib.base.files import sha256_file
from sapggan_lib.models import ModelConfig, generate, load_generator
from sapggan_lib.notebook.workspace import ROOT, RUNS, SHIPPED
from sapggan_lib.page.card import card_of
from sapggan_lib.runs.jobs import available
from sapggan_lib.training import load_discriminator
from sapggan_lib.training.start import read_start

WEIGHTS = sorted(path for path in (ROOT / "weights").glob("*.safetensors") if "." not in path.stem)  # generators
ALL = {path.stem for path in available()}
COMMITTED = {  # what a run was made of, and its notebooks
    "reference": ("synthetic radiographs", ALL),
    "radiographs": ("own files", ALL),
    "comparison_64": ("own files", {"04_model_comparison", "05_fid_tables"}),
}


@pytest.fixture(scope="module", params=COMMITTED)
def run(request):
    return RUNS / request.param


@pytest.fixture(scope="module")
def record(run):
    return json.loads((run / "record.json").read_text(encoding="utf-8"))


def test_a_committed_run_has_its_notebooks_with_their_figures_and_results(run, record):
    assert set(record["notebooks"]) == COMMITTED[run.name][1]
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
        assert entry["data"].get("source", COMMITTED[run.name][0]) == COMMITTED[run.name][0]


def test_what_is_committed_is_small_and_names_no_folder_of_the_machine_that_made_it():
    committed = [path for name in COMMITTED for path in (RUNS / name).rglob("*") if path.is_file() and
                 path.relative_to(RUNS / name).parts[0] not in ("work", "logs", ".lock")]  # fmt: skip
    assert sum(path.stat().st_size for path in committed) < 48e6  # of 22 notebooks
    for path in committed:
        if path.suffix in (".json", ".ipynb", ".csv", ".md", ".tex"):
            assert not re.search(r"[\"' ]/(home|root|tmp|work|Users)/", path.read_text(encoding="utf-8")), path


def test_the_pictures_and_pages_that_the_readme_shows_exist():
    for readme in ("README.md", "README.ko.md"):
        text = (ROOT / readme).read_text(encoding="utf-8")
        for target in re.findall(r"\]\(([^)#:]+)\)", text):
            assert (ROOT / target).exists(), f"{readme}: {target}"


@pytest.mark.parametrize("weights", WEIGHTS, ids=lambda path: path.stem)
def test_the_shipped_generators_make_chests(weights):
    images = generate(load_generator(weights), 16)
    assert weights.stat().st_size < 16e6 and SHIPPED in WEIGHTS
    side = int(weights.stem.rpartition("_")[2])
    mean = images.mean(0).reshape(64, side // 64, 64, side // 64).mean((1, 3))
    lungs, spine = np.r_[mean[24:36, 14:24].ravel(), mean[24:36, 42:50].ravel()].mean(), mean[24:36, 30:35].mean()
    assert spine > lungs + 30
    assert images.astype(float).std(0).mean() > 25, "the samples are all alike"


@pytest.mark.parametrize("weights", WEIGHTS, ids=lambda path: path.stem)
def test_shipped_weights_have_a_card_and_scores_of_their_own(weights):
    scores = json.loads(weights.with_suffix(".scores.json").read_text(encoding="utf-8"))
    assert scores["weights_sha256"] == sha256_file(weights), "other weights: score them, `python -m benchmarks.card`"
    card = card_of(weights)
    for part in ("license: apache-2.0", weights.name, "NIH Clinical Center", "RSNA", "| memorisation |", "| limits |"):
        assert part in card


@pytest.mark.parametrize("weights", WEIGHTS, ids=lambda path: path.stem)
def test_a_training_can_go_on_from_what_ships(weights):
    start = read_start(weights, from_mapping(ModelConfig, load_generator(weights).config, weights.name))
    assert str(start).endswith("generator and discriminator")
    network = load_discriminator(weights)
    assert network.state_dict().keys() == start.weights["discriminator"].keys()
    chests = torch.from_numpy(generate(load_generator(weights), 16))[:, None] / 127.5 - 1  # [16, 1, H, H]
    logits = network(network.real_views(chests))
    assert torch.isfinite(logits).all() and logits.std() > 0.1


@pytest.mark.parametrize("weights", WEIGHTS, ids=lambda path: path.stem)
def test_weights_do_not_ship_on_an_alarm_nor_without_an_audit_of_their_own(weights):
    facts = json.loads(weights.with_suffix(".audit.json").read_text("utf-8"))
    assert facts["sha256"] == sha256_file(weights), "other weights: audit them, `sapggan audit --json`"
    assert facts["verdict"] != "alarm"
