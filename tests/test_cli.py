import json

import numpy as np
import pytest

from sapggan_lib import cli
from sapggan_lib.base.config import from_mapping
from sapggan_lib.base.errors import SapgganError
from sapggan_lib.cli import commands
from sapggan_lib.store.store import write_store
from sapggan_lib.training import TrainConfig


def run(capsys, *arguments):
    """Exit status, stdout and stderr of one command."""
    try:
        status = cli.main([str(argument) for argument in arguments])
    except SystemExit as exit_:
        status = exit_.code
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_wrong_use_exits_with_2_and_names_the_option(capsys):
    assert run(capsys, "preprocess", "scans")[0] == 2
    status, _, error = run(capsys, "phantom", "out", "--n", "0")
    assert status == 2 and "'0' is not a whole number above 0" in error


def test_an_error_is_one_line_and_a_traceback_only_with_debug(capsys, tmp_path):
    status, out, error = run(capsys, "preprocess", tmp_path / "missing", tmp_path / "out")
    assert status == 1 and out == "" and error.count("\n") == 1 and "missing" in error
    assert "Traceback" in run(capsys, "--debug", "preprocess", tmp_path / "missing", tmp_path / "out")[2]


def test_a_bug_is_named_as_one(capsys, monkeypatch):
    monkeypatch.setattr(commands, "doctor", lambda options: 1 / 0)
    status, _, error = run(capsys, "doctor")
    assert status == 1 and "unexpected ZeroDivisionError" in error and "--debug" in error


def test_settings_are_yaml_so_that_types_are_never_guessed():
    assert commands.parse_settings(["a=007x", "b='007'", "c=[1, 2]", "d=0.5", "e=true", "f=x=y"]) == {
        "a": "007x", "b": "007", "c": [1, 2], "d": 0.5, "e": True, "f": "x=y"
    }  # fmt: skip
    for wrong in ("a", "=1", "a=["):
        with pytest.raises(SapgganError, match="--set"):
            commands.parse_settings([wrong])


def test_from_phantoms_to_a_trained_model_and_its_samples(capsys, tmp_path):
    scans, store, trained = tmp_path / "scans", tmp_path / "store", tmp_path / "run"
    assert run(capsys, "phantom", scans, "--n", 12)[0] == 0
    status, out, _ = run(capsys, "preprocess", scans, store, "--size", 16, "--workers", 1)
    assert status == 0 and "12 files: " in out
    small = ["--set", "model.widths=[8,8,8]", "--set", "model.latent=8", "--set", "batch=4", "--kimg", "0.012"]
    assert run(capsys, "train", "--data", store, "--out", trained, *small, "--curve", 8)[0] == 0
    assert sum('"fd":' in line for line in (trained / "log.jsonl").read_text().splitlines()) == 3
    status, _, error = run(capsys, "train", "--data", store, "--out", trained, *small, "--set", "epoch=3")
    assert status == 1 and 'unknown key "epoch"' in error
    assert run(capsys, "train", "--data", store, "--out", trained, *small, "--curve", 8, "--resume")[0] == 0
    status, out, _ = run(capsys, "sample", trained, tmp_path / "png", "--n", 3)
    assert status == 0 and out.strip().endswith("3 images of 16x16") and len(list((tmp_path / "png").iterdir())) == 3


def test_a_configuration_file_is_read_and_flags_go_over_it(tmp_path):
    path = tmp_path / "run.yml"
    path.write_text("batch: 8\nmodel: {name: sapggan}\n")
    assert commands.read_yaml(path) == {"batch": 8, "model": {"name": "sapggan"}}
    path.write_text("- a list")
    with pytest.raises(SapgganError, match="expected `key: value` lines"):
        commands.read_yaml(path)


def test_a_dry_run_says_what_would_be_done_or_why_not_and_writes_nothing(capsys, tmp_path):
    write_store(tmp_path / "store", np.zeros((12, 16, 16), np.uint8))
    before = sorted(tmp_path.rglob("*"))
    options = ["train", "--data", tmp_path / "store", "--out", tmp_path / "run", "--dry-run", "--kimg", "0.012"]
    options += ["--set", "model.widths=[8,8,8]", "--set", "model.latent=8"]
    status, out, _ = run(capsys, *options, "--set", "batch=4", "--curve", 8)
    end = out.index("\n}\n") + 3
    resolved = from_mapping(TrainConfig, json.loads(out[:end]), "what was printed")
    assert status == 0 and (resolved.loss, resolved.batch, len(resolved.snapshot_kimg)) == ("ra-hinge", 4, 10)
    assert None not in (resolved.lr, resolved.precision, resolved.compile, resolved.cuda_graphs)
    assert [line.split()[0] for line in out[end:].splitlines()] == [
        "generator", "discriminator", "memory", "work", "fast"
    ]
    status, out, error = run(capsys, *options, "--set", "batch=6")
    assert status == 1 and '"batch": 6' in out and "batch 6 is not a multiple of 4" in error
    assert run(capsys, *options, "--resume")[0] == 1
    assert run(capsys, *options[:3], "--out", tmp_path / "store" / "images.npy" / "run", *options[5:])[0] == 1
    assert sorted(tmp_path.rglob("*")) == before
