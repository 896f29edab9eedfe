from dataclasses import replace

import numpy as np
import pytest

from sapggan_lib import evaluation, experiments
from sapggan_lib.base.errors import SapgganError
from sapggan_lib.evaluation import Features
from sapggan_lib.models import generate, load_generator


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


def test_variants_score_at_the_asked_epochs_and_a_second_call_trains_nothing(tmp_path, quick_scores, monkeypatch):
    variants = experiments.model_variants(["sapggan"], images(), epochs=[1, 2], batch=8, widths=[8, 8, 8])
    scores = experiments.compare(variants, images(), tmp_path, samples=20)
    assert scores[["epoch", "kimg", "n"]].to_numpy().tolist() == [[1, 0.04, 20], [2, 0.08, 20]]
    assert (scores["low"] <= scores["value"]).all() and (scores["value"] <= scores["high"]).all()
    assert (scores["floor"] > 0).all()
    weights = tmp_path / "sapggan" / "generator.safetensors"
    before = weights.stat().st_mtime_ns
    assert experiments.compare(variants, images(), tmp_path, samples=20).equals(scores)
    kimg, progress = experiments.progress_of(tmp_path / "sapggan", steps=3)
    assert kimg == sorted(kimg) and kimg[-1] == 0.08 and len(progress) == 3
    last = generate(load_generator(tmp_path / "sapggan"), 1)[0]
    np.testing.assert_array_equal(progress[-1], np.repeat(last[..., None], 3, axis=2))
    assert weights.stat().st_mtime_ns == before


def test_other_parameters_train_anew(tmp_path, quick_scores):
    for seed in (0, 1):
        variants = experiments.model_variants(["sapggan"], images(), [1], batch=8, widths=[8, 8, 8], seed=seed)
        experiments.compare(variants, images(), tmp_path, samples=20, seed=seed)
    assert f'"seed": {seed}' in (tmp_path / "sapggan" / "config.json").read_text()


def test_the_same_seed_gives_the_same_table(tmp_path, quick_scores):
    variants = experiments.model_variants(["sapggan"], images(), [1], batch=8, widths=[8, 8, 8])
    runs = [experiments.compare(variants, images(), tmp_path / str(index), samples=20) for index in range(2)]
    assert runs[0]["value"].equals(runs[1]["value"])


def test_loss_variants_differ_in_loss_and_seed_alone():
    variants = experiments.loss_variants(["hinge", "wgan-gp"], 2, images(), [1], batch=8, widths=[8, 8, 8])
    assert list(variants) == ["hinge, seed 0", "hinge, seed 1", "wgan-gp, seed 0", "wgan-gp, seed 1"]
    assert {(config.loss, config.seed, config.kimg) for config in variants.values()} == {
        ("hinge", 0, 0.04), ("hinge", 1, 0.04), ("wgan-gp", 0, 0.04), ("wgan-gp", 1, 0.04)
    }  # fmt: skip


def test_attention_variants_differ_in_attention_and_seed_alone():
    variants = experiments.attention_variants(["se", "none"], 2, images(), [1], batch=8, widths=[8, 8, 8])
    assert list(variants) == ["se, seed 0", "se, seed 1", "none, seed 0", "none, seed 1"]
    assert variants["se, seed 1"] == replace(
        variants["none, seed 1"], model=replace(variants["none, seed 1"].model, attention="se")
    )


def test_at_equal_time_the_quicker_go_on_and_leave_the_first_comparison_alone(tmp_path, quick_scores):
    variants = experiments.model_variants(["sapggan", "dcgan"], images(), [1, 2], batch=8, widths=[8, 8, 8])
    options = {"samples": 20, "data_hash": "x"}
    scores = experiments.compare(variants, images(), tmp_path / "models", **options)
    weights = tmp_path / "models" / "dcgan" / "generator.safetensors"
    before = weights.read_bytes()
    slow = scores.assign(hours=scores["epoch"] * scores["method"].map({"sapggan": 3, "dcgan": 1}))
    longer = experiments.equal_time_variants(variants, slow)
    assert longer["sapggan"] == variants["sapggan"] and longer["dcgan"].kimg == 3 * variants["dcgan"].kimg
    options |= {"begun": tmp_path / "models"}
    again = experiments.compare(longer, images(), tmp_path / "longer", **options)
    assert again[again["method"] == "sapggan"].equals(scores[scores["method"] == "sapggan"])
    assert again.loc[again["method"] == "dcgan", "epoch"].tolist() == [1, 2, 4, 6]
    assert again["value"].tolist()[2:4] == scores["value"].tolist()[2:]     # it went on from the first comparison
    assert weights.read_bytes() == before and not (tmp_path / "longer" / "sapggan").exists()
    made = (tmp_path / "longer" / "dcgan" / "generator.safetensors").stat().st_mtime_ns
    assert experiments.compare(longer, images(), tmp_path / "longer", **options).equals(again)
    assert (tmp_path / "longer" / "dcgan" / "generator.safetensors").stat().st_mtime_ns == made


def test_variants_within_a_tenth_of_the_slowest_stay_as_they_are():
    variants = experiments.loss_variants(["hinge", "minmax"], 1, images(), [1], batch=8, widths=[8, 8, 8])
    rows = [{"method": label, "hours": hours} for label, hours in zip(variants, (1.0, 0.92), strict=True)]
    assert experiments.equal_time_variants(variants, evaluation.score_frame(rows)) == variants
    nothing = evaluation.score_frame([row | {"hours": 0.0} for row in rows])  # too short for the clock
    assert experiments.equal_time_variants(variants, nothing) == variants


def test_a_copy_that_was_cut_short_is_made_anew(tmp_path, quick_scores):
    variants = experiments.model_variants(["dcgan"], images(), [1], batch=8, widths=[8, 8, 8])
    experiments.compare(variants, images(), tmp_path / "models", samples=20)
    longer = experiments.model_variants(["dcgan"], images(), [1, 2], batch=8, widths=[8, 8, 8])
    (tmp_path / "longer" / "dcgan").mkdir(parents=True)
    (tmp_path / "longer" / "dcgan" / "log.jsonl").write_text("{")
    scores = experiments.compare(longer, images(), tmp_path / "longer", samples=20, begun=tmp_path / "models")
    assert scores["epoch"].tolist() == [1, 2]


def test_a_name_that_does_not_exist_is_refused_with_the_near_match():
    with pytest.raises(SapgganError, match='did you mean "hinge"'):
        experiments.loss_variants(["hing"], 1, images(), [1])
    with pytest.raises(SapgganError, match='did you mean "dcgan"'):
        experiments.model_variants(["dcgn"], images(), [1])


def test_colour_images_are_the_middle_square_of_each_readable_file(tmp_path, capsys):
    import cv2

    wide = np.zeros((20, 60, 3), np.uint8)
    wide[:, 20:40] = (0, 0, 255)  # red, as OpenCV orders it
    cv2.imwrite(str(tmp_path / "a.png"), wide)
    (tmp_path / "b.jpg").write_bytes(b"not an image")
    cv2.imwrite(str(tmp_path / "c.png"), wide[:8])
    cv2.imwrite(str(tmp_path / "d.png"), wide[..., 0])
    colour = experiments.colour_images(tmp_path, 10, n=5)
    assert colour.shape == (2, 10, 10, 3) and (colour[0] == (255, 0, 0)).all() and (colour[1] == 0).all()
    assert "2 files left out" in capsys.readouterr().out
    with pytest.raises(SapgganError, match="name a folder of colour images"):
        experiments.colour_images(tmp_path, 100, n=5)
