"""Preprocessing step by step, as notebook 01 shows it."""

import numpy as np

from sapggan_lib import walkthrough
from sapggan_lib.config import PreprocessConfig
from sapggan_lib.phantom import write_phantoms
from sapggan_lib.store import open_store, write_store


def images(n=40, side=16):
    return np.random.default_rng(0).integers(0, 255, (n, side, side), np.uint8)


def test_outcomes_count_every_reason(tmp_path):
    rows = [
        {"path": "a", "status": "kept", "index": 0},
        {"path": "b", "status": "dropped", "reason": "lateral"},
        {"path": "c", "status": "dropped", "reason": "lateral"},
        {"path": "d", "status": "failed", "reason": "truncated"},
    ]
    table = walkthrough.outcomes(write_store(tmp_path, images(1), rows))
    assert dict(zip(table["outcome"], table["files"], strict=True)) == {"dropped: lateral": 2, "kept": 1, "failed": 1}


def test_views_are_counted_with_their_evidence(tmp_path):
    decided = [("PA", "ViewPosition PA"), ("PA", "ViewPosition PA"), ("AP", "x")]
    rows = [{"path": "a", "status": "dropped", "view": view, "evidence": evidence} for view, evidence in decided]
    table = walkthrough.views(write_store(tmp_path, images(1), rows))
    assert table.to_dict("list") == {"view": ["AP", "PA"], "evidence": ["x", "ViewPosition PA"], "files": [1, 2]}


def test_views_of_the_openi_headers(shared_data):
    table = walkthrough.header_views(shared_data / "openi_dicom_headers.csv.gz")
    counts = table.groupby("view")["files"].sum().to_dict()
    assert counts == {"PA": 3593, "AP": 423, "lateral": 867, "unknown": 2586}
    evidence = table.groupby(table["evidence"].str.split(" ").str[0])["files"].sum().to_dict()
    assert evidence == {"ViewPosition": 3593 + 423 + 867 - 2, "": 2586, "BodyPartExamined": 2}  # two are limbs


def test_example_steps_of_a_dicom_file_end_at_the_size_of_the_store(tmp_path):
    write_phantoms(tmp_path / "scans", n=1, size=64)
    file = next(path for path in (tmp_path / "scans").rglob("*") if path.is_file() and path.name[0] != ".")
    steps = walkthrough.example_steps(file, PreprocessConfig(size=32, crop=0.25))
    assert list(steps) == ["as a viewer shows it", "CLAHE", "random crop", "resized"]
    assert steps["random crop"].shape[0] == round(steps["CLAHE"].shape[0] * 0.75)
    assert steps["resized"].shape == (32, 32) and all(image.dtype == np.uint8 for image in steps.values())


def test_both_formats_of_the_reading_experiment_hold_the_same_pixels(tmp_path):
    store = write_store(tmp_path / "store", images())
    table = walkthrough.reading_times(store, tmp_path, n=4)
    assert table["format"].tolist() == ["npy", "pickle"] and (table["MB"] > 0).all()
    np.testing.assert_array_equal(open_store(tmp_path / "format-pickle").images, store.images)
