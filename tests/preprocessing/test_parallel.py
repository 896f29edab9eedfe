import errno
import hashlib
import os
import pickle
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from pydicom import uid
from pydicom.encaps import encapsulate

from sapggan_lib import privacy
from sapggan_lib.base import cluster
from sapggan_lib.base.config import PreprocessConfig
from sapggan_lib.base.errors import SapgganError
from sapggan_lib.phantoms.files import Shot, phantom_dataset, phantom_image
from sapggan_lib.preprocessing import parallel
from sapggan_lib.preprocessing.item import Item
from sapggan_lib.preprocessing.pipeline import preprocess
from sapggan_lib.store.store import open_store, read_manifest

SMALL = PreprocessConfig(size=32, keep_paths=True)
# A child whose decoder misbehaves for the study that the pattern names.
CHILD = """import os, signal, time
from sapggan_lib.preprocessing import item, parallel
plain = item.read_pixels
def read_pixels(dataset):
    if str(dataset.PatientID).endswith("{patient}"):
        {action}
    return plain(dataset)
item.read_pixels = read_pixels
parallel.answer_requests()
"""


@pytest.fixture(scope="module")
def undisturbed(phantoms, tmp_path_factory):
    out = tmp_path_factory.mktemp("undisturbed") / "store"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SAPGGAN_PATIENT_KEY", str(tmp_path_factory.getbasetemp() / "patient-key"))
        preprocess(phantoms, out, SMALL, workers=1)
    return contents(out)


def contents(folder: Path) -> dict[str, str]:
    """Every file below `folder`, hidden ones too, with a hash of its bytes."""
    return {str(f.relative_to(folder)): hashlib.sha256(f.read_bytes()).hexdigest()
            for f in sorted(folder.rglob("*")) if f.is_file()}


def failures(out: Path) -> list[tuple[str, str]]:
    return [(row["path"], row["reason"]) for row in read_manifest(out) if row["status"] == "failed"]


@pytest.mark.parametrize(
    ("action", "reason"),
    [
        ("os.kill(os.getpid(), signal.SIGSEGV)", "the decoder crashed (SIGSEGV)"),
        ("os._exit(3)", "the decoder crashed (exit 3)"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "ended by the system, as when memory runs out"),
        ("while True: pass", "took more than 10 s of processor time to decode"),
        ("time.sleep(60)", "no answer in 4 s, as of storage that hangs or a busy machine"),
        ("bytearray(1 << 40)", "needs more memory than one image should"),
    ],
)
def test_a_file_that_ends_its_decoder_is_a_row_and_the_rest_goes_on(phantoms, tmp_path, monkeypatch, action, reason):
    monkeypatch.setattr(parallel, "WALL_SECONDS", 4)
    hurry = "import signal\nsignal.setitimer = lambda kind, s, plain=signal.setitimer: plain(kind, s / 10)\n"
    code = hurry + CHILD.format(patient="-00003", action=action)
    monkeypatch.setattr(parallel, "CHILD", code)
    few = tmp_path / "few"
    for study in ("study00002", "study00003", "study00004"):
        shutil.copytree(phantoms / study, few / study)
    summary = preprocess(few, tmp_path / "store", SMALL, workers=1)
    failed = failures(tmp_path / "store")
    assert summary.kept >= 2
    assert {path.split("/")[0] for path, _ in failed} == {"study00003"} and {r for _, r in failed} == {reason}


def test_the_order_and_number_of_workers_change_nothing(phantoms, undisturbed, tmp_path):
    preprocess(phantoms, tmp_path / "store", SMALL, workers=3)
    assert contents(tmp_path / "store") == undisturbed


def test_killed_and_started_again_it_ends_with_the_same_bytes(phantoms, undisturbed, tmp_path):
    out = tmp_path / "store"
    code = (f"import sys, time; from sapggan_lib.base.config import PreprocessConfig\n"
            f"from sapggan_lib.preprocessing import parallel, preprocess\n"
            f"parallel.CHILD = {CHILD.format(patient='', action='time.sleep(0.02)')!r}\n"
            f"preprocess({str(phantoms)!r}, {str(out)!r}, {SMALL!r}, workers=2)")
    for wanted in (1, 2):
        process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
        limit = time.monotonic() + 60
        while len(list(out.glob(".work/*/*.json"))) < wanted and time.monotonic() < limit:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.wait()
        with pytest.raises(SapgganError, match="not a finished store"):
            open_store(out)
    finished = {file: file.stat().st_mtime_ns for file in out.glob(".work/*/*.json")}
    assert len(finished) >= 2
    written = []
    plain = parallel.write_json
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parallel, "write_json", lambda path, rows: (written.append(path), plain(path, rows)))
        preprocess(phantoms, out, SMALL, workers=2)
    assert len(written) == 4 - len(finished) and not set(written) & set(finished)
    assert contents(out) == undisturbed


