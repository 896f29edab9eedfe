"""Training: resume, log, checkpoints and what must not be disturbed."""

import dataclasses
import errno
import json
import re
import signal
from pathlib import Path

import numpy as np
import pytest
import torch

from sapggan_lib.base.errors import SapgganError
from sapggan_lib.losses import LOSSES
from sapggan_lib.models import ModelConfig, build_discriminator, build_generator, generate, load_generator
from sapggan_lib.training import Interrupt, TrainConfig, read_trainings
from sapggan_lib.training.config import resolve
from sapggan_lib.training.loop import build, train
from sapggan_lib.training.preflight import activation_bytes

MODEL = ModelConfig("sapggan", resolution=16, latent=16, widths=(8, 8, 8))


def images(n=24, side=16):
    return np.random.default_rng(0).integers(0, 256, (n, side, side), dtype=np.uint8)


def config(kimg=0.032, model=MODEL, **options):
    return TrainConfig(model, kimg=kimg, batch=8, device="cpu", **options)


def weights(folder):
    return torch.load(folder / "checkpoint.pt", weights_only=True)


def assert_same(a, b):
    assert a.keys() == b.keys()
    for name in a:
        assert torch.equal(a[name], b[name]), name


@pytest.mark.parametrize("name", ["sapggan", "pggan", "stylegan", "dcgan"])
@pytest.mark.parametrize("stop", [0.008, 0.032, 0.04, 0.048])
def test_a_resumed_run_has_the_weights_of_one_that_never_stopped(tmp_path, name, stop):
    """At any step: with 20 images a phase, 32 lies in the first fade, 40 at its end, 48 in the stay."""
    model = dataclasses.replace(MODEL, name=name)
    options = {"model": model, "grow_kimg": 0.02, "r1_gamma": 1.0, "r1_every": 3}
    train(images(), tmp_path / "whole", config(0.08, **options))
    train(images(), tmp_path / "parts", config(stop, **options))
    train(images(), tmp_path / "parts", config(0.08, **options), resume=True)
    whole, parts = weights(tmp_path / "whole"), weights(tmp_path / "parts")
    for part in ("generator", "discriminator", "ema"):
        assert_same(whole[part], parts[part])
    assert torch.equal(whole["random"], parts["random"])


def test_each_part_of_a_training_says_which_commit_and_device_made_it(tmp_path, monkeypatch):
    """A finished training that is taken as it is keeps its makers."""
    def commit(name):
        monkeypatch.setattr("sapggan_lib.training.log.git_state", lambda: {"commit": name, "dirty": name == "b"})

    out = tmp_path / "models" / "sapggan"
    for name, kimg in (("a", 0.032), ("b", 0.048), ("c", 0.048)):
        commit(name)
        train(images(), out, config(kimg), resume=name != "a")
    read = read_trainings(tmp_path)["models/sapggan"]
    assert [(part["from_kimg"], part["commit"], part["dirty"]) for part in read["parts"]] == [
        (0, "a", False), (0.032, "b", True)
    ]  # fmt: skip
    assert read["kimg"] == 0.048 and read["step"] == 6 and read["seconds"] > 0
    assert all(re.fullmatch(r"CPU, \d+ threads?", part["device"]) for part in read["parts"])


@pytest.mark.parametrize("name", ["sapggan", "pggan", "stylegan", "dcgan"])
@pytest.mark.parametrize("loss", list(LOSSES))
def test_any_model_trains_with_any_loss(tmp_path, name, loss):
    model = dataclasses.replace(MODEL, name=name, channels=3)
    colour = np.repeat(images()[..., None], 3, -1)
    result = train(colour, tmp_path / "run", config(0.024, model, loss=loss, r1_gamma=1.0, r1_every=2, grow_kimg=0.005))
    before, after = build(resolve(config(model=model)), torch.device("cpu")), weights(tmp_path / "run")
    assert result.finished and after["generator"].keys() == before.generator.state_dict().keys()
    assert all(np.isfinite(line["loss_g"]) for line in result.log)


def test_a_resumed_run_computes_as_the_device_at_hand_does(tmp_path):
    """As if the checkpoint came from a GPU, whose Adam is captured into a graph."""
    train(images(), tmp_path / "run", config())
    content = weights(tmp_path / "run")
    content["device"], content["config"]["precision"] = "cuda", "bfloat16"
    for name in ("optimizer_g", "optimizer_d"):
        content[name]["param_groups"][0]["capturable"] = True
    torch.save(content, tmp_path / "run/checkpoint.pt")
    train(images(), tmp_path / "run", config(0.064), resume=True)
    after = weights(tmp_path / "run")
    assert after["optimizer_g"]["param_groups"][0]["capturable"] is False
    assert after["config"]["precision"] == "float32" and after["device"] == "cpu"


