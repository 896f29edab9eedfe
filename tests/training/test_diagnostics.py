"""What the log says about a training's health, by values known by hand."""

import json
import sys

import numpy as np
import pytest
import torch
from torch import nn

from sapggan_lib.models import Generator, ModelConfig, build_discriminator, generate, load_generator
from sapggan_lib.training import diagnostics
from sapggan_lib.training.checkpoint import State
from sapggan_lib.training.diagnostics import BEGUN, Diagnostics, collapse_report, curve, logit_gradient, spread
from sapggan_lib.training.log import LogWriter, read_log, scalars
from sapggan_lib.training.loop import build, train
from tests.training.test_loop import assert_same, config, images, weights

ROW = {"kimg": 8.0, "step": BEGUN, "spread": 30.0, "spread_data": 32.0}


class Painter(Generator):
    """Paints an image all over with `strength` times its latent's sign, in [-1, 1]."""

    latent, resolution = 1, 4

    def __init__(self, strength):
        super().__init__()
        self.strength = nn.Parameter(torch.tensor(strength))

    def forward(self, z):
        return [(self.strength * z.sign())[:, :, None, None].expand(-1, 1, 4, 4)]


class Linear(nn.Module):
    """A logit with known weights: 0.5 for each pixel at 4x4, 0.25 at 8x8."""

    def real_views(self, images):
        return [nn.functional.avg_pool2d(images, 2), images]

    def forward(self, images):
        return 0.5 * images[0].sum((1, 2, 3)) + 0.25 * images[1].sum((1, 2, 3))


def state_of(strength, step=BEGUN):
    return State(Painter(0.5), Linear(), Painter(strength).eval(), None, None, step=step, images=8 * step)


def data(side=8):
    """Half black, half white: a spread of 127.5."""
    return np.repeat(np.array([0, 255], np.uint8), 10)[:, None, None] * np.ones((1, side, side), np.uint8)


def test_spread_is_the_mean_over_pixels_of_the_deviation_over_images():
    pair = np.zeros((2, 4, 4), np.uint8)
    pair[1, :2] = 100                       # half of the pixels deviate by 50, half by 0
    assert spread(pair) == 25 and spread(np.repeat(pair[..., None], 3, -1)) == 25
    assert spread(np.full((5, 4, 4), 77, np.uint8)) == 0


def test_the_gradient_of_a_linear_logit_is_its_weights():
    measured = logit_gradient(Linear(), torch.rand(8, 1, 8, 8))
    assert measured == {"4": 0.5 * 4, "8": 0.25 * 8}   # a weight times the root of the number of pixels


@pytest.mark.parametrize("name", ["sapggan", "pggan", "stylegan", "dcgan"])
def test_a_discriminator_is_left_as_it_was(name):
    discriminator = build_discriminator(name, resolution=16, widths=(8, 8, 8))
    before = {key: value.clone() for key, value in discriminator.state_dict().items()}
    measured = logit_gradient(discriminator, torch.rand(8, 1, 16, 16))
    assert list(measured) == (["4", "8", "16"] if name == "sapggan" else ["16"]) and min(measured.values()) > 0
    assert_same(before, discriminator.state_dict())
    assert discriminator.training and all(parameter.grad is None for parameter in discriminator.parameters())


def test_images_that_are_all_alike_are_a_collapse_said_once_and_its_end_too(capsys):
    state = state_of(0.0)
    measure = Diagnostics(data(), state, [])
    row = measure()
    assert row["spread"] == 0 and row["collapsed"] is True and row["spread_data"] == 127.5
    assert 60 < row["spread_raw"] < 64.5           # of plus and minus 0.5, not just as many of each
    assert capsys.readouterr().err.startswith(
        "training: collapse at 4 kimg: samples spread over 0.0 gray levels, the data over 127.5; raise r1_gamma"
    )
    assert measure()["collapsed"] and capsys.readouterr().err == ""
    state.ema.strength.data.fill_(0.5)
    assert "collapsed" not in measure() and "collapse is over at 4 kimg" in capsys.readouterr().err


def test_a_resumed_run_keeps_its_number_and_does_not_say_the_collapse_again(capsys):
    measure = Diagnostics(data(), state_of(0.0), [{"spread_data": 99.0, "collapsed": True}, {"loss_d": 1.0}])
    assert measure()["spread_data"] == 99.0 and capsys.readouterr().err == ""


@pytest.mark.parametrize(("strength", "step"), [(0.0, BEGUN - 1), (0.3, BEGUN)])
def test_no_collapse_before_learning_has_begun_nor_of_varied_samples(capsys, strength, step):
    assert "collapsed" not in Diagnostics(data(), state_of(strength, step), [])()
    assert capsys.readouterr().err == ""


def test_measuring_waits_until_it_is_cheap(monkeypatch):
    clock = iter([100.0, 100.5])
    monkeypatch.setattr(diagnostics.time, "monotonic", lambda: next(clock))
    state = state_of(0.5)
    measure = Diagnostics(data(), state, [])
    assert measure.due()
    measure()
    state.seconds = 24.9
    assert not measure.due()
    state.seconds = 25.0                                 # half a second is 2 % of it
    assert measure.due()


