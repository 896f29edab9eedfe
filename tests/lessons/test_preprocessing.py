"""Preprocessing step by step, as notebook 01 shows it."""

import json

import numpy as np
import pandas as pd
import pytest

from sapggan_lib.base.config import PreprocessConfig
from sapggan_lib.dicom import read_pixels
from sapggan_lib.lessons import preprocessing as lesson
from sapggan_lib.notebook import NOTEBOOKS
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


def test_a_file_says_what_is_stored_and_a_viewer_inverts_monochrome1():
    stored, shown = {}, {}
    for photometric in ("MONOCHROME1", "MONOCHROME2"):
        dataset = lesson.synthetic_file(photometric, size=64)
        stored[photometric], shown[photometric] = dataset.pixel_array, read_pixels(dataset)[0]
    np.testing.assert_array_equal(stored["MONOCHROME1"], 4095 - stored["MONOCHROME2"])
    np.testing.assert_allclose(shown["MONOCHROME1"], shown["MONOCHROME2"], atol=17)   # one of 4,096 levels


def test_each_odd_file_has_the_status_and_the_reason_that_it_is_there_for():
    table = lesson.odd_file_rows().set_index("file")
    assert table["status"].tolist() == ["kept", "dropped", "dropped", "dropped", "dropped", "failed"]
    assert table["reason"].tolist()[:5] == ["", "lateral", "not a chest", "view unknown", "burned-in annotation"]
    assert table["reason"].iloc[5] and table["view"].tolist()[1:4] == ["lateral", "PA", "unknown"]


def manifest(**changes):
    kept = {"status": "kept", "reason": "", "view": "PA", "rows": "100", "columns": "80", "photometric": "MONOCHROME2"}
    return pd.DataFrame([kept, kept | changes])


def test_the_sentences_tell_what_the_manifest_holds():
    told = lesson.what_was_found(manifest(rows="90", columns="90", photometric="MONOCHROME1"))
    assert told == [
        "Of 2 files 2 were kept.", "None dropped.", "None failed.", "Views: 2 PA.",
        "Kept images: 90 to 100 rows, 80 to 90 columns; made square, the width of one changes by up to 25% "
        "against its height.",
        "1 of those kept are MONOCHROME1, and were inverted.",
    ]


@pytest.mark.parametrize(
    ("changes", "sentences"),
    [
        ({"status": "dropped", "reason": "lateral", "view": "lateral"}, ["1 dropped: 1 lateral.", "None failed."]),
        ({"status": "failed", "reason": "not a file", "view": ""}, ["None dropped.", "1 failed: 1 not a file."]),
    ],
)
def test_what_was_dropped_or_failed_is_told_with_its_reason(changes, sentences):
    told = lesson.what_was_found(manifest(rows="", columns="", **changes))
    assert told[0] == "Of 2 files 1 were kept." and told[1:3] == sentences
    assert f"1 {changes['view'] or 'not read'}" in told[3]


def test_the_notebook_starts_from_the_defaults():
    cells = json.loads((NOTEBOOKS / "01_preprocessing.ipynb").read_text("utf-8"))["cells"]
    values = {}
    exec("".join(next(cell["source"] for cell in cells if cell["metadata"].get("tags") == ["parameters"])), values)
    config = PreprocessConfig()
    assert [values[key] for key in ("crop", "clip_limit", "tiles")] == [config.crop, config.clip_limit, config.tiles]