def test_precision_stays_with_a_run_and_resumes_bit_for_bit(tmp_path):
    train(images(), tmp_path / "whole", config(0.064, precision="bfloat16"))
    train(images(), tmp_path / "parts", config(0.032, precision="bfloat16"))
    train(images(), tmp_path / "parts", config(0.064), resume=True)
    assert_same(weights(tmp_path / "whole")["generator"], weights(tmp_path / "parts")["generator"])
    assert weights(tmp_path / "parts")["config"]["precision"] == "bfloat16"


def test_an_interrupted_run_ends_at_a_whole_step_and_can_go_on(tmp_path):
    def interrupt(kimg, generator):
        if kimg == 0.016:
            signal.raise_signal(signal.SIGINT)
        return {}

    result = train(images(), tmp_path / "run", config(0.08, snapshot_kimg=(0.016,)), on_snapshot=interrupt)
    assert not result.finished and result.kimg == 0.024
    train(images(), tmp_path / "run", config(0.08), resume=True)
    train(images(), tmp_path / "whole", config(0.08))
    assert_same(weights(tmp_path / "whole")["ema"], weights(tmp_path / "run")["ema"])


def test_a_caller_can_end_a_run_and_follow_it(tmp_path):
    asked, told = [], []

    def abort():
        asked.append(len(asked) + 1)
        return len(asked) == 3

    result = train(images(), tmp_path / "run", config(0.08, log_kimg=0.016, checkpoint_kimg=0.08), abort_fn=abort,
                   progress_fn=lambda *progress: told.append(progress))  # fmt: skip
    assert not result.finished and result.steps == 3 and asked == [1, 2, 3]
    assert [kimg for kimg, *_ in told] == [0, 0.008, 0.016, 0.024] and {total for _, total, _ in told} == {0.08}
    assert told[1][2] == "" and told[2][2].startswith("loss_d ") and told[2][2] != told[3][2]
    train(images(), tmp_path / "run", config(0.08, log_kimg=0.016, checkpoint_kimg=0.08), resume=True)
    train(images(), tmp_path / "whole", config(0.08, log_kimg=0.016, checkpoint_kimg=0.08))
    assert_same(weights(tmp_path / "whole")["ema"], weights(tmp_path / "run")["ema"])


def test_a_second_interrupt_stops_at_once_and_handlers_come_back():
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell ignores it for what it starts in the background
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with Interrupt() as interrupted:
        assert not interrupted()
        signal.raise_signal(signal.SIGTERM)
        assert interrupted()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_a_time_budget_ends_a_run_and_a_longer_one_goes_on(tmp_path):
    first = train(images(), tmp_path / "run", config(kimg=100), seconds=0.2)
    assert not first.finished and 0.2 <= first.seconds < 2 and first.steps > 0
    same = train(images(), tmp_path / "run", config(kimg=100), resume=True, seconds=0.2)
    assert same.steps == first.steps
    more = train(images(), tmp_path / "run", config(kimg=100), resume=True, seconds=first.seconds + 0.2)
    assert more.steps > first.steps and more.seconds >= first.seconds + 0.2


def test_a_full_disk_is_a_clear_error(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    train(images(), tmp_path / "run", config(0.008))
    good = (tmp_path / "run/checkpoint.pt").read_bytes()
    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(SapgganError, match="no space left"):
        train(images(), tmp_path / "run", config(), resume=True)
    assert (tmp_path / "run/checkpoint.pt").read_bytes() == good


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path):
    train(images(), tmp_path / "run", config())
    torch.save({"step": Path("x")}, tmp_path / "run/checkpoint.pt")
    with pytest.raises(SapgganError, match="damaged or not a checkpoint"):
        train(images(), tmp_path / "run", config(), resume=True)


def test_what_a_run_needs_is_said_before_it_starts(tmp_path, capsys):
    train(images(), tmp_path / "run", config())
    said = capsys.readouterr().err
    assert "0.032 kimg: 4 steps of 8, 1.3 epochs of 24 images" in said and "memory        about" in said
    assert re.search(r"generator     0.0\d M parameters", said)


def test_memory_grows_with_the_images_it_keeps():
    with torch.device("meta"):
        sizes = [activation_bytes(build_generator("dcgan", side, widths=(8,) * n), build_discriminator(
            "dcgan", side, widths=(8,) * n), 512) for side, n in ((64, 5), (128, 6))]
    assert 3 < sizes[1] / sizes[0] < 4.5