def test_dcgans_average_is_measured_with_the_statistics_that_it_is_scored_with(tmp_path):
    model = ModelConfig("dcgan", resolution=16, latent=16, widths=(8, 8, 8))
    row = train(images(), tmp_path / "run", config(0.064, model=model)).log[-1]
    assert row["spread"] == round(spread(generate(load_generator(tmp_path / "run"), diagnostics.SAMPLES)), 2)


def test_a_log_line_counts_dead_steps(tmp_path):
    state = build(config(r1_gamma=0.0, lr=0.1, betas=(0.0, 0.9), loss="hinge"), torch.device("cpu"))
    log = LogWriter(tmp_path, state, config(), images())
    for loss in (0.0, 0.5, 0.0, 0.0):
        log.add({"loss_d": torch.tensor(loss), "loss_g": torch.tensor(0.0)})
        state.step += 1
    log.flush()
    (row,) = read_log(tmp_path)
    assert row["dead_d"] == 0.75 and row["loss_d"] == 0.125


@pytest.mark.parametrize("name", ["sapggan", "pggan", "stylegan", "dcgan"])
def test_measuring_at_every_line_changes_no_training(tmp_path, monkeypatch, name):
    model = ModelConfig(name, resolution=16, latent=16, widths=(8, 8, 8))
    options = {"model": model, "log_kimg": 0.008, "grow_kimg": 0.004}
    monkeypatch.setattr(diagnostics, "SHARE", 1e9)
    often = train(images(), tmp_path / "often", config(0.032, **options))
    monkeypatch.setattr(Diagnostics, "__call__", lambda *_: {})
    never = train(images(), tmp_path / "never", config(0.032, **options))
    rows = curve(often.log, "spread")[1]
    assert len(rows) == 4 and not curve(never.log, "spread")[1] and not curve(often.log, "collapsed")[1]
    one, other = weights(tmp_path / "often"), weights(tmp_path / "never")
    for part in ("generator", "discriminator", "ema"):
        assert_same(one[part], other[part])
    assert torch.equal(one["random"], other["random"])
    lines = (tmp_path / "often/log.jsonl").read_text().splitlines()
    assert [json.loads(line, parse_constant=pytest.fail) for line in lines] == often.log  # no NaN, no infinity


def test_a_healthy_run_says_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(diagnostics, "SHARE", 1e9)
    monkeypatch.setattr(diagnostics, "BEGUN", 4)
    result = train(images(), tmp_path / "run", config(0.16, log_kimg=0.04))
    assert not curve(result.log, "collapsed")[1] and "collapse" not in capsys.readouterr().err
    assert set(curve(result.log, "spread_data")[1]) == {round(spread(images()), 2)}


def test_a_line_has_speed_and_memory_and_its_measuring_is_no_training(tmp_path, monkeypatch):
    monkeypatch.setattr(Diagnostics, "__call__", lambda *_: diagnostics.time.sleep(1) or {"spread": 1.0})
    row = train(images(), tmp_path / "run", config(0.016)).log[-1]
    assert row["seconds"] < 1 and abs(row["seconds_per_kimg"] * row["images_per_s"] / 1000 - 1) < 0.01
    assert 0.05 < row["peak_memory_gb"] < 100


def test_memory_is_left_out_where_it_is_unknown(monkeypatch):
    monkeypatch.setitem(sys.modules, "resource", None)  # as on Windows
    assert diagnostics.peak_memory_gb(torch.device("cpu")) == {}


def test_tensorboard_gets_a_number_for_each_scale():
    row = {"kimg": 1.0, "step": 5, "loss_d": 0.5, "logit_gradient": {"4": 0.25, "8": 0.125}}
    assert dict(scalars(row)) == {"loss_d": 0.5, "logit_gradient/4": 0.25, "logit_gradient/8": 0.125}


def test_the_report_names_who_collapsed_and_when():
    bad = ROW | {"spread": 3.5, "collapsed": True, "kimg": 12.0}
    report = collapse_report({"dcgan": [ROW, bad, ROW | {"kimg": 20.0}], "sapggan": [{"loss_d": 0.0}, ROW]})
    assert report.splitlines() == [
        "Collapsed: dcgan at 12 kimg.",
        "dcgan, collapsed at 12 kimg: samples spread over 3.5 gray levels, the data over 32.0; "
        "at 20 kimg: samples spread over 30.0 gray levels, the data over 32.0",
        "sapggan, at 8 kimg: samples spread over 30.0 gray levels, the data over 32.0",
    ]


def test_the_report_claims_nothing_of_trainings_too_short_to_tell():
    short = [ROW | {"step": BEGUN - 1}]
    assert collapse_report({"pggan": short, "old": [{"loss_d": 1.0}]}).startswith("Too early to tell")
    both = collapse_report({"dcgan": [ROW], "pggan": short})
    assert both.startswith(f"No model collapsed. Too early to tell (fewer than {BEGUN} steps): pggan.")
