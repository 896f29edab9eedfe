import numpy as np
import pytest
import torch

from sapggan_lib import evaluation, experiments
from sapggan_lib.config import PreprocessConfig
from sapggan_lib.evaluation import Features
from sapggan_lib.phantom import write_phantoms
from sapggan_lib.store import write_store


@pytest.fixture
def quick_scores(monkeypatch):
    """Pixels as features, so that scores take no network."""

    class Pixels:
        name, metric_name = "pixels", "FD"

    def extract(images, extractor):
        array = images[:, ::4, ::4].reshape(len(images), -1).astype(np.float32)
        facts = {"extractor": "pixels", "metric": "FD", "weights": "", "input_size": 4, "resize": ""}
        return Features(array, facts)

    monkeypatch.setattr(evaluation, "build_extractor", lambda name: Pixels())
    monkeypatch.setattr(evaluation, "extract_features", extract)


def images(n=40, side=16):
    return np.random.default_rng(0).integers(0, 255, (n, side, side), np.uint8)


def test_outcomes_count_every_reason(tmp_path):
    rows = [
        {"path": "a", "status": "kept", "index": 0},
        {"path": "b", "status": "dropped", "reason": "lateral"},
        {"path": "c", "status": "dropped", "reason": "lateral"},
        {"path": "d", "status": "failed", "reason": "truncated"},
    ]
    table = experiments.outcomes(write_store(tmp_path, images(1), rows))
    assert dict(zip(table["outcome"], table["files"], strict=True)) == {"dropped: lateral": 2, "kept": 1, "failed": 1}


def test_views_are_counted_with_their_evidence(tmp_path):
    decided = [("PA", "ViewPosition PA"), ("PA", "ViewPosition PA"), ("AP", "x")]
    rows = [{"path": "a", "status": "dropped", "view": view, "evidence": evidence} for view, evidence in decided]
    table = experiments.views(write_store(tmp_path, images(1), rows))
    assert table.to_dict("list") == {"view": ["AP", "PA"], "evidence": ["x", "ViewPosition PA"], "files": [1, 2]}


def test_views_of_the_openi_headers(shared_data):
    table = experiments.header_views(shared_data / "openi_dicom_headers.csv.gz")
    counts = table.groupby("view")["files"].sum().to_dict()
    assert counts == {"PA": 3593, "AP": 423, "lateral": 867, "unknown": 2586}
    evidence = table.groupby(table["evidence"].str.split(" ").str[0])["files"].sum().to_dict()
    assert evidence == {"ViewPosition": 3593 + 423 + 867 - 2, "": 2586, "BodyPartExamined": 2}  # two are limbs


def test_example_steps_of_a_dicom_file_end_at_the_size_of_the_store(tmp_path):
    write_phantoms(tmp_path / "scans", n=1, size=64)
    file = next(path for path in (tmp_path / "scans").rglob("*") if path.is_file() and path.name[0] != ".")
    steps = experiments.example_steps(file, PreprocessConfig(size=32, crop=0.25))
    assert list(steps) == ["as a viewer shows it", "CLAHE", "random crop", "resized"]
    assert steps["random crop"].shape[0] == round(steps["CLAHE"].shape[0] * 0.75)
    assert steps["resized"].shape == (32, 32) and all(image.dtype == np.uint8 for image in steps.values())


def test_both_formats_of_the_reading_experiment_hold_the_same_pixels(tmp_path):
    store = write_store(tmp_path / "store", images())
    table = experiments.reading_times(store, tmp_path, n=4)
    assert table["format"].tolist() == ["npy", "pickle"] and (table["MB"] > 0).all()
    np.testing.assert_array_equal(experiments.open_store(tmp_path / "format-pickle").images, store.images)


def test_variants_score_at_the_asked_epochs_and_a_second_call_trains_nothing(tmp_path, quick_scores, monkeypatch):
    variants = experiments.model_variants(["sapggan"], images(), epochs=[1, 2], batch=8, widths=[8, 8, 8])
    scores = experiments.compare(variants, images(), tmp_path, samples=20)
    assert [(score.epoch, score.kimg, score.n) for score in scores] == [(1, 0.04, 20), (2, 0.08, 20)]
    assert all(score.low <= score.value <= score.high and score.floor > 0 for score in scores)
    weights = tmp_path / "sapggan" / "generator.safetensors"
    before = weights.stat().st_mtime_ns
    assert experiments.compare(variants, images(), tmp_path, samples=20) == scores
    assert weights.stat().st_mtime_ns == before


def test_other_parameters_train_anew(tmp_path, quick_scores):
    for seed in (0, 1):
        variants = experiments.model_variants(["sapggan"], images(), [1], batch=8, widths=[8, 8, 8], seed=seed)
        experiments.compare(variants, images(), tmp_path, samples=20, seed=seed)
    assert f'"seed": {seed}' in (tmp_path / "sapggan" / "config.json").read_text()


def test_the_same_seed_gives_the_same_table(tmp_path, quick_scores):
    variants = experiments.model_variants(["sapggan"], images(), [1], batch=8, widths=[8, 8, 8])
    runs = [experiments.compare(variants, images(), tmp_path / str(index), samples=20) for index in range(2)]
    assert [score.value for score in runs[0]] == [score.value for score in runs[1]]


def test_the_floor_falls_with_more_images_and_never_asks_for_more_than_there_are():
    real = Features(np.random.default_rng(0).normal(size=(200, 8)), {"metric": "FD"})
    floors = experiments.floor_by_size(real, [10, 100, 5000], repeats=5)
    assert list(floors) == [10, 100] and np.mean(floors[10]) > 3 * np.mean(floors[100])


def test_loss_variants_differ_in_loss_and_seed_alone():
    variants = experiments.loss_variants(["hinge", "wgan-gp"], 2, images(), [1], batch=8, widths=[8, 8, 8])
    assert list(variants) == ["hinge, seed 0", "hinge, seed 1", "wgan-gp, seed 0", "wgan-gp, seed 1"]
    assert {(config.loss, config.seed, config.kimg) for config in variants.values()} == {
        ("hinge", 0, 0.04), ("hinge", 1, 0.04), ("wgan-gp", 0, 0.04), ("wgan-gp", 1, 0.04)
    }  # fmt: skip


def test_the_last_score_of_each_training_is_grouped_by_loss():
    scores = [
        evaluation.Score("hinge, seed 0", 300.0, kimg=1.0),
        evaluation.Score("hinge, seed 0", 200.0, kimg=2.0),
        evaluation.Score("hinge, seed 1", 220.0, kimg=2.0),
        evaluation.Score("minmax, seed 0", 250.0, kimg=2.0),
    ]
    assert experiments.final_by_group(scores) == {"hinge": [200.0, 220.0], "minmax": [250.0]}


def test_loss_shapes_are_the_losses_by_hand():
    logits = torch.tensor([-2.0, 0.0, 2.0])
    assert experiments.loss_shapes(["hinge"], logits, "discriminator")["hinge"].tolist() == [4, 2, 1]
    assert experiments.loss_shapes(["hinge"], logits, "generator")["hinge"].tolist() == [2, 0, -2]
