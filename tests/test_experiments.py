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

    def extract(images, extractor, progress=True):
        array = images[:, ::4, ::4].reshape(len(images), -1).astype(np.float32)
        facts = {"extractor": "pixels", "metric": "FD", "weights": "", "input_size": 4, "resize": ""}
        return Features(array, facts)

    monkeypatch.setattr(evaluation, "build_extractor", lambda name: Pixels())
    monkeypatch.setattr(evaluation, "extract_features", extract)


def images(n=40, side=16):
    return np.random.default_rng(0).integers(0, 255, (n, side, side), np.uint8)


def variant(epochs, **options):
    return experiments.variant(images(), epochs, batch=8, widths=[8, 8, 8], **options)


def test_variants_score_at_the_asked_epochs_and_a_second_call_trains_nothing(tmp_path, quick_scores, monkeypatch):
    variants = {"sapggan": variant([1, 2])}
    scores = experiments.compare(variants, images(), tmp_path, samples=20)
    assert scores[["epoch", "kimg", "n"]].to_numpy().tolist() == [[1, 0.04, 20], [2, 0.08, 20]]
    assert (scores["low"] <= scores["value"]).all() and (scores["value"] <= scores["high"]).all()
    assert (scores["floor"] > 0).all() and (scores["variety"] > 0).all() and set(scores["floor_n"]) == {20}
    weights = tmp_path / "sapggan" / "generator.safetensors"
    before = weights.stat().st_mtime_ns
    assert experiments.compare(variants, images(), tmp_path, samples=20).equals(scores)
    kimg, progress = experiments.progress_of(tmp_path / "sapggan", steps=3)
    assert kimg == sorted(kimg) and kimg[-1] == 0.08 and len(progress) == 3
    last = generate(load_generator(tmp_path / "sapggan"), 1)[0]
    shown = np.repeat(last[..., None], 3, axis=2).astype(int)
    assert np.abs(progress[-1] - shown).max() <= 1  # another batch may round another way
    assert weights.stat().st_mtime_ns == before
    sorted((tmp_path / "sapggan" / "samples").glob("*.png"))[1].write_bytes(b"cut")
    kimg, progress = experiments.progress_of(tmp_path / "sapggan")
    assert len(kimg) == len(progress) > 0 and kimg[-1] == 0.08


def test_other_parameters_train_anew(tmp_path, quick_scores):
    for seed in (0, 1):
        variants = {"sapggan": variant([1], seed=seed)}
        experiments.compare(variants, images(), tmp_path, samples=20, seed=seed)
    assert f'"seed": {seed}' in (tmp_path / "sapggan" / "config.json").read_text()


def test_the_same_seed_gives_the_same_table(tmp_path, quick_scores):
    variants = {"sapggan": variant([1])}
    runs = [experiments.compare(variants, images(), tmp_path / str(index), samples=20) for index in range(2)]
    assert runs[0]["value"].equals(runs[1]["value"])


def test_a_variant_differs_from_another_in_what_it_names_alone():
    plain = variant([1])
    assert (plain.kimg, plain.snapshot_kimg, plain.model.resolution, plain.model.channels) == (0.04, (0.04,), 16, 1)
    assert variant([1], loss="wgan-gp", seed=3) == replace(plain, loss="wgan-gp", seed=3)
    assert variant([1], attention="none") == replace(plain, model=replace(plain.model, attention="none"))


def test_at_equal_time_the_quicker_go_on_and_leave_the_first_comparison_alone(tmp_path, quick_scores):
    variants = {name: variant([1, 2], name=name) for name in ("sapggan", "dcgan")}
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
    assert again.loc[again["method"] == "dcgan", "epoch"].tolist() == [1, 2, 3, 4.5, 6]  # quarters: 1.5, 3, ...
    assert again["value"].tolist()[2:4] == scores["value"].tolist()[2:]     # it went on from the first comparison
    assert weights.read_bytes() == before and not (tmp_path / "longer" / "sapggan").exists()
    made = (tmp_path / "longer" / "dcgan" / "generator.safetensors").stat().st_mtime_ns
    assert experiments.compare(longer, images(), tmp_path / "longer", **options).equals(again)
    assert (tmp_path / "longer" / "dcgan" / "generator.safetensors").stat().st_mtime_ns == made