def test_a_full_disk_is_one_line_and_the_next_run_goes_on(phantoms, undisturbed, tmp_path, monkeypatch):
    calls = []

    def save(stream, array):
        calls.append(1)
        if len(calls) == 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        np.lib.format.write_array(stream, array)

    with monkeypatch.context() as patch:
        patch.setattr(parallel.np, "save", save)
        with pytest.raises(SapgganError, match="no space left on the disk"):
            preprocess(phantoms, tmp_path / "store", SMALL, workers=1)
    assert not (tmp_path / "store" / "store.json").exists()
    preprocess(phantoms, tmp_path / "store", SMALL, workers=1)
    assert contents(tmp_path / "store") == undisturbed


def test_dask_with_a_killed_worker_gives_the_same_bytes(phantoms, undisturbed, tmp_path):
    from distributed import LocalCluster

    out = tmp_path / "store"
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50) as machines:
        victim = next(iter(machines.workers.values())).pid

        def kill_half_way() -> None:
            while len(list(out.glob(".work/*/*.json"))) < 2 and not (out / "store.json").exists():
                time.sleep(0.002)
            os.kill(victim, signal.SIGKILL)

        killer = threading.Thread(target=kill_half_way)
        killer.start()
        preprocess(phantoms, out, SMALL, scheduler=machines.scheduler_address)
        killer.join()
    assert contents(out) == undisturbed


@pytest.mark.parametrize(("address", "message"), [("tcp://127.0.0.1:9", "no Dask scheduler answers"),
                                                  ("nonsense", "no Dask scheduler answers")])
def test_a_scheduler_that_is_not_there_is_one_line(phantoms, tmp_path, monkeypatch, address, message):
    monkeypatch.setattr(cluster, "TIMEOUT", 1)
    with pytest.raises(SapgganError, match=message):
        preprocess(phantoms, tmp_path / "store", SMALL, scheduler=address)


def test_a_worker_that_does_not_see_the_storage_says_so(phantoms, tmp_path):
    shard = parallel.Shard(0, [], SMALL, "", phantoms, tmp_path / "elsewhere")
    with pytest.raises(SapgganError, match="must be on storage that every worker sees"):
        parallel.run_shard(shard)


def test_a_worker_reads_the_key_for_itself_and_takes_no_other(phantoms, tmp_path, monkeypatch):
    """Neither the key nor a table's patient is in what is sent to it."""
    key = privacy.patient_key()
    item = Item("path", str(phantoms / "study00001" / "image1.dcm"), patient=privacy.patient_hash(key, "Doe"))
    shard = parallel.Shard(0, [item], SMALL, privacy.key_mark(key), phantoms, tmp_path)
    sent = pickle.dumps(shard)
    assert key not in sent and key.hex().encode() not in sent and b"Doe" not in sent
    monkeypatch.setenv("SAPGGAN_PATIENT_KEY", str(tmp_path / "other-key"))
    with pytest.raises(SapgganError, match="the key of the patient hashes cannot be read"):
        parallel.run_shard(shard)
    (tmp_path / "other-key").write_text("6b" * 32)
    with pytest.raises(SapgganError, match=r"other-key on .*: another key than that of the machine that began this"):
        parallel.run_shard(shard)


def test_a_stream_that_libjpeg_only_complains_about_fails(tmp_path, monkeypatch):
    """libjpeg prints "Corrupt JPEG data" and fills in gray; also when an earlier file made it print much."""
    talk = 'if "said" not in globals(): globals()["said"] = os.write(2, bytes(100_000))'
    monkeypatch.setattr(parallel, "CHILD", CHILD.format(patient="", action=talk))
    picture = (phantom_image(0, 96) >> 8).astype(np.uint8)
    stream = cv2.imencode(".jpg", picture)[1].tobytes()
    for name, data in (("whole", stream), ("broken", stream[: len(stream) // 2] + b"\xff\xd9")):
        dataset = phantom_dataset(Shot("", 1, 1, "PA", 12, "MONOCHROME2", False, "ExplicitVRLittleEndian"), 0, 96)
        dataset.Rows, dataset.Columns = picture.shape
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
        dataset.file_meta.TransferSyntaxUID = uid.JPEGBaseline8Bit
        dataset.PixelData = encapsulate([data])
        dataset.save_as(tmp_path / name, enforce_file_format=True)
    with parallel.Guard() as guard:
        rows = {name: guard(Item(name, str(tmp_path / name)), SMALL, b"key")[0] for name in ("whole", "broken")}
    assert rows["whole"]["status"] == "kept"
    assert (rows["broken"]["status"], rows["broken"]["reason"]) == ("failed", "corrupt JPEG data")


def test_two_runs_into_one_store_are_refused(phantoms, tmp_path):
    import fcntl

    (tmp_path / "store" / ".work").mkdir(parents=True)
    with (tmp_path / "store" / ".work" / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(SapgganError, match="another sapggan preprocess is writing here"):
            preprocess(phantoms, tmp_path / "store", SMALL)


def test_an_interrupted_run_stops_after_the_file_in_work(phantoms, tmp_path):
    stop = threading.Event()
    stop.set()
    with parallel.Guard(stop) as guard, pytest.raises(SapgganError, match="stopped; run again to go on"):
        guard(Item("x", str(phantoms / "study00001" / "image1.dcm")), SMALL, b"key")
