"""What a distance sees and misses: experiments with answers known beforehand."""

import numpy as np
import pytest
import torch

from sapggan_lib.evaluation import Extractor
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


def test_duplicated_gray_scores_as_gray(phantom_images):
    gray = lesson.sensitivity(phantom_images, lesson.pixels(), n=20)
    colour = lesson.sensitivity(np.repeat(phantom_images[..., None], 3, axis=3), lesson.pixels(), n=20)
    assert gray.equals(colour)


def test_two_resize_rules_put_a_distance_between_an_image_and_itself(phantom_images):
    def finest_detail(images):
        return images[:, 0, ::8, ::8].flatten(1)

    extractor = Extractor("detail", "FD", finest_detail, "none", 64, torch.device("cpu"))
    table = lesson.resize_rules(phantom_images, phantom_images, extractor)
    assert list(table.columns) == ["real", "generated", "FD"]
    assert table["FD"].tolist()[:2] == pytest.approx([0, 0], abs=0.1) and table["FD"][2] > 1
