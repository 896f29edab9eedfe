"""Full and read-only disks, real ones: small file systems that are mounted in a namespace of the test's own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from sapggan_lib.models import build_generator, save_generator
from sapggan_lib.store.store import write_store

UNSHARE = ["unshare", "--user", "--map-root-user", "--mount"]
TRAIN = "train --data store --set model.widths=[8,8,8] --set model.latent=8 --set batch=4 --kimg 0.012 --out"
SAMPLE = "sample generator.safetensors --n 40 --format"
CASES = {
    "png full": f"{SAMPLE} png full/png",
    "png read-only": f"{SAMPLE} png ro/folder",
    "png new": f"{SAMPLE} png ro/new",
    "png file": f"{SAMPLE} png ro/file",
    "dicom full": f"{SAMPLE} dicom full/dicom",
    "dicom read-only": f"{SAMPLE} dicom ro/folder",
    "dicom file": f"{SAMPLE} dicom ro/file",
    "train read-only": f"{TRAIN} ro/folder",
    "train new": f"{TRAIN} ro/new",
    "train file": f"{TRAIN} generator.json",
    "train below a file": f"{TRAIN} generator.json/run",
    "train full": f"{TRAIN} full/run",
}
SAID = {"full": "no space left on the disk; free some", "read-only": "no permission to write; choose another folder",
        "new": "no permission to write; choose another folder", "file": "a file lies where a folder must be"}
PROGRAM = """
import contextlib, io, json, os, subprocess, sys
from pathlib import Path
os.makedirs("ro"), os.makedirs("full")
prepare = "mount -t tmpfs t ro && mkdir ro/folder && touch ro/file && mount -o remount,ro ro"
subprocess.run(prepare, shell=True, check=True)
from sapggan_lib import cli
from sapggan_lib.training import preflight
preflight.shutil.disk_usage = lambda folder: type("Usage", (), {"free": 1e12})   # it may fill up later
results = {}
for name, arguments in json.loads(sys.argv[1]).items():
    subprocess.run("mount -t tmpfs -o size=40k t full", shell=True, check=True)
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        status = cli.main(arguments.split())
    files = {str(path): path.stat().st_size for path in Path("full").rglob("*") if path.is_file()}
    results[name] = status, said.getvalue().splitlines()[-1:], files
    subprocess.run("umount -l full", shell=True, check=True)
print(json.dumps(results))
"""


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Exit status, last line and files on the full disk, for each of `CASES`."""
    folder = tmp_path_factory.mktemp("disks")
    try:
        subprocess.run([*UNSHARE, "mount", "-t", "tmpfs", "t", str(folder)], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no file systems can be mounted here")
    torch.manual_seed(0)
    generator = build_generator("sapggan", resolution=16, latent=8, widths=(8, 8, 8))
    save_generator(folder / "generator.safetensors", generator, {})
    write_store(folder / "store", np.random.default_rng(0).integers(0, 256, (8, 16, 16), dtype=np.uint8))
    command = [*UNSHARE, sys.executable, "-c", PROGRAM, json.dumps(CASES)]
    package = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(command, cwd=folder, env=package, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", CASES)
def test_a_disk_that_cannot_be_written_is_one_sentence_and_nothing_partial_looks_finished(results, name):
    status, said, files = results[name]
    assert status == 1 and SAID[name.split()[-1]] in said[0] and "unexpected" not in said[0]
    assert all(size > 100 for path, size in files.items() if not path.endswith((".lock", "log.jsonl")))
    assert not any(path.endswith(".partial") for path in files)