def test_a_run_leaves_its_files(tmp_path):
    result = train(images(), tmp_path / "run", config(log_kimg=0.008, sample_kimg=0.016), data_hash="abc")
    assert result.finished and result.steps == 4 and result.kimg == 0.032
    lines = [json.loads(line) for line in (tmp_path / "run/log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 3, 4] and lines == result.log
    assert {"kimg", "seconds", "images_per_s", "loss_d", "loss_g"} <= lines[0].keys()
    assert len(list((tmp_path / "run/samples").glob("*.png"))) == 2
    assert json.loads((tmp_path / "run/generator.json").read_text())["data_hash"] == "abc"
    assert generate(load_generator(tmp_path / "run"), 3).shape == (3, 16, 16)


def test_resuming_a_finished_run_does_nothing(tmp_path):
    train(images(), tmp_path / "run", config())
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.pt")}
    result = train(images(), tmp_path / "run", config(), resume=True)
    assert result.finished and before == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.pt")}


def test_a_snapshot_that_draws_random_numbers_changes_nothing(tmp_path):
    def snapshot(kimg, generator):
        torch.randn(7)
        return {"noise": float(generate(generator, 2).mean())}

    train(images(), tmp_path / "without", config())
    state = torch.get_rng_state()
    result = train(images(), tmp_path / "with", config(snapshot_kimg=(0.008, 0.016)), on_snapshot=snapshot)
    assert torch.equal(state, torch.get_rng_state())
    assert [line["kimg"] for line in result.log if "noise" in line] == [0.008, 0.016, 0.032]
    assert_same(weights(tmp_path / "without")["generator"], weights(tmp_path / "with")["generator"])


def test_the_averaged_dcgan_is_scored_shown_and_saved_with_statistics_of_its_own(tmp_path, monkeypatch):
    seen = []

    def snapshot(kimg, generator):
        seen.append(generator.state_dict())
        return {}

    model = dataclasses.replace(MODEL, name="dcgan")
    record = lambda path, generator: seen.append(generator.state_dict())  # noqa: E731
    monkeypatch.setattr("sapggan_lib.training.loop.write_sheet", record)
    train(images(), tmp_path / "run", config(model=model, sample_kimg=1.0), on_snapshot=snapshot)
    saved, kept = load_generator(tmp_path / "run"), build(resolve(config(model=model)), torch.device("cpu")).ema
    for state in seen:
        assert_same(saved.state_dict(), state)
    kept.load_state_dict(weights(tmp_path / "run")["ema"])  # the training network's statistics
    assert len(seen) == 2 and saved.state_dict().keys() == kept.state_dict().keys()
    for parameter, other in zip(saved.parameters(), kept.parameters(), strict=True):
        assert torch.equal(parameter, other)
    spread = {}
    for name, generator in (("saved", saved), ("kept", kept)):
        norm = generator.blocks[-1][1]
        hook = norm.register_forward_hook(lambda module, inputs, x, name=name: spread.update({name: x.std((0, 2, 3))}))
        with hook, torch.no_grad():
            generator(torch.randn(512, 16))
        spread[name] = (spread[name] / norm.weight.detach().abs()).mean().item()
    assert spread["saved"] == pytest.approx(1, abs=0.1)  # batch norm's weight is the deviation of what leaves it
    assert spread["kept"] != pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("change", [{"lr": 0.5}, {"seed": 1}, {"loss": "hinge"}])
def test_resume_names_the_setting_that_changed(tmp_path, change):
    train(images(), tmp_path / "run", config())
    with pytest.raises(SapgganError, match=next(iter(change))):
        train(images(), tmp_path / "run", config(0.064, **change), resume=True)


def test_resume_refuses_other_data(tmp_path):
    train(images(), tmp_path / "run", config(), data_hash="one")
    with pytest.raises(SapgganError, match="hash was 'one' and is 'two'"):
        train(images(), tmp_path / "run", config(0.064), resume=True, data_hash="two")


def test_a_used_folder_is_not_overwritten(tmp_path):
    train(images(), tmp_path / "run", config())
    with pytest.raises(SapgganError, match="resume it"):
        train(images(), tmp_path / "run", config())


@pytest.mark.parametrize(("every", "message"), [(1.0, "step 6: not finite: loss_d"), (0.008, "step 5: .*weights")])
def test_what_is_not_finite_is_named_and_the_checkpoint_stays(tmp_path, every, message):
    train(images(), tmp_path / "run", config())
    content = weights(tmp_path / "run")
    content["optimizer_g"]["param_groups"][0]["lr"] = float("inf")
    torch.save(content, tmp_path / "run/checkpoint.pt")
    good = (tmp_path / "run/checkpoint.pt").read_bytes()
    with pytest.raises(SapgganError, match=message):
        train(images(), tmp_path / "run", config(0.064, checkpoint_kimg=every), resume=True)
    assert (tmp_path / "run/checkpoint.pt").read_bytes() == good
