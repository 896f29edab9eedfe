"""The GPU's commands at small size on the CPU: they go on where they stopped, and need and leave little."""

import importlib.metadata
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

from benchmarks import gpu, gpu_data, gpu_runs, train_speed
from sapggan_lib import privacy
from sapggan_lib.base.errors import SapgganError
from sapggan_lib.evaluation import Features
from sapggan_lib.store.store import open_store
from sapggan_lib.training import log as record
from tests.conftest import ROOT

BARE = ("torch", "numpy", "opencv-python", "pillow", "safetensors")  # what a machine with a GPU has
TINY = [
    "--resolution", "16", "--archive-size", "16", "--batch", "4", "--widest", "8", "--train-seconds", "0.4",
    "--points", "2", "--samples", "12", "--samples-along", "10", "--device", "cpu", "--held-out", "0.3",
]  # fmt: skip


class Pixels:
    name, metric_name = "pixels", "FD"


def extract(images, extractor, batch=8, progress=True):
    facts = {"extractor": "pixels", "metric": "FD", "weights": "0" * 64, "input_size": 4, "resize": ""}
    return Features(images[:, ::4, ::4].reshape(len(images), -1).astype(np.float32), facts)


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    """An archive of 40 smooth images of 20 patients; two lateral ones are left out."""
    folder = tmp_path_factory.mktemp("gpu")
    random, rows = np.random.default_rng(0), ["Image Index,View Position,Patient ID"]
    (folder / "source" / "images").mkdir(parents=True)
    for i in range(42):
        image = cv2.resize(random.integers(0, 256, (4, 4), np.uint8), (32, 32), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(folder / "source" / "images" / f"{i}.png"), image)
        rows.append(f"{i}.png,{'PA' if i < 40 else 'LL'},{i // 2}")
    (folder / "source" / "table.csv").write_text("\n".join(rows))
    os.environ.setdefault("SAPGGAN_PATIENT_KEY", str(folder / "key"))
    (folder / "key").write_text("5a" * 32)
    assert gpu.main(["pack", str(folder / "source"), "--size", "16", "--pack", str(folder / "pack")]) == 0
    return folder


@pytest.fixture
def run(packed, tmp_path, monkeypatch):
    """`run(step, *arguments)` with pixels as features, so that scores take no network, and a clock of its own."""
    monkeypatch.setattr(gpu_runs, "build_extractor", lambda device: Pixels())
    for module in ("gpu_runs", "gpu_score"):
        monkeypatch.setattr(f"benchmarks.{module}.extract_features", extract)
    for name, value in {"STAGE": 1, "LOG": 4, "REHEARSAL": 8}.items():
        monkeypatch.setattr(gpu_runs, name, value)
    ticks = itertools.count()                            # time passes with the steps, not with the machine's load
    monkeypatch.setattr(record, "time", SimpleNamespace(monotonic=lambda: 0.01 * next(ticks)))
    folders = ["--pack", packed / "pack", "--out", tmp_path / "out", "--work", tmp_path / "work"]
    return lambda *arguments: gpu.main([*map(str, arguments), *TINY, *map(str, folders)])


def lines(folder):
    return [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]


def test_a_pack_comes_back_as_a_store_that_splits_by_patient(packed, tmp_path):
    store = gpu_data.unpack(packed / "pack" / "images-16.zip", tmp_path / "store")
    assert store.images.shape == (40, 16, 16) and store.config["sources"] == {"source": 40}
    key, source = privacy.patient_key(), packed / "source"
    files = {privacy.path_hash(key, str(file.relative_to(source))): file for file in source.rglob("*.png")}
    for row in list(store.manifest.itertuples())[::9]:
        original = cv2.imread(str(files[row.path.removeprefix("source/")]), cv2.IMREAD_GRAYSCALE)
        small = cv2.resize(original, (16, 16), interpolation=cv2.INTER_AREA)
        assert np.abs(small.astype(int) - store.images[row.index]).mean() < 4    # JPEG
    patients = store.manifest["patient"].to_numpy()
    train, held = store.split(0.3)
    assert len(held) == 12 and not set(patients[train]) & set(patients[held])
    before = (tmp_path / "store" / "images.npy").stat().st_mtime_ns
    assert gpu_data.unpack(packed / "pack" / "images-16.zip", tmp_path / "store").hash == store.hash
    assert before == (tmp_path / "store" / "images.npy").stat().st_mtime_ns


def test_a_pack_too_large_to_travel_is_refused(packed, tmp_path, monkeypatch):
    monkeypatch.setattr(gpu_data, "CARRY", 1000)
    with pytest.raises(SapgganError, match="may travel"):
        gpu_data.pack([packed / "source"], tmp_path / "pack", 16)


