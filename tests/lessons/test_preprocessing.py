"""Preprocessing step by step, as notebook 01 shows it."""

import numpy as np
import pytest

from sapggan_lib.base.config import PreprocessConfig
from sapggan_lib.lessons import preprocessing as lesson
from sapggan_lib.phantoms.files import write_phantoms


def images(n=40, side=16):
    return np.random.default_rng(0).integers(0, 255, (n, side, side), np.uint8)


def test_views_of_the_openi_headers(shared_data):
    table = lesson.header_views(shared_data / "openi_dicom_headers.csv.gz")
    counts = table["view"].value_counts().to_dict()
    assert counts == {"PA": 3593, "AP": 423, "lateral": 867, "unknown": 2586}
    evidence = table["evidence"].str.split(" ").str[0].value_counts().to_dict()
    assert evidence == {"ViewPosition": 3593 + 423 + 867 - 2, "": 2586, "BodyPartExamined": 2}  # two are limbs


@pytest.fixture(scope="module")
def radiograph(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scans")
    write_phantoms(folder, n=1, size=64, workers=1)
    return next(path for path in folder.rglob("*") if path.is_file() and path.name[0] != ".")


def test_pixels_are_shrunk_to_the_side_asked_for(radiograph):
    whole, small = lesson.read_pixels(radiograph), lesson.read_pixels(radiograph, side=32)
    assert max(whole.shape) >= 64 and max(small.shape) == 32 and small.dtype == whole.dtype


def test_each_step_of_preprocessing_shows_its_setting(radiograph):
    pixels = lesson.read_pixels(radiograph)
    steps = lesson.preprocessing_steps(pixels, PreprocessConfig(size=32, crop=0.25, clip_limit=0))
    assert list(steps) == ["as a viewer shows it", "CLAHE", "random crop", "resized"]
    np.testing.assert_array_equal(steps["CLAHE"], steps["as a viewer shows it"])
    assert steps["random crop"].shape[0] == round(steps["CLAHE"].shape[0] * 0.75)
    assert steps["resized"].shape == (32, 32) and all(image.dtype == np.uint8 for image in steps.values())


def test_a_window_makes_what_is_outside_it_black_or_white(radiograph):
    pixels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    windowed = lesson.preprocessing_steps(pixels, PreprocessConfig(size=16), (25, 75))["window"].ravel()
    assert (windowed[:64] == 0).all() and (windowed[192:] == 255).all()
    assert (np.diff(windowed[64:192].astype(int)) > 0).all()
    empty = lesson.preprocessing_steps(pixels, PreprocessConfig(size=16), (50, 50))["window"]
    assert set(np.unique(empty)) <= {0, 127, 255}


def test_both_formats_are_timed_at_every_size():
    table = lesson.reading_growth(images(), [0.01, 0.1], n=4)
    assert table["format"].tolist() == ["npy", "pickle"] * 2 and (table["seconds"] > 0).all()
    assert table["images"].tolist() == [39, 39, 391, 391]
