import json
import os
import shutil
import time

import pytest

from sapggan_lib.base.config import PreprocessConfig
from sapggan_lib.base.errors import SapgganError
from sapggan_lib.phantoms.files import plan_phantoms
from sapggan_lib.preprocessing.pipeline import preprocess
from sapggan_lib.store.store import open_store

SMALL = PreprocessConfig(size=32)


def test_a_finished_store_is_left_alone_and_another_one_is_a_question(phantoms, tmp_path):
    few, out = tmp_path / "few", tmp_path / "store"
    shutil.copytree(phantoms / "study00002", few)
    preprocess(few, out, SMALL, workers=1)
    before = (out / "images.npy").stat().st_mtime_ns
    again = preprocess(few, out, SMALL, workers=1)
    assert again.already_done and "already done" in again.text()
    assert (out / "images.npy").stat().st_mtime_ns == before
    with pytest.raises(SapgganError, match="holds a store made with size 32, not 64; choose another folder"):
        preprocess(few, out, PreprocessConfig(size=64), workers=1)
    for file in few.iterdir():                                    # copied again: newer, and the same
        os.utime(file, (time.time() + 60,) * 2)
    assert preprocess(few, out, SMALL, workers=1).already_done
    data = bytearray(file.read_bytes())
    data[-2] ^= 1
    file.write_bytes(data)
    os.utime(file, (time.time() + 60,) * 2)
    with pytest.raises(SapgganError, match="holds a store of other files"):
        preprocess(few, out, SMALL, workers=1)
    file.unlink()
    with pytest.raises(SapgganError, match=r"holds a store of other files|no files"):
        preprocess(few, out, SMALL, workers=1)


def test_a_file_replaced_by_one_of_equal_size_and_time_is_seen(phantoms, tmp_path):
    few = tmp_path / "few"
    shutil.copytree(phantoms / "study00002", few)
    preprocess(few, tmp_path / "store", SMALL, workers=1)
    file = next(few.iterdir())
    times, data = file.stat(), bytearray(file.read_bytes())
    data[-2] ^= 1
    file.write_bytes(data)
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    with pytest.raises(SapgganError, match="holds a store of other files"):
        preprocess(few, tmp_path / "store", SMALL, workers=1)
    assert not preprocess(few, tmp_path / "store", SMALL, workers=1, renew=True).already_done
    assert preprocess(few, tmp_path / "store", SMALL, workers=1).already_done


def test_a_damaged_or_older_store_is_one_sentence(phantoms, tmp_path):
    preprocess(phantoms / "study00002", tmp_path / "store", SMALL, workers=1)
    facts = json.loads((tmp_path / "store" / "store.json").read_text())
    del facts["config"]["burned_in"]
    for text, message in ((json.dumps(facts), "holds a store of an older version"), ("{", "damaged store"),
                          ("{}", "damaged store")):
        (tmp_path / "store" / "store.json").write_text(text)
        with pytest.raises(SapgganError, match=message):
            preprocess(phantoms / "study00002", tmp_path / "store", SMALL, workers=1)


@pytest.mark.parametrize(("clip_limit", "refused"), [(2.0, True), (0.0, False)])
def test_a_store_whose_clip_limit_meant_something_else_is_not_taken_for_this_one(
    phantoms, tmp_path, clip_limit, refused
):
    source, out, config = phantoms / "study00002", tmp_path / "store", PreprocessConfig(size=32, clip_limit=clip_limit)
    preprocess(source, out, config, workers=1)
    facts = json.loads((out / "store.json").read_text())
    assert facts.pop("clahe") == "2"
    (out / "store.json").write_text(json.dumps(facts))
    if refused:
        with pytest.raises(SapgganError, match="an older version, whose clip limit meant"):
            preprocess(source, out, config, workers=1)
        assert not preprocess(source, out, config, workers=1, renew=True).already_done
    assert preprocess(source, out, config, workers=1).already_done
    assert json.loads((out / "store.json").read_text())["clahe"] == "2"


def test_failed_files_are_tried_again_and_the_store_is_as_if_they_never_failed(phantoms, tmp_path):
    few = tmp_path / "few"
    for study in ("study00002", "study00003", "study00004"):
        shutil.copytree(phantoms / study, few / study)
    kept = next(shot.path for shot in plan_phantoms(100) if shot.view == "PA" and (few / shot.path).exists())
    whole = (few / kept).read_bytes()
    preprocess(few, tmp_path / "undisturbed", SMALL, workers=1)
    (few / kept).write_bytes(b"")
    assert preprocess(few, tmp_path / "store", SMALL, workers=1).failed == 1
    assert preprocess(few, tmp_path / "store", SMALL, workers=1, retry_failed=True).failed == 1
    (few / kept).write_bytes(whole)
    with pytest.raises(SapgganError, match="1 of the files that failed have changed since; --retry-failed tries"):
        preprocess(few, tmp_path / "store", SMALL, workers=1)
    summary = preprocess(few, tmp_path / "store", SMALL, workers=1, retry_failed=True)
    assert (summary.failed, summary.already_done) == (0, False)
    for name in ("images.npy", "manifest.csv"):
        assert (tmp_path / "store" / name).read_bytes() == (tmp_path / "undisturbed" / name).read_bytes()
    assert open_store(tmp_path / "store").hash == open_store(tmp_path / "undisturbed").hash
