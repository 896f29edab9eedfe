"""What a distance sees and misses: experiments with answers known beforehand."""

import numpy as np
import pytest
import torch

from sapggan_lib.evaluation import Extractor, evaluate, extract_features, score_frame
from sapggan_lib.lessons import scores as lesson
from sapggan_lib.phantoms.image import phantom_image
from sapggan_lib.preprocessing.steps import resize, to_uint8


@pytest.fixture(scope="module")
def phantom_images():
    return np.stack([resize(to_uint8(phantom_image(seed, 64)), 32) for seed in range(60)])


def test_every_change_keeps_shape_and_type_and_only_the_first_is_none(phantom_images):
    changed = lesson.changes(phantom_images)
    for label, images in changed.items():
        assert images.shape == phantom_images.shape and images.dtype == np.uint8
        assert np.array_equal(images, phantom_images) == (label == lesson.UNCHANGED), label
    np.testing.assert_array_equal(changed["mirrored"][:, :, ::-1], phantom_images)
    assert len(np.unique(changed["a tenth of them, ten times"], axis=0)) == 6


def test_pixels_see_brightness_and_not_the_mirror_as_much(phantom_images):
    results = lesson.sensitivity(phantom_images, lesson.pixels(), n=30)
    table = lesson.sensitivity_table(results).set_index("change")
    assert table.loc[lesson.COPIES, "FD"] == pytest.approx(0, abs=1e-3 * table["FD"].max())
    assert table.loc[lesson.COPIES, ["precision", "coverage"]].tolist() == [1, 1]
    assert table.loc["gamma 0.8", "FD"] > table.loc["mirrored", "FD"] > table.loc[lesson.UNCHANGED, "FD"]
    assert (table["low"] <= table["FD"]).all() and (table["FD"] <= table["high"]).all()


def test_dropping_modes_lowers_coverage_but_not_precision(phantom_images):
    table = lesson.sensitivity_table(lesson.sensitivity(phantom_images, lesson.pixels(), n=30)).set_index("change")
    few, all_of_them = table.loc["a tenth of them, ten times"], table.loc[lesson.UNCHANGED]
    assert few["coverage"] < 0.7 * all_of_them["coverage"] and few["FD"] > all_of_them["FD"]


def test_every_floor_is_the_same(phantom_images):
    """That of a score, the unchanged images of the experiment, and the first draw of the experiment on floors."""
    features = extract_features(phantom_images, lesson.pixels(), progress=False)
    scored = evaluate(features, extract_features(255 - phantom_images[:30], lesson.pixels(), progress=False), n_real=30)
    floor = scored.scores["fd"].floor
    results = lesson.sensitivity(phantom_images, lesson.pixels(), n=30)
    unchanged = results[(results["method"] == lesson.UNCHANGED) & (results["metric"] == "FD")].iloc[0]
    floors = lesson.floors(features, [10, 30, 99])
    assert scored.n_floor == 30 and unchanged["value"] == pytest.approx(floor)
    assert floors.keys() == {10, 30} and floors[30][0] == pytest.approx(floor) and np.mean(floors[10]) > floor
    assert set(results["floor_n"]) == {30} and unchanged["floor"] == unchanged["value"]


def test_variety_tells_copies_from_varied_images(phantom_images):
    copies = np.repeat(phantom_images[:1], 20, axis=0)
    table = lesson.variety({"copies": copies, "same": phantom_images}, phantom_images).set_index("images")
    assert table.loc["copies", ["gray levels", "share", "MS-SSIM"]].tolist() == [0, 0, 1]
    assert table.loc["same", "share"] == 1
    assert table.loc["same", "MS-SSIM"] == table.loc["real images", "MS-SSIM"] < 0.95


def test_factors_are_multiples_of_the_unchanged_distance_without_the_copies():
    rows = [("unchanged", 2.0), ("mirrored", 5.0), (lesson.COPIES, 0.0)]
    scores = score_frame({"method": m, "value": v, "low": v - 1, "high": v + 1} for m, v in rows)
    table = lesson.factors({"lite": scores})
    assert table.to_numpy().tolist() == [["unchanged", 1.0, 0.5, 1.5, "lite"], ["mirrored", 2.5, 2.0, 3.0, "lite"]]


def test_duplicated_gray_scores_as_gray(phantom_images):
    gray = lesson.sensitivity(phantom_images, lesson.pixels(), n=20)
    colour = lesson.sensitivity(np.repeat(phantom_images[..., None], 3, axis=3), lesson.pixels(), n=20)
    assert gray.equals(colour)


def test_two_resize_rules_put_a_distance_between_an_image_and_itself(phantom_images):
    def finest_detail(images):
        return images[:, 0, ::8, ::8].flatten(1)

    extractor = Extractor("detail", "FD", finest_detail, "none", 64, torch.device("cpu"))
    table = lesson.resize_rules(phantom_images, phantom_images, extractor)
    assert list(table.columns) == ["real", "generated", "FD", "low", "high"]
    assert ((table["low"] <= table["FD"]) & (table["FD"] <= table["high"])).all()
    assert table["FD"].tolist()[:2] == pytest.approx([0, 0], abs=0.1) and table["FD"][2] > 1
