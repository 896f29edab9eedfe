import os
import shutil
import tracemalloc

import cv2
import numpy as np
import pytest

from sapggan_lib.base.config import PreprocessConfig
from sapggan_lib.base.errors import SapgganError
from sapggan_lib.phantoms.files import Shot, phantom_dataset, plan_phantoms
from sapggan_lib.preprocessing.pipeline import preprocess
from sapggan_lib.preprocessing.sources import list_inputs
from sapggan_lib.store.store import open_store, read_manifest

SMALL = PreprocessConfig(size=32, keep_paths=True)
ALL = PreprocessConfig(size=32, unknown_view="keep", crop=0.0, clip_limit=0.0, keep_paths=True)
IMAGES = np.random.default_rng(0).integers(0, 256, (6, 32, 32), dtype=np.uint8)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "images").mkdir()
    for i, image in enumerate(IMAGES):
        cv2.imwrite(str(tmp_path / "images" / f"{i}.png"), image)
    return tmp_path / "images"


def test_a_table_beside_the_images_is_found_and_named(folder, tmp_path):
    (folder / "Data_Entry.csv").write_text("Image Index,View Position,Patient ID\n0.png,PA,1\n1.png,AP,2\n2.png,PA,1\n")
    summary = preprocess(folder, tmp_path / "store", SMALL, workers=1)
    assert summary.table == "Data_Entry.csv" and summary.text().startswith("views from Data_Entry.csv\n6 files: 2 kept")
    rows = {row["path"]: row for row in read_manifest(tmp_path / "store")}
    assert [rows[f"{i}.png"]["reason"] for i in range(6)] == ["", "AP", "", *["view unknown"] * 3]
    assert rows["0.png"]["patient"] == rows["2.png"]["patient"] != rows["1.png"]["patient"]


def test_images_without_a_table_are_a_question(folder, tmp_path):
    with pytest.raises(SapgganError, match="6 image files and nothing that tells their views; name a CSV with "
                                           "--table, or take all of them with --unknown-view keep"):
        preprocess(folder, tmp_path / "store", SMALL)
    with pytest.raises(SapgganError, match=r'column "file" names none of the 6 files'):
        (tmp_path / "other.csv").write_text("file,view\nx.png,PA\n")
        preprocess(folder, tmp_path / "store", SMALL, table=tmp_path / "other.csv")


@pytest.mark.parametrize("channels", [1, 3])
def test_a_plain_folder_of_colour_images_keeps_its_colours(tmp_path, channels):
    (tmp_path / "faces").mkdir()
    image = np.zeros((64, 48, 3), np.uint8)
    image[..., 2], image[:32, :, 1] = 200, 90                          # OpenCV's order: red, half with green
    cv2.imwrite(str(tmp_path / "faces" / "1.png"), image)
    config = PreprocessConfig(size=32, unknown_view="keep", crop=0.0, clip_limit=0.0, channels=channels)
    preprocess(tmp_path / "faces", tmp_path / "store", config, workers=1)
    stored = open_store(tmp_path / "store").images
    if channels == 3:
        assert stored[0, 0, 0].tolist() == [200, 90, 0] and stored[0, -1, 0].tolist() == [200, 0, 0]
    else:
        assert stored.shape == (1, 32, 32)


def test_sixteen_bit_images_are_windowed_not_saturated(tmp_path):
    (tmp_path / "png").mkdir()
    ramp = np.tile(np.linspace(20_000, 24_000, 64).astype(np.uint16), (64, 1))
    cv2.imwrite(str(tmp_path / "png" / "1.png"), ramp)
    preprocess(tmp_path / "png", tmp_path / "store", ALL, workers=1)
    line = open_store(tmp_path / "store").images[0, 0].astype(int)
    assert line[0] < 5 and line[-1] > 250 and (np.diff(line) > 0).all()