def test_a_floor_of_fewer_images_is_in_the_frame_and_warned_about(tmp_path, quick_scores, capsys):
    scores = experiments.compare({"sapggan": variant([1])}, images(), tmp_path, samples=30)
    assert set(scores["n"]) == {30} and set(scores["floor_n"]) == {20}
    assert "warning: 40 images give a floor at N = 20, higher than at the scores' N = 30" in capsys.readouterr().out
    chosen = experiments.real_images(images(), 30)
    features = evaluation.extract_features(chosen, None)
    scored = evaluation.evaluate(features, Features(features.array[:30], features.provenance), n_real=30)
    assert scored.scores["fd"].floor == scores["floor"][0] and scored.n_floor == 20


def test_seeds_lie_side_by_side_and_the_runs_own_one_under_its_methods_name(tmp_path, quick_scores, capfd):
    variants = {f"dcgan, seed {seed}": variant([1], name="dcgan", seed=seed) for seed in (0, 1)}
    scores = experiments.compare(variants, images(), tmp_path, samples=20)
    assert scores["seed"].tolist() == [0, 1] and set(scores["method"]) == {"dcgan"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dcgan", "dcgan, seed 1"]
    assert experiments.place_of(tmp_path, "dcgan, seed 0") == tmp_path / "dcgan"
    assert "dcgan" not in capfd.readouterr().err and "parameters" in (tmp_path / "dcgan" / "train.txt").read_text()


def test_at_equal_time_seeds_of_a_method_train_equally_long():
    variants = {f"{name}, seed {seed}": variant([1], name=name, seed=seed) for name in ("sapggan", "dcgan")
                for seed in (0, 1)}  # fmt: skip
    rows = [{"method": label, "kimg": 1, "hours": hours} for label, hours in zip(variants, (5, 7, 1, 2), strict=True)]
    longer = experiments.equal_time_variants(variants, evaluation.score_frame(rows))
    assert longer["sapggan, seed 0"] == variants["sapggan, seed 0"]
    assert longer["dcgan, seed 0"].kimg == longer["dcgan, seed 1"].kimg == 4 * variants["dcgan, seed 0"].kimg


def test_variants_within_a_tenth_of_the_slowest_stay_as_they_are():
    variants = {f"{loss}, seed 0": variant([1], loss=loss) for loss in ("hinge", "minmax")}
    rows = [{"method": label, "kimg": 1, "hours": hours} for label, hours in zip(variants, (1.0, 0.92), strict=True)]
    assert experiments.equal_time_variants(variants, evaluation.score_frame(rows)) == variants
    nothing = evaluation.score_frame([row | {"hours": 0.0} for row in rows])  # too short for the clock
    assert experiments.equal_time_variants(variants, nothing) == variants


def test_a_copy_that_was_cut_short_is_made_anew(tmp_path, quick_scores):
    variants = {"dcgan": variant([1], name="dcgan")}
    experiments.compare(variants, images(), tmp_path / "models", samples=20)
    longer = {"dcgan": variant([1, 2], name="dcgan")}
    (tmp_path / "longer" / "dcgan").mkdir(parents=True)
    (tmp_path / "longer" / "dcgan" / "log.jsonl").write_text("{")
    scores = experiments.compare(longer, images(), tmp_path / "longer", samples=20, begun=tmp_path / "models")
    assert scores["epoch"].tolist() == [1, 2]


def test_a_name_that_does_not_exist_is_refused_with_the_near_match():
    with pytest.raises(SapgganError, match='did you mean "hinge"'):
        variant([1], loss="hing")
    with pytest.raises(SapgganError, match='did you mean "dcgan"'):
        variant([1], name="dcgn")


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