def test_a_step_out_of_time_goes_on_and_finished_work_is_not_done_again(run, tmp_path, monkeypatch):
    out, work, calls = tmp_path / "out", tmp_path / "work", []

    def counted(run, *arguments):
        calls.append(run.model)
        return original(run, *arguments)

    original = gpu_runs.go_on
    monkeypatch.setattr(gpu_runs, "go_on", counted)
    models = ("--models", "pggan", "dcgan")
    assert run("models", *models, "--seconds", 0, "--reserve", 0) == gpu.AGAIN and calls == []

    with monkeypatch.context() as patch:                                     # time for one point and half of another
        patch.setattr(gpu_data.Budget, "need", lambda *_: None)
        patch.setattr(gpu_data.Budget, "left", lambda _: 0.1 if calls else 60.0)
        assert run("models", *models) == gpu.AGAIN
    (first,) = lines(out)
    assert (first["model"], first["target"]) == ("pggan", 0.2) and calls == ["pggan", "pggan"]
    assert run("models", *models) == 0
    assert calls[2:] == ["pggan", "dcgan", "dcgan"]                          # the first half is not trained again
    found = lines(out)
    assert found[0] == first and found == lines(work) and len(found) == 4
    assert [line["target"] for line in found] == [0.2, 0.4, 0.2, 0.4]
    assert all(line["trained_seconds"] >= line["target"] for line in found)
    done = len(calls)
    assert run("models", *models) == 0 and len(calls) == done and lines(out) == found
    assert sorted(path.name for path in out.iterdir()) == ["models.png", "results.jsonl"]


def test_a_training_that_two_steps_share_is_made_once_and_stands_in_both_tables(run, tmp_path):
    assert run("models", "--models", "sapggan") == 0 and run("long") == 0
    of_models, of_long = lines(tmp_path / "out")[:2], lines(tmp_path / "out")[2:]
    assert [line | {"step": "long"} for line in of_models] == of_long


def test_results_alone_are_enough_on_another_machine(run, tmp_path):
    assert run("models", "--models", "dcgan") == 0
    before = lines(tmp_path / "out")
    (tmp_path / "work").rename(tmp_path / "lost")
    assert run("models", "--models", "dcgan") == 0
    assert lines(tmp_path / "out") == before and not list((tmp_path / "work").glob("dcgan*"))


def test_the_published_model_has_scores_and_a_card(run, tmp_path):
    out = tmp_path / "out"
    assert run("long") == 0 and run("score") == 0 and run("score") == 0
    check = {"results.jsonl", "long.png", "generator.safetensors", "generator.json", "MODEL_CARD.md"}
    assert {path.name for path in out.iterdir()} == check
    assert [line["step"] for line in lines(out)] == ["long", "long", "score"]
    line, card = lines(out)[-1], (out / "MODEL_CARD.md").read_text()
    assert line["n_fake"] == 12 and line["n_real"] == 28 and line["n_held_out"] == 12
    assert f"{line['fd']:.4g} | {line['fd_low']:.4g} to" in card and f"{line['closer_to_train']:.3f} (" in card
    assert str(tmp_path) not in card + (out / "results.jsonl").read_text() + (out / "generator.json").read_text()


def test_speed_counts_whole_cycles_of_the_lazy_penalty(run, tmp_path, monkeypatch):
    clock = itertools.count()
    monkeypatch.setattr(train_speed, "time", SimpleNamespace(perf_counter=lambda: next(clock) / 10))
    assert run("speed", "--models", "sapggan", "--resolutions", 16, "--measure-seconds", 0.5) == 0
    (line,) = lines(tmp_path / "out")
    for way in ("images_per_s", "plain", "float32"):
        assert line[way] == pytest.approx(16 * 4 / 0.2)  # the step with the penalty, and fifteen without
    assert line["r1_step"] == pytest.approx(4 / 0.1) and line["loss"] == "ra-hinge"


def test_the_run_with_all_defaults_is_shared_by_the_steps():
    names = [{run.name for run in gpu.runs_of(gpu.parse([step]))} for step in ("models", "losses", "attention", "long")]
    assert [len(step) for step in names] == [4, 4, 3, 1]
    assert set.intersection(*names) == {"sapggan-ra-hinge-se-128-b16-w256-100s"}


@pytest.mark.parametrize(("files", "message"), [
    ({f"{i}.txt": 1 for i in range(9)}, "9 files"), ({"a.bin": 17 * 2**20}, "a.bin has 17.0 MiB"),
    ({f"{i}.bin": 15 * 2**20 for i in range(5)}, "64 MiB"), ({"a/b/c/d.txt": 1}, "too deep"), ({"a b.txt": 1}, "odd"),
])  # fmt: skip
def test_what_may_not_come_back_is_named(tmp_path, files, message):
    gpu_data.check_limits(tmp_path)
    for name, size in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        with (tmp_path / name).open("wb") as stream:
            stream.truncate(size)
    with pytest.raises(SapgganError, match=message):
        gpu_data.check_limits(tmp_path)


def bare_folder(folder: Path) -> Path:
    """A folder that holds links to the packages in `BARE` and to what they require, and nothing else."""
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
    return folder


def test_a_bare_machine_trains_exports_and_scores(packed, tmp_path):
    """With the real feature network, from the pack; no SciPy, pandas, ..."""
    code = """
import importlib.util, sys
for name in ("scipy", "pandas", "yaml", "pydicom", "matplotlib", "tqdm", "efficientnet_lite_pytorch"):
    assert importlib.util.find_spec(name) is None, name
from benchmarks.gpu import main
for step in ("long", "score"):
    status = main([step, *sys.argv[1:]])
    assert status == 0, status
"""
    folders = ["--pack", packed / "pack", "--out", tmp_path / "out", "--work", tmp_path / "work"]
    path = os.pathsep.join([str(bare_folder(tmp_path / "site")), str(ROOT)])
    result = subprocess.run(
        [sys.executable, "-S", "-c", code, *TINY, *map(str, folders), "--points", "1", "--samples", "8"],
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}, cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert lines(tmp_path / "out")[-1]["extractor"] == "efficientnet-lite0"
    assert open_store(tmp_path / "work" / "store-16").images.shape == (40, 16, 16)