def test_links_are_followed_once_and_a_broken_one_is_a_row(phantoms, tmp_path):
    source = tmp_path / "source"
    shutil.copytree(phantoms / "study00001", source / "a")
    (source / "b").symlink_to(phantoms / "study00002")
    (source / "again").symlink_to(source)
    (source / "a" / "broken.dcm").symlink_to(source / "nowhere")
    os.mkfifo(source / "pipe")
    summary = preprocess(source, tmp_path / "store", ALL, workers=1)
    reasons = {row["path"]: row["reason"] for row in read_manifest(tmp_path / "store")}
    assert reasons["a/broken.dcm"] == "a link to nothing" and reasons["pipe"] == "not a file"
    assert summary.failed == 2 and "b/image1.dcm" in reasons and not any("again" in path for path in reasons)


def test_odd_names_are_rows_of_valid_text(phantoms, tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    pa = next(shot.path for shot in plan_phantoms(100) if shot.view == "PA")
    names = "größe 測試.dcm".encode(), b'quo"te,comma', b"-rf", b"=cmd|' '!A", b".hidden"
    for name in (b"new\nline.dcm", b"l\xe4tin1", *names):
        shutil.copy(phantoms / pa, os.fsencode(source) + b"/" + name)
    summary = preprocess(source, tmp_path / "store", ALL, workers=1)
    paths = sorted(row["path"] for row in read_manifest(tmp_path / "store"))
    assert paths == sorted(["new\\nline.dcm", "l\\xe4tin1", "größe 測試.dcm", 'quo"te,comma', "./-rf", "./=cmd|' '!A"])
    assert summary.failed == 0


def test_a_table_tells_the_view_where_the_header_does_not(tmp_path):
    (tmp_path / "siim").mkdir()
    for i, view in enumerate(("", "", "LL")):
        dataset = phantom_dataset(Shot("", i, 1, "PA", 12, "MONOCHROME2", True, "ExplicitVRLittleEndian"), 0, 64)
        dataset.ViewPosition, dataset.SeriesDescription, dataset.PatientOrientation = view, "", ""
        dataset.save_as(tmp_path / "siim" / f"{i}.dcm", enforce_file_format=True)
    (tmp_path / "views.csv").write_text("image_id,view\n0,PA\n1,AP\n2,PA\n")
    preprocess(tmp_path / "siim", tmp_path / "store", SMALL, table=tmp_path / "views.csv", workers=1)
    rows = list(read_manifest(tmp_path / "store"))
    assert [(row["view"], row["evidence"]) for row in rows] == [("PA", "table"), ("AP", "table"),
                                                                 ("lateral", "ViewPosition LL")]


def test_an_edited_table_is_seen(folder, tmp_path):
    table = tmp_path / "table.csv"
    for last, patient in (("AP", "1"), ("PA", "1"), ("PA", "2")):
        table.write_text(f"file,view,patient\n0.png,PA,1\n1.png,{last},{patient}\n")
        summary = preprocess(folder, tmp_path / "store", SMALL, table=table, workers=1, renew=True)
        assert not summary.already_done and summary.kept == 1 + (last == "PA")
    table.write_text("file,view,patient\n0.png,PA,1\n1.png,PA,1\n")
    with pytest.raises(SapgganError, match=r"holds a store of other files than .* and the table have now"):
        preprocess(folder, tmp_path / "store", SMALL, table=table, workers=1)


def test_a_listing_of_many_files_takes_no_memory(tmp_path):
    """20,000 files with long names: what is held of them is far below their names alone."""
    (tmp_path / "source").mkdir()
    for number in range(20_000):
        (tmp_path / "source" / f"{number:0200d}").touch()
    listing = list_inputs(tmp_path / "source", tmp_path / "out", None, ALL, b"key")
    tracemalloc.start()
    assert sum(1 for _ in listing) == listing.count == 20_000 and len(listing.facts["inputs"]) == 64
    assert tracemalloc.get_traced_memory()[1] < 1e6
    tracemalloc.stop()
