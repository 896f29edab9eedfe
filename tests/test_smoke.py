"""The whole way, as a newcomer goes it: all notebooks, from synthetic DICOM to the report."""

import json

import numpy as np
import pytest

from sapggan_lib.base.files import ROOT
from sapggan_lib.runs import runner as runs
from sapggan_lib.runs.jobs import plan
from sapggan_lib.runs.runner import run

QUICKER = {
    "n_phantom": 120, "03.seeds": 1, "03.losses": ["hinge", "ra-hinge"], "03.attentions": ["se", "none"],
    "04.epochs": [1, 2], "07.ratios": [1.0], "samples": 32,
}  # fmt: skip


@pytest.fixture(scope="module")
def finished_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "smoke"
    run(plan([], "smoke", QUICKER), folder, "smoke", parallel=2)
    return folder


def test_every_notebook_leaves_its_page_figures_and_record(finished_run):
    record = json.loads((finished_run / "record.json").read_text())
    assert set(record["notebooks"]) == {job.name for job in plan([], "smoke")}
    for name, entry in record["notebooks"].items():
        assert (finished_run / f"{name}.html").stat().st_size > 10_000
        assert entry["figures"]
        for figure in entry["figures"]:
            assert (finished_run / "figures" / figure).exists()
            assert (finished_run / "figures" / figure).with_suffix(".pdf").exists()
    assert record["notebooks"]["04_model_comparison"]["data"]["images"] > 50


def test_a_rerun_with_nothing_changed_runs_nothing(finished_run, monkeypatch):
    monkeypatch.setattr(runs, "_executor", lambda *_: pytest.fail("a notebook ran"))
    before = {path: path.stat().st_mtime_ns for path in finished_run.glob("[0-9]*")}
    jobs = plan([], "smoke", QUICKER)
    run(jobs, finished_run, "smoke")
    assert json.loads((finished_run / "record.json").read_text())["outcomes"] == {job.name: "unchanged" for job in jobs}
    assert before == {path: path.stat().st_mtime_ns for path in finished_run.glob("[0-9]*")}
    assert len(before) == 2 * len(jobs)


def test_the_scores_are_measured_and_carry_interval_and_floor(finished_run):
    scores = json.loads((finished_run / "results" / "04_scores.json").read_text())
    assert len(scores) >= 4
    for score in scores:
        assert score["metric"] == "FD" and score["n"] == 32
        assert score["low"] < score["value"] < score["high"]
        assert 0 < score["floor"] < score["value"]
    table = (finished_run / "results" / "05_table_1.md").read_text()
    assert f"{scores[0]['value']:.4g}" in table


def test_no_path_of_this_machine_is_in_what_a_run_publishes(finished_run):
    pages = [*finished_run.glob("*.html"), *finished_run.glob("*.ipynb"), *(finished_run / "results").iterdir()]
    for path in [*pages, finished_run / "record.json"]:
        assert str(finished_run.parent) not in path.read_text() and str(ROOT) not in path.read_text(), path


def test_figures_hold_ink(finished_run):
    import cv2

    for path in (finished_run / "figures").glob("*.png"):
        image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        assert np.ptp(image) > 200, path
