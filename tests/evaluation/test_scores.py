import json

import numpy as np
import pytest

from sapggan_lib.base.errors import SapgganError
from sapggan_lib.evaluation import METRICS, Features, Metric, evaluate

PROVENANCE = {
    "extractor": "toy", "metric": "FD", "weights": "00", "input_size": 8, "resize": "none",
}  # fmt: skip


def gaussian(n, seed, d=6, shift=0.0, **changes):
    array = np.random.default_rng(seed).normal(size=(n, d)) + shift
    return Features(array.astype(np.float32), PROVENANCE | changes)


def test_the_json_object_has_the_promised_shape():
    result = json.loads(json.dumps(evaluate(gaussian(60, 0), gaussian(40, 1)).to_dict()))
    assert {"extractor", "resize", "n_real", "n_fake", "warnings"} <= result.keys()
    assert (result["n_real"], result["n_fake"], result["n_floor"]) == (60, 40, 30)
    for name in ("fd", "kid", "precision", "recall", "density", "coverage"):
        assert result[name].keys() == {"value", "low", "high", "floor"}
        assert result[name]["low"] <= result[name]["value"] <= result[name]["high"]
        assert {type(number) for number in result[name].values()} == {float}


def test_real_images_beyond_those_scored_against_serve_the_floor_alone():
    real, fake = gaussian(80, 0), gaussian(40, 1)
    result, alone = evaluate(real, fake, n_real=40), evaluate(gaussian(80, 0).array[:40], fake.array)
    assert (result.n_real, result.n_floor) == (40, 40) and not any("floor" in warning for warning in result.warnings)
    for name, score in result.scores.items():
        assert (score.value, score.low, score.high) == pytest.approx(list(vars(alone.scores[name]).values())[:3]), name
    order = np.random.default_rng(0).permutation(80)
    halves = evaluate(real.array[order[:40]], real.array[order[40:]])
    assert result.scores["fd"].floor == pytest.approx(halves.scores["fd"].value)
    assert alone.n_floor == 20 and any("floor is made at N = 20" in warning for warning in alone.warnings)


def test_a_share_of_none_has_an_interval():
    scores = evaluate(gaussian(60, 0), gaussian(40, 1, shift=100.0)).scores
    for name in ("precision", "recall", "density", "coverage"):
        assert (scores[name].value, scores[name].low) == (0, 0) and scores[name].high == pytest.approx(3 / 40)


def test_the_text_names_protocol_scores_and_warnings():
    text = evaluate(gaussian(60, 0), gaussian(40, 1)).text()
    assert "60 real against 40 generated" in text and "N = 30" in text and "\nwarning: " in text


def test_the_same_seed_gives_the_same_result():
    real, fake = gaussian(60, 0), gaussian(40, 1)
    assert evaluate(real, fake, seed=1) == evaluate(real, fake, seed=1)


def test_too_few_images_and_two_protocols_are_refused():
    with pytest.raises(SapgganError, match="8 or more"):
        evaluate(gaussian(60, 0), gaussian(1, 1))
    for change in ({"extractor": "other"}, {"weights": "01"}, {"input_size": 9}, {"resize": "nearest"}):
        with pytest.raises(SapgganError, match=f'differ in "{next(iter(change))}"'):
            evaluate(gaussian(60, 0), gaussian(40, 1, **change))


def test_few_images_for_the_features_are_warned_about():
    warnings = " ".join(evaluate(gaussian(20, 0, d=32), gaussian(20, 1, d=32)).warnings)
    assert "20 images a side do not exceed the 32 features" in warnings and "N = 10" in warnings


def test_images_of_two_sizes_are_warned_about():
    real, fake = gaussian(60, 0, images=[64, 64]), gaussian(60, 1, images=[32, 32])
    assert any("64 x 64 and 32 x 32 pixels" in warning for warning in evaluate(real, fake).warnings)


def test_the_smallest_sets_still_get_all_scores():
    result = evaluate(gaussian(8, 0), gaussian(8, 1))
    assert all(np.isfinite(list(vars(score).values())).all() for score in result.scores.values())


def test_a_metric_is_a_function_of_a_pair_and_a_line_in_the_registry(monkeypatch):
    shift = Metric(lambda pair: float(abs(pair.real.mean() - pair.fake.mean())), lowest=0)
    monkeypatch.setitem(METRICS, "shift", shift)
    score = evaluate(gaussian(200, 0), gaussian(200, 1, shift=1.0)).to_dict()["shift"]
    assert 0 <= score["floor"] < 0.3 < score["low"] < 1 < score["high"]


def test_arrays_are_scored_as_features_of_an_unknown_extractor():
    real, fake = gaussian(60, 0), gaussian(40, 1)
    result = evaluate(real.array, fake.array)
    assert result.scores == evaluate(real, fake).scores and result.extractor == "unknown"
    with pytest.raises(SapgganError, match='differ in "extractor"'):
        evaluate(real, fake.array)


def test_scores_become_rows_of_the_tidy_frame():
    result = evaluate(gaussian(60, 0), gaussian(40, 1))
    frame = result.frame("dcgan")
    assert frame["metric"].tolist() == ["FD", "KID", "precision", "recall", "density", "coverage"]
    assert frame["value"].tolist() == [score.value for score in result.scores.values()]
    assert set(frame["method"]) == {"dcgan"} and set(frame["n"]) == {40} and frame["epoch"].isna().all()
    assert set(frame["floor_n"]) == {30}
