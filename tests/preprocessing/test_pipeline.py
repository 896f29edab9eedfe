import resource
import shutil
import signal
import subprocess
import sys

import numpy as np
import pydicom
import pytest
from pydicom import uid
from pydicom.dataset import Dataset

from sapggan_lib.base.config import PreprocessConfig
from sapggan_lib.base.errors import SapgganError
from sapggan_lib.phantoms.files import Shot, phantom_dataset, plan_phantoms
from sapggan_lib.preprocessing.pipeline import preprocess
from sapggan_lib.store.store import open_store, read_manifest

SMALL = PreprocessConfig(size=32)
NAMED = PreprocessConfig(size=32, keep_paths=True)


def test_phantoms_become_a_store_of_their_pa_images(phantoms, tmp_path):
    summary = preprocess(phantoms, tmp_path / "store", SMALL, workers=2)
    views = [shot.view for shot in plan_phantoms(100)]
    assert (summary.kept, summary.failed) == (views.count("PA"), 0)
    assert summary.dropped == {"lateral": views.count("lateral"), "AP": views.count("AP")}
    store = open_store(tmp_path / "store")
    assert store.images.shape == (summary.kept, 32, 32) and store.manifest.shape[0] == 100


def test_real_dicom_keeps_the_pa_chests_whose_header_says_so(shared_data, tmp_path):
    preprocess(shared_data / "dicom", tmp_path / "store", NAMED, workers=1)
    manifest = open_store(tmp_path / "store").manifest.set_index("path")
    reasons = {path.split("/")[1].split("_")[0]: reason for path, reason in manifest["reason"].items()}
    assert reasons == {"canon": "", "nema": "", "siim": "", "nih": "view unknown", "RG2": "not a chest",
                       "RG3": "not a chest"}


def test_kept_images_have_dark_lungs_and_a_light_spine(shared_data, tmp_path):
    preprocess(shared_data / "dicom", tmp_path / "store", PreprocessConfig(size=64, unknown_view="keep"), workers=1)
    images = open_store(tmp_path / "store").images.astype(float)
    assert len(images) == 4
    for image in images:
        lungs = (np.median(image[20:32, 12:22]) + np.median(image[20:32, 42:52])) / 2
        assert np.median(image[20:44, 29:35]) > lungs + 25


@pytest.mark.parametrize(("folder", "message"), [("missing", "no such folder"), ("empty", "no files")])
def test_nothing_to_read_is_one_line(tmp_path, folder, message):
    (tmp_path / "empty").mkdir()
    with pytest.raises(SapgganError, match=message):
        preprocess(tmp_path / folder, tmp_path / "store", SMALL)
    assert not (tmp_path / "store").exists()


def test_a_folder_of_lateral_images_is_one_line_and_a_manifest(phantoms, tmp_path):
    for shot in (shot for shot in plan_phantoms(100) if shot.view == "lateral"):
        (tmp_path / "source").mkdir(exist_ok=True)
        shutil.copy(phantoms / shot.path, tmp_path / "source" / f"{shot.patient}.dcm")
    with pytest.raises(SapgganError, match=r"none of (\d+) files can be used: \1 lateral; .*manifest\.csv tells why"):
        preprocess(tmp_path / "source", tmp_path / "store", SMALL, workers=1)
    assert [f.name for f in (tmp_path / "store").iterdir()] == ["manifest.csv"]


