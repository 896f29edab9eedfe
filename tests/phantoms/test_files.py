import csv
import hashlib
import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pydicom
import pytest

from sapggan_lib.base.config import PreprocessConfig
from sapggan_lib.base.errors import SapgganError
from sapggan_lib.dicom.read import read_radiograph
from sapggan_lib.phantoms.chest import FINDINGS
from sapggan_lib.phantoms.files import _drawn, plan_phantoms, write_phantoms
from sapggan_lib.phantoms.image import phantom_image
from sapggan_lib.preprocessing import preprocess


def hashes(folder):
    return {f.name + f.parent.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in sorted(folder.rglob("*.dcm"))}


def test_the_same_seed_gives_the_same_bytes_whatever_the_workers(tmp_path):
    write_phantoms(tmp_path / "a", n=20, size=48, workers=1)
    write_phantoms(tmp_path / "b", n=20, size=48, workers=2)
    write_phantoms(tmp_path / "c", n=20, seed=1, size=48, workers=1)
    assert hashes(tmp_path / "a") == hashes(tmp_path / "b") != hashes(tmp_path / "c")
    assert len(hashes(tmp_path / "a")) == 20


def test_the_plan_has_every_variety(tmp_path):
    shots = plan_phantoms(240)
    for name, values in {"view": 3, "bits": 2, "photometric": 2, "window": 2, "syntax": 3}.items():
        assert len({getattr(shot, name) for shot in shots}) == values
    assert 0.58 < Counter(shot.view for shot in shots)["PA"] / 240 < 0.70
    assert max(Counter(shot.patient for shot in shots).values()) == 3


def test_what_is_written_is_what_was_planned_and_plainly_fictitious(phantoms):
    for shot in plan_phantoms(100)[:12]:
        dataset = pydicom.dcmread(phantoms / shot.path)
        assert dataset.BitsStored == shot.bits and dataset.PhotometricInterpretation == shot.photometric
        assert ("WindowCenter" in dataset) == shot.window
        assert dataset.file_meta.TransferSyntaxUID.keyword == shot.syntax
        assert "Phantom" in str(dataset.PatientName) and "no patient" in dataset.InstitutionName
        assert dataset.StudyDate == "20000101"


def test_a_folder_with_something_in_it_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(SapgganError, match="not empty"):
        write_phantoms(tmp_path, n=8, size=48)
    write_phantoms(tmp_path / "a", n=8, size=48)
    before = hashes(tmp_path / "a")
    write_phantoms(tmp_path / "a", n=8, size=48)
    assert hashes(tmp_path / "a") == before
    with pytest.raises(SapgganError, match="holds other phantoms"):
        write_phantoms(tmp_path / "a", n=9, size=48)


def test_a_killed_writing_goes_on_but_not_as_another_one(tmp_path):
    write_phantoms(tmp_path, n=8, size=48)
    before = hashes(tmp_path)
    (tmp_path / ".phantom.json").rename(tmp_path / ".phantom.partial")   # as if it had been killed
    next(tmp_path.rglob("*.dcm")).unlink()
    with pytest.raises(SapgganError, match="holds other phantoms"):
        write_phantoms(tmp_path, n=4, size=48)
    write_phantoms(tmp_path, n=8, size=48)
    assert hashes(tmp_path) == before


def test_formats_do_not_change_what_is_shown(phantoms):
    for shot in plan_phantoms(100)[:20]:
        pixels, image = read_radiograph(phantoms / shot.path).pixels, phantom_image(*_drawn(shot, 0, 64))
        assert np.corrcoef(pixels.ravel(), image.ravel())[0, 1] > 0.99


def test_an_older_drawing_is_refused_in_a_sentence(tmp_path):
    write_phantoms(tmp_path, n=8, size=48)
    marker = tmp_path / ".phantom.json"
    assert json.loads(marker.read_text()) == {"n": 8, "seed": 0, "size": 48, "findings": 0.0, "drawing": 2}
    marker.write_text('{"n": 8, "seed": 0, "size": 48}')          # as before there were findings
    with pytest.raises(SapgganError, match="an older version drew"):
        write_phantoms(tmp_path, n=8, size=48)


def test_findings_change_nothing_else_of_the_plan_and_stay_at_a_higher_rate():
    plain, some, more = (plan_phantoms(240, findings=rate) for rate in (0.0, 0.3, 0.6))
    assert not any(shot.finding for shot in plain)
    assert [replace(shot, finding="") for shot in more] == plain
    assert all(high.finding == low.finding for low, high in zip(some, more, strict=True) if low.finding)


def test_a_share_of_the_patients_has_a_finding_and_shows_it_in_every_frontal_image():
    shots = plan_phantoms(2000, findings=0.3)
    shown = {}
    for shot in shots:
        shown.setdefault(shot.patient, set()).add(shot.finding if shot.view != "lateral" else None)
        assert shot.view != "lateral" or not shot.finding
    assert all(len(findings - {None}) == 1 for findings in shown.values())
    counts = Counter(next(iter(findings - {None})) for findings in shown.values())
    assert counts.keys() == {"", *FINDINGS} and 0.26 < 1 - counts[""] / len(shown) < 0.34
    assert all(shot.finding for shot in plan_phantoms(50, findings=1.0) if shot.view != "lateral")


def test_the_table_tells_each_images_finding_and_boxes_and_is_no_input(tmp_path):
    shots = write_phantoms(tmp_path / "scans", n=12, size=64, workers=1, findings=0.7)
    with (tmp_path / "scans" / "findings.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["path"], row["patient"], row["view"], row["finding"]) for row in rows] == [
        (shot.path, str(shot.patient), shot.view, shot.finding) for shot in shots
    ]
    for row in rows:
        pixels = pydicom.dcmread(tmp_path / "scans" / row["path"]).pixel_array
        assert bool(row["boxes"]) == bool(row["finding"])
        for box in filter(None, row["boxes"].split(";")):
            x, y, width, height = map(int, box.split(","))
            assert 0 <= x < x + width <= pixels.shape[1] and 0 <= y < y + height <= 64
    summary = preprocess(tmp_path / "scans", tmp_path / "store", PreprocessConfig(size=16), workers=1)
    assert summary.failed == 0 and summary.files == 12
    write_phantoms(tmp_path / "healthy", n=2, size=48, workers=1)
    assert not (tmp_path / "healthy" / "findings.csv").exists()


@pytest.mark.parametrize("rate", [-0.1, 1.5, float("nan")])
def test_a_rate_that_is_none_is_refused(tmp_path, rate):
    with pytest.raises(SapgganError, match="findings 0 to 1"):
        write_phantoms(tmp_path, n=8, size=48, findings=rate)
