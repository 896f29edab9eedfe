import hashlib
from collections import Counter

import numpy as np
import pydicom
import pytest

from sapggan_lib.base.errors import SapgganError
from sapggan_lib.dicom.read import read_radiograph
from sapggan_lib.phantoms.files import phantom_image, plan_phantoms, write_phantoms


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


@pytest.mark.parametrize("view", ["PA", "AP", "lateral"])
def test_a_phantom_has_dark_lungs_light_bone_and_black_air(view):
    for seed in range(6):
        image = phantom_image(seed, 128, view).astype(float) / 65535
        assert image.min() == 0 and 0.5 < image.max() <= 1
        if view != "lateral":
            lungs = np.median(np.hstack([image[45:65, 33:48], image[45:65, 80:95]]))
            assert np.median(image[45:65, 60:68]) > lungs + 0.2
            assert image[0, 0] < 0.05


def test_bodies_differ_and_the_heart_is_on_the_images_right():
    images = np.stack([phantom_image(seed, 96) for seed in range(12)]).astype(float)
    assert np.std(images, axis=0).mean() > 1500
    mean = images.mean(axis=0)
    assert mean[60:70, 56:66].mean() > mean[60:70, 30:40].mean() * 1.05


def test_formats_do_not_change_what_is_shown(phantoms):
    for shot in plan_phantoms(100)[:20]:
        pixels = read_radiograph(phantoms / shot.path).pixels
        assert np.median(pixels[:4, :4]) < 9000           # air, whatever the photometric interpretation
