"""What a killed, torn or doubled training leaves, and how it goes on."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from sapggan_lib.base.errors import SapgganError
from sapggan_lib.models import generate, load_generator
from sapggan_lib.store.store import write_store
from sapggan_lib.training.log import read_log
from sapggan_lib.training.loop import train
from tests.training.test_loop import assert_same, config, images, weights

COMMAND = [
    sys.executable, "-m", "sapggan_lib.cli", "train", "--kimg", "1.2", "--data", "store",
    *(part for setting in ("model.widths=[8,8,8]", "model.latent=8", "batch=4", "device=cpu", "compile=false",
                           "checkpoint_kimg=0.06", "log_kimg=0.02", "sample_kimg=0.1") for part in ("--set", setting)),
]  # fmt: skip


def test_killed_at_any_moment_it_goes_on_at_once_to_the_weights_of_one_that_never_stopped(tmp_path):
    write_store(tmp_path / "store", images())
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}

    def start(out, *more):
        return subprocess.Popen([*COMMAND, "--out", out, *more], cwd=tmp_path, env=environment, stderr=subprocess.PIPE)

    with start("whole") as whole:
        said = whole.communicate(timeout=200)[1].decode()
    assert whole.returncode == 0, said
    checkpoint, kills, done = tmp_path / "parts" / "checkpoint.pt", 0, False
    moment = random.Random(os.getpid())
    while not done:
        with start("parts", *["--resume"] * checkpoint.exists()) as part:
            if kills < 3:
                before = checkpoint.stat().st_mtime_ns if checkpoint.exists() else 0
                while part.poll() is None and (not checkpoint.exists() or checkpoint.stat().st_mtime_ns == before):
                    time.sleep(0.002)
                time.sleep(moment.uniform(0, 0.3))                 # between any two writes, or inside one
                part.kill()
                kills += 1
            said = part.communicate(timeout=200)[1].decode()
            done = part.returncode == 0
        assert part.returncode in (0, -signal.SIGKILL), said
    assert kills == 3
    assert_same(weights(tmp_path / "whole")["ema"], weights(tmp_path / "parts")["ema"])
    assert_same(weights(tmp_path / "whole")["discriminator"], weights(tmp_path / "parts")["discriminator"])
    assert_same(load_generator(tmp_path / "whole").state_dict(), load_generator(tmp_path / "parts").state_dict())
    steps = [[line["step"] for line in read_log(tmp_path / name)] for name in ("whole", "parts")]
    assert steps[0] == steps[1]
    names = [sorted(p.relative_to(tmp_path / n) for p in (tmp_path / n).rglob("*")) for n in ("whole", "parts")]
    assert names[0] == names[1]                                    # no `.partial` of a killed one either


def test_two_trainings_in_one_folder_are_refused(tmp_path):
    refused = []

    def second(kimg, generator):
        for resume in (False, True):
            with pytest.raises(SapgganError, match=r"run: another training writes here; wait for it"):
                train(images(), tmp_path / "run", config(), resume=resume)
            refused.append(resume)
        return {}

    train(images(), tmp_path / "run", config(snapshot_kimg=(0.016,), checkpoint_kimg=0.008), on_snapshot=second)
    assert refused == [False, True] * 2
    train(images(), tmp_path / "run", config(0.048), resume=True)  # free again


def test_nothing_to_resume_leaves_no_folder(tmp_path):
    with pytest.raises(SapgganError, match="no checkpoint to resume from"):
        train(images(), tmp_path / "typo", config(), resume=True)
    assert not (tmp_path / "typo").exists()


@pytest.mark.parametrize("torn", ['{"kimg": 0.03, "st', "\0\0\0\0", '{"kimg"', "12", "{}"])
def test_a_torn_last_line_is_cut_away_and_written_anew(tmp_path, torn):
    train(images(), tmp_path / "run", config(log_kimg=0.008))
    log = tmp_path / "run" / "log.jsonl"
    whole = log.read_text().splitlines()
    log.write_text("\n".join(whole) + "\n" + torn)
    assert read_log(tmp_path / "run") == [json.loads(line) for line in whole]
    result = train(images(), tmp_path / "run", config(0.048, log_kimg=0.008), resume=True)
    assert [json.loads(line)["step"] for line in log.read_text().splitlines()] == [1, 2, 3, 4, 5, 6]
    assert result.log == read_log(tmp_path / "run")


def test_a_damaged_line_inside_the_log_is_named(tmp_path):
    train(images(), tmp_path / "run", config(log_kimg=0.008))
    log = tmp_path / "run" / "log.jsonl"
    lines = log.read_text().splitlines()
    log.write_text("\n".join([lines[0], lines[1][:9], *lines[2:]]))
    with pytest.raises(SapgganError, match=r"log\.jsonl: line 2 is damaged; delete it"):
        train(images(), tmp_path / "run", config(0.048), resume=True)


def test_lines_after_the_checkpoint_are_not_doubled(tmp_path):
    train(images(), tmp_path / "run", config(0.016, log_kimg=0.008))
    kept = (tmp_path / "run" / "checkpoint.pt").read_bytes()
    train(images(), tmp_path / "run", config(0.032, log_kimg=0.008), resume=True)
    (tmp_path / "run" / "checkpoint.pt").write_bytes(kept)         # as if killed before the second one
    train(images(), tmp_path / "run", config(0.032, log_kimg=0.008), resume=True)
    assert [line["step"] for line in read_log(tmp_path / "run")] == [1, 2, 3, 4]


@pytest.mark.parametrize("lost", ["generator.safetensors", "generator.json", "cut", "older"])
def test_a_finished_run_without_its_generator_gets_it_again(tmp_path, lost):
    folder = tmp_path / "run"
    train(images(), folder, config(0.016))
    older = (folder / "generator.json").read_bytes()
    train(images(), folder, config(), resume=True)
    expected = generate(load_generator(folder), 2)
    if lost == "older":                                            # killed between the two files
        (folder / "generator.json").write_bytes(older)
    elif lost == "cut":
        (folder / "generator.safetensors").write_bytes(b"half")
    else:
        (folder / lost).unlink()
    checkpoint = (folder / "checkpoint.pt").read_bytes()
    assert train(images(), folder, config(), resume=True).finished
    np.testing.assert_array_equal(generate(load_generator(folder), 2), expected)
    assert json.loads((folder / "generator.json").read_text())["step"] == 4
    assert (folder / "checkpoint.pt").read_bytes() == checkpoint


@pytest.mark.parametrize("scored", [False, True])
def test_a_finished_run_whose_log_lacks_its_end_gets_it_again(tmp_path, scored):
    folder, calls = tmp_path / "run", []

    def score(kimg, generator):
        calls.append(kimg)
        return {"fd": 1.0}

    on_snapshot = score if scored else None
    whole = train(images(), folder, config(log_kimg=0.008), on_snapshot=on_snapshot)
    lines = (folder / "log.jsonl").read_text().splitlines()
    (folder / "log.jsonl").write_text("\n".join(lines[:-1]) + "\n" + lines[-1][:20])
    for _ in range(2):                                             # and the second time does nothing
        result = train(images(), folder, config(log_kimg=0.008), resume=True, on_snapshot=on_snapshot)
        assert [line["step"] for line in result.log] == [line["step"] for line in whole.log]
        assert result.log == read_log(folder) and ("fd" in result.log[-1]) == scored
    assert calls == [0.032] * (2 * scored)


def test_what_a_killed_run_left_half_written_is_swept(tmp_path):
    train(images(), tmp_path / "run", config())
    for name in (".checkpoint.pt.12ab.partial", "samples/.000000.032.png.12ab.partial"):
        (tmp_path / "run" / name).write_text("half")
    train(images(), tmp_path / "run", config(), resume=True)
    assert not list((tmp_path / "run").rglob("*.partial"))


def test_a_torch_file_that_is_no_checkpoint_is_refused(tmp_path):
    (tmp_path / "run").mkdir()
    for content in ({"weights": torch.zeros(1)}, [1], torch.zeros(1)):
        torch.save(content, tmp_path / "run" / "checkpoint.pt")
        with pytest.raises(SapgganError, match=r"checkpoint\.pt: damaged or not a checkpoint"):
            train(images(), tmp_path / "run", config(), resume=True)
