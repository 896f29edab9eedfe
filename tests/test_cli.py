import json
import subprocess
import sys
import time

import numpy as np
import pytest

from sapggan_lib import cli
from sapggan_lib.base.config import PreprocessConfig, from_mapping
from sapggan_lib.base.errors import SapgganError
from sapggan_lib.cli import options
from sapggan_lib.store.store import write_store
from sapggan_lib.training import TrainConfig


def run(capsys, *arguments):
    """Exit status, stdout and stderr of one command."""
    status = cli.main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_wrong_use_exits_with_2_and_names_the_option(capsys):
    assert run(capsys, "preprocess", "scans")[0] == 2
    status, _, error = run(capsys, "phantom", "out", "--n", "0")
    assert status == 2 and "0 is not in the range x>=1" in error


def test_a_wrong_value_or_option_is_refused_with_the_near_match(capsys):
    train = ("train", "--data", "store", "--out", "run")
    status, _, error = run(capsys, *train, "--model", "sapgan")
    assert status == 2 and "'sapgan' is none of the choices; did you mean \"sapggan\"?" in error
    status, _, error = run(capsys, *train, "--reslution", "64")
    assert status == 2 and "Did you mean" in error and "--resolution" in error
    status, _, error = run(capsys, "preprocess", "scans", "store", "--workers", "2", "--scheduler", "tcp://nowhere:1")
    assert status == 2 and "--workers is not allowed with --scheduler" in error


def test_the_options_of_preprocess_are_its_configuration_with_the_same_defaults(capsys, monkeypatch):
    configs = []
    monkeypatch.setattr("sapggan_lib.preprocessing.preprocess", lambda source, out, config, **_: configs.append(config))
    run(capsys, "preprocess", "scans", "store")
    run(capsys, "preprocess", "scans", "store", "--size=128", "--crop=0.1", "--clip-limit=0", "--tiles=4",
        "--channels=3", "--format=pickle", "--unknown-view=keep", "--burned-in=keep", "--keep-paths", "--seed=7")
    assert configs == [PreprocessConfig(), PreprocessConfig(128, 0.1, 0.0, 4, 3, "pickle", "keep", "keep", True, 7)]


def test_help_needs_neither_torch_nor_opencv_nor_yaml_and_is_quick():
    blocked = "import sys; sys.modules.update(dict.fromkeys(('torch', 'cv2', 'yaml', 'numpy', 'pandas')));"
    call = f"{blocked} from sapggan_lib.cli import main; sys.exit(main(['--help']))"
    start = time.monotonic()
    done = subprocess.run([sys.executable, "-c", call], capture_output=True, text=True)
    assert done.returncode == 0 and "preprocess" in done.stdout, done.stderr
    assert time.monotonic() - start < 3  # 0.3 s on a quiet machine


def test_a_missing_click_is_one_sentence():
    code = "import sys; sys.modules['click'] = None; from sapggan_lib.cli import main; sys.exit(main(['doctor']))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1 and "click" in done.stderr and done.stderr.count("\n") == 1


def test_run_starts_where_fcntl_is_missing_as_on_windows():
    code = "import sys; sys.modules['fcntl'] = None; from sapggan_lib.cli import main; sys.exit(main(sys.argv[1:]))"
    done = subprocess.run([sys.executable, "-c", code, "run", "--profile", "smok"], capture_output=True, text=True)
    assert done.returncode == 1 and 'did you mean "smoke"?' in done.stderr and done.stderr.count("\n") == 1


def test_an_error_is_one_line_and_a_traceback_only_with_debug(capsys, tmp_path):
    status, out, error = run(capsys, "preprocess", tmp_path / "missing", tmp_path / "out")
    assert status == 1 and out == "" and error.count("\n") == 1 and "missing" in error
    assert "Traceback" in run(capsys, "--debug", "preprocess", tmp_path / "missing", tmp_path / "out")[2]


def test_a_bug_is_named_as_one(capsys, monkeypatch):
    monkeypatch.setattr("sapggan_lib.doctor.examine", lambda: 1 / 0)
    status, _, error = run(capsys, "doctor")
    assert status == 1 and "unexpected ZeroDivisionError" in error and "--debug" in error


def test_settings_are_yaml_so_that_types_are_never_guessed():
    assert options.parse_settings(["a=007x", "b='007'", "c=[1, 2]", "d=0.5", "e=true", "f=x=y"]) == {
        "a": "007x", "b": "007", "c": [1, 2], "d": 0.5, "e": True, "f": "x=y"
    }  # fmt: skip
    for wrong in ("a", "=1", "a=["):
        with pytest.raises(SapgganError, match="--set"):
            options.parse_settings([wrong])