def test_bad_files_are_rows_with_reasons_and_never_stop_the_rest(phantoms, tmp_path):
    source = tmp_path / "source"
    shutil.copytree(phantoms / "study00002", source)
    shots = {shot.syntax: shot.path for shot in plan_phantoms(100) if shot.view == "PA"}
    for syntax, path in shots.items():
        data = (phantoms / path).read_bytes()
        (source / f"cut-{syntax}.dcm").write_bytes(data[: len(data) * 2 // 3])
    (source / "x.dcm").write_text("this is no image\n")
    (source / "empty.dcm").touch()
    (source / "locked").mkdir()
    summary = preprocess(source, tmp_path / "store", NAMED, workers=1)
    reasons = {row["path"]: row["reason"] for row in read_manifest(tmp_path / "store") if row["status"] == "failed"}
    assert set(reasons) == {"x.dcm", "empty.dcm", *(f"cut-{syntax}.dcm" for syntax in shots)}
    assert reasons["x.dcm"] == reasons["empty.dcm"] == 'not a DICOM file (no "DICM" at byte 128)'
    assert "bytes of pixels where" in reasons["cut-ExplicitVRLittleEndian.dcm"]
    assert summary.failed == 5 and "first failure: cut-Explicit" in summary.text()


def test_every_lossless_encoding_of_a_real_image_gives_the_same_images(shared_data, tmp_path):
    dataset = pydicom.dcmread(shared_data / "dicom" / "chest" / "canon_dx_pa_mono1_j2klossless_966.dcm")
    dataset.decompress(generate_instance_uid=False)
    plain = dataset.PixelData
    for syntax in ("ExplicitVRLittleEndian", "ImplicitVRLittleEndian", "DeflatedExplicitVRLittleEndian",
                   "ExplicitVRBigEndian", "RLELossless", "JPEGLSLossless", "JPEG2000Lossless"):
        dataset.PixelData, dataset.file_meta.TransferSyntaxUID = plain, uid.ExplicitVRLittleEndian
        if syntax in ("RLELossless", "JPEGLSLossless", "JPEG2000Lossless"):
            dataset.compress(getattr(uid, syntax), generate_instance_uid=False)
        elif syntax == "ExplicitVRBigEndian":
            dataset.PixelData = np.frombuffer(plain, "<u2").astype(">u2").tobytes()
        dataset.file_meta.TransferSyntaxUID = getattr(uid, syntax)
        (tmp_path / "source").mkdir(exist_ok=True)
        # A plain Dataset, as pydicom does not turn what it read as little endian to big.
        plain_dataset = Dataset(dict(dataset.items()))
        plain_dataset.file_meta = dataset.file_meta
        plain_dataset.save_as(tmp_path / "source" / syntax, enforce_file_format=True)
    summary = preprocess(tmp_path / "source", tmp_path / "store", PreprocessConfig(size=128), workers=2)
    images = open_store(tmp_path / "store").images
    assert summary.kept == 7 and all((image == images[0]).all() for image in images)
    syntaxes = {row["transfer_syntax"] for row in read_manifest(tmp_path / "store")}
    assert len(syntaxes) == 7


def test_the_patient_hash_depends_on_the_key_and_groups_a_patients_files(phantoms, tmp_path, monkeypatch):
    few = tmp_path / "few"
    for study in ("study00002", "study00003", "study00004"):
        shutil.copytree(phantoms / study, few / study)

    def patients(name):
        preprocess(few, tmp_path / name, SMALL, workers=1)
        return [row["patient"] for row in read_manifest(tmp_path / name)]

    first = patients("a")
    assert len(set(first)) == 3 < len(first)
    monkeypatch.setenv("SAPGGAN_PATIENT_KEY", str(tmp_path / "other-key"))
    assert set(patients("b")).isdisjoint(first)
    assert (tmp_path / "other-key").stat().st_mode & 0o077 == 0
    (tmp_path / "other-key").write_text("nonsense")
    with pytest.raises(SapgganError, match="not a patient key"):
        patients("c")


def test_text_burned_into_an_image_drops_it_unless_someone_looked(tmp_path):
    (tmp_path / "source").mkdir()
    for number, says in enumerate(("YES", "NO", "")):
        dataset = phantom_dataset(Shot("", number, 1, "PA", 12, "MONOCHROME2", True, "ExplicitVRLittleEndian"), 0, 64)
        dataset.BurnedInAnnotation = says
        dataset.save_as(tmp_path / "source" / f"{number}.dcm", enforce_file_format=True)
    summary = preprocess(tmp_path / "source", tmp_path / "store", SMALL, workers=1)
    assert (summary.kept, summary.dropped) == (2, {"burned-in annotation": 1})
    keep = PreprocessConfig(size=32, burned_in="keep")
    assert preprocess(tmp_path / "source", tmp_path / "kept", keep, workers=1).kept == 3
    assert [row["notes"] for row in read_manifest(tmp_path / "kept")].count("burned-in annotation") == 1


def test_a_killed_assembly_leaves_no_store_and_is_done_again(phantoms, tmp_path):
    """SIGKILL while the images are written, then while the manifest is."""
    few, out = tmp_path / "few", tmp_path / "store"
    shutil.copytree(phantoms / "study00002", few)
    preprocess(few, tmp_path / "undisturbed", SMALL, workers=1)
    for moment in ("write_array_header_1_0", "replace"):
        code = f"""
import os, signal, numpy as np, pathlib
from sapggan_lib.base.config import PreprocessConfig
from sapggan_lib.preprocessing import preprocess
from sapggan_lib.store import store
def die(*_): os.kill(os.getpid(), signal.SIGKILL)
if {moment!r} == "replace":
    plain = store.write_manifest
    store.write_manifest = lambda *a: (plain(*a), die())
else:
    np.lib.format.write_array_header_1_0 = die
preprocess({str(few)!r}, {str(out)!r}, PreprocessConfig(size=32), workers=1)"""
        assert subprocess.run([sys.executable, "-c", code], stderr=subprocess.DEVNULL).returncode == -signal.SIGKILL
        with pytest.raises(SapgganError, match="not a finished store"):
            open_store(out)
        assert list(out.glob(".*.partial"))
    preprocess(few, out, SMALL, workers=1)
    assert sorted(file.name for file in out.iterdir()) == ["images.npy", "manifest.csv", "store.json"]
    assert (out / "images.npy").read_bytes() == (tmp_path / "undisturbed" / "images.npy").read_bytes()


def test_a_files_name_does_not_change_its_crop_and_the_seed_does(phantoms, tmp_path):
    path = next(shot.path for shot in plan_phantoms(100) if shot.view == "PA")
    stores = []
    for name, seed in (("a", 0), ("zz", 0), ("a", 1)):
        source = tmp_path / f"{name}{seed}"
        source.mkdir()
        shutil.copy(phantoms / path, source / name)
        preprocess(source, tmp_path / f"out-{name}{seed}", PreprocessConfig(size=48, crop=0.3, seed=seed), workers=1)
        stores.append(open_store(tmp_path / f"out-{name}{seed}").images)
    assert (stores[0] == stores[1]).all() and (stores[0] != stores[2]).any()


def test_nih_keeps_its_pa_images_and_drops_ap(shared_data, tmp_path):
    summary = preprocess(shared_data / "nih", tmp_path / "store", PreprocessConfig(size=64),
                         table=shared_data / "nih" / "Data_Entry.csv")
    assert (summary.files, summary.kept, summary.dropped, summary.failed) == (1468, 799, {"AP": 669}, 0)
    assert summary.text().splitlines()[1] == "1,468 files: 799 kept, 669 dropped (669 AP), 0 failed"


@pytest.mark.parametrize(("channels", "format"), [(3, "npy"), (1, "pickle"), (3, "pickle")])
def test_duplicated_channels_and_the_papers_pickle(phantoms, tmp_path, channels, format):
    few = tmp_path / "few"
    shutil.copytree(phantoms / "study00002", few)
    preprocess(few, tmp_path / "gray", SMALL, workers=1)
    preprocess(few, tmp_path / "store", PreprocessConfig(size=32, channels=channels, format=format), workers=1)
    gray, images = open_store(tmp_path / "gray").images, open_store(tmp_path / "store").images
    np.testing.assert_array_equal(images, gray if channels == 1 else np.repeat(gray[..., None], 3, axis=3))


def test_memory_stays_flat_however_many_images(tmp_path):
    """4,000 small images in an array file: the process's peak grows by less than the store holds."""
    images = np.random.default_rng(0).integers(0, 256, (500, 32, 32), dtype=np.uint8)
    (tmp_path / "source").mkdir()
    np.savez(tmp_path / "source" / "many.npz", train_images=np.tile(images, (8, 1, 1)))
    config = PreprocessConfig(size=128, crop=0.0, clip_limit=0.0, unknown_view="keep")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    summary = preprocess(tmp_path / "source", tmp_path / "store", config, workers=2)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    assert summary.kept == 4000 and grown < 40e6 < (tmp_path / "store" / "images.npy").stat().st_size


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (PreprocessConfig(size=4), "size must be 8 to 4096 pixels, not 4"),
        (PreprocessConfig(crop=5.0), r"crop must be 0 to 0\.9, not 5\.0; 0\.05 removes 5 %"),
        (PreprocessConfig(clip_limit=-1.0), "clip limit must be"),
        (PreprocessConfig(clip_limit=0.5), "0 \\(off\\) or 1"),
        (PreprocessConfig(seed=-1), "seed must be 0 or more"),
    ],
)
def test_absurd_settings_are_refused(phantoms, tmp_path, config, message):
    with pytest.raises(SapgganError, match=message):
        preprocess(phantoms, tmp_path / "store", config)


def test_source_and_store_may_not_be_one(phantoms, tmp_path):
    with pytest.raises(SapgganError, match="cannot be its own source"):
        preprocess(phantoms, phantoms, SMALL)
    with pytest.raises(SapgganError, match="not a folder"):
        preprocess(phantoms / "study00002" / "image1.dcm", tmp_path / "store", SMALL)