def test_from_phantoms_to_a_trained_model_and_its_samples(capsys, tmp_path):
    scans, store, trained = tmp_path / "scans", tmp_path / "store", tmp_path / "run"
    assert run(capsys, "phantom", scans, "--n", 12, "--findings", 0.5)[0] == 0 and (scans / "findings.csv").exists()
    status, out, _ = run(capsys, "preprocess", scans, store, "--size", 16, "--workers", 1)
    assert status == 0 and "12 files: " in out
    small = ["--set", "model.widths=[8,8,8]", "--set", "model.latent=8", "--set", "batch=4", "--kimg", "0.012"]
    assert run(capsys, "train", "--data", store, "--out", trained, *small, "--curve", 8)[0] == 0
    assert sum('"fd":' in line for line in (trained / "log.jsonl").read_text().splitlines()) == 3
    status, _, error = run(capsys, "train", "--data", store, "--out", trained, *small, "--set", "epoch=3")
    assert status == 1 and 'unknown key "epoch"' in error
    status, _, error = run(capsys, "train", "--data", store, "--out", trained, "--set", "model=pggan")
    assert status == 1 and 'train: "model": expected a mapping' in error
    assert run(capsys, "train", "--data", store, "--out", trained, *small, "--curve", 8, "--resume")[0] == 0
    status, out, _ = run(capsys, "sample", trained, tmp_path / "png", "--n", 3)
    assert status == 0 and out.strip().endswith("3 images of 16x16") and len(list((tmp_path / "png").iterdir())) == 3


def test_a_configuration_file_is_read_and_flags_go_over_it(tmp_path):
    path = tmp_path / "run.yml"
    path.write_text("batch: 8\nmodel: {name: sapggan}\n")
    assert options.read_yaml(path) == {"batch": 8, "model": {"name": "sapggan"}}
    assert options.training_config(path, {"resolution": 16}, ["batch=4"], {"batch": None}).batch == 4
    path.write_text("model: pggan")
    with pytest.raises(SapgganError, match=r'run.yml: "model": expected a mapping'):
        options.training_config(path, {}, [], {})
    path.write_text("- a list")
    with pytest.raises(SapgganError, match="expected `key: value` lines"):
        options.read_yaml(path)


def test_a_dry_run_says_what_would_be_done_or_why_not_and_writes_nothing(capsys, tmp_path):
    write_store(tmp_path / "store", np.zeros((12, 16, 16), np.uint8))
    before = sorted(tmp_path.rglob("*"))
    arguments = ["train", "--data", tmp_path / "store", "--out", tmp_path / "run", "--dry-run", "--kimg", "0.012"]
    arguments += ["--set", "model.widths=[8,8,8]", "--set", "model.latent=8"]
    status, out, _ = run(capsys, *arguments, "--set", "batch=4", "--curve", 8)
    end = out.index("\n}\n") + 3
    resolved = from_mapping(TrainConfig, json.loads(out[:end]), "what was printed")
    assert status == 0 and (resolved.loss, resolved.batch, len(resolved.snapshot_kimg)) == ("ra-hinge", 4, 10)
    assert None not in (resolved.lr, resolved.precision, resolved.compile, resolved.cuda_graphs)
    assert [line.split()[0] for line in out[end:].splitlines()] == [
        "generator", "discriminator", "memory", "work", "fast"
    ]
    status, out, error = run(capsys, *arguments, "--set", "batch=6")
    assert status == 1 and '"batch": 6' in out and "batch 6 is not a multiple of 4" in error
    assert run(capsys, *arguments, "--resume")[0] == 1
    assert run(capsys, *arguments[:3], "--out", tmp_path / "store" / "images.npy" / "run", *arguments[5:])[0] == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_classes_come_from_a_column_and_are_sampled_by_name(capsys, tmp_path):
    rows = [{"path": f"{i}", "status": "kept", "index": i, "view": ("AP", "PA")[i % 2]} for i in range(12)]
    write_store(tmp_path / "store", np.zeros((12, 16, 16), np.uint8), rows)
    small = ["--kimg", "0.008", "--set", "model.widths=[8,8,8]", "--set", "model.latent=8", "--set", "batch=4"]
    train = ["train", "--data", tmp_path / "store", "--out", tmp_path / "run", *small]
    assert run(capsys, *train, "--classes", "AP,PA")[0] == 2
    assert "did you mean" in run(capsys, *train, "--condition", "vew")[2]
    assert run(capsys, *train, "--condition", "view")[0] == 0
    sample = ["sample", tmp_path / "run", tmp_path / "out", "--n", 2]
    assert run(capsys, *sample, "--class", "PA")[0] == 0 and len(list((tmp_path / "out").glob("*.png"))) == 2
    assert 'did you mean "PA"' in run(capsys, *sample, "--class", "PAA")[2]
