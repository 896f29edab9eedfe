"""Beginning with a smaller network's scales: what is taken, what stays fresh, and who is refused."""

import dataclasses
import json

import numpy as np
import pytest
import torch

from sapggan_lib.base.errors import SapgganError
from sapggan_lib.models import ModelConfig, latents, load_generator
from sapggan_lib.training import TrainConfig, export, load_discriminator, train
from sapggan_lib.training.config import resolve
from sapggan_lib.training.loop import build, dry_run
from sapggan_lib.training.start import begin, read_start

SMALL = ModelConfig("sapggan", resolution=16, latent=16, widths=(8, 8, 8))
LARGE = dataclasses.replace(SMALL, resolution=32, widths=(8, 8, 8, 4))


def images(side):
    return np.random.default_rng(0).integers(0, 256, (24, side, side), dtype=np.uint8)


def config(model, kimg=0.032):
    return TrainConfig(model, kimg=kimg, batch=8, device="cpu")


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    folder = tmp_path_factory.mktemp("small") / "run"
    train(images(16), folder, config(SMALL))
    return folder


def begun(source):
    """A new state of the larger networks as drawn, and the same after it began with `source`."""
    states = []
    for _ in range(2):
        torch.manual_seed(0)
        states.append(build(resolve(config(LARGE)), torch.device("cpu")))
    begin(states[1], read_start(source, LARGE))
    return states


def test_the_larger_generator_makes_the_smaller_ones_images_at_its_scales(small):
    _, state = begun(small)
    z, smaller = latents(4, 16, seed=0), load_generator(small)
    with torch.no_grad():
        for image, same in zip(smaller(z), state.ema(z), strict=False):
            assert torch.allclose(image, same, atol=1e-5)      # not bit for bit: memory formats differ
        assert len(state.ema(z)) == len(smaller(z)) + 1


def test_all_of_a_discriminator_is_taken_but_where_maps_from_above_join(small):
    fresh, state = begun(small)
    taken = torch.load(small / "checkpoint.pt", weights_only=True)["discriminator"]
    for name, value in state.discriminator.state_dict().items():
        new = name.startswith(("blocks.2.join", "blocks.3"))
        assert torch.equal(value, fresh.discriminator.state_dict()[name] if new else taken[name]), name


def test_a_run_of_the_same_side_is_gone_on_from_whole(small):
    state = build(resolve(config(SMALL)), torch.device("cpu"))
    begin(state, read_start(small, SMALL))
    kept = torch.load(small / "checkpoint.pt", weights_only=True)
    for part in ("generator", "discriminator", "ema"):
        assert all(torch.equal(value, kept[part][name]) for name, value in getattr(state, part).state_dict().items())


def test_a_start_is_remembered_and_resumed_exactly(small, tmp_path):
    train(images(32), tmp_path / "whole", config(LARGE), start_from=small)
    train(images(32), tmp_path / "parts", config(LARGE, 0.016), start_from=small)
    train(images(32), tmp_path / "parts", config(LARGE), start_from=small, resume=True)
    whole, parts = (torch.load(tmp_path / name / "checkpoint.pt", weights_only=True) for name in ("whole", "parts"))
    for part in ("generator", "discriminator", "ema"):
        assert all(torch.equal(whole[part][name], value) for name, value in parts[part].items())
    facts = json.loads((tmp_path / "parts" / "generator.json").read_text("utf-8"))["started_from"]
    assert facts["name"] == "run/checkpoint.pt" and facts["resolution"] == 16 and facts["kimg"] == 0.032
    train(images(32), tmp_path / "nothing", config(LARGE, 0.008))
    with pytest.raises(SapgganError, match="this run began from nothing"):
        train(images(32), tmp_path / "nothing", config(LARGE), start_from=small, resume=True)


def test_scales_that_are_held_stay_the_averaged_ones_until_they_are_let_go(small, tmp_path):
    average = load_generator(small).state_dict()
    for name, kimg, held in (("held", 0.016, True), ("let go", 0.024, False)):
        options = dataclasses.replace(config(LARGE, kimg), hold_kimg=0.016)
        train(images(32), tmp_path / name, options, start_from=small)
        after = torch.load(tmp_path / name / "checkpoint.pt", weights_only=True)
        for part in ("generator", "ema"):
            assert all(torch.equal(after[part][key], value) for key, value in average.items()) == held
        began = begun(small)[1]  # all else has learned in any case
        for part, which in (("generator", "blocks.3"), ("generator", "to_image.3"), ("discriminator", "blocks.0")):
            for key, value in getattr(began, part).state_dict().items():
                if key.startswith(which) and key.endswith("weight"):
                    assert not torch.equal(after[part][key], value), (name, key)


def test_a_run_resumed_while_its_start_is_held_ends_as_one_that_never_stopped(small, tmp_path):
    def options(kimg):
        return dataclasses.replace(config(LARGE, kimg), hold_kimg=0.016)

    train(images(32), tmp_path / "whole", options(0.032), start_from=small)
    train(images(32), tmp_path / "parts", options(0.008), start_from=small)
    train(images(32), tmp_path / "parts", options(0.032), resume=True)
    whole, parts = (torch.load(tmp_path / name / "checkpoint.pt", weights_only=True) for name in ("whole", "parts"))
    for part in ("generator", "discriminator", "ema"):
        assert all(torch.equal(whole[part][name], value) for name, value in parts[part].items())
    with pytest.raises(SapgganError, match=r"hold_kimg was 0\.016 and is 0\.0"):
        train(images(32), tmp_path / "parts", config(LARGE, 0.04), resume=True)


def test_a_generator_of_the_same_side_is_held_whole_while_its_discriminator_learns(small, tmp_path):
    options = dataclasses.replace(config(SMALL, 0.016), hold_kimg=0.016)
    train(images(16), tmp_path / "out", options, start_from=small)
    after, average = (torch.load(tmp_path / "out" / "checkpoint.pt", weights_only=True), load_generator(small))
    for part in ("generator", "ema"):
        assert all(torch.equal(after[part][name], value) for name, value in average.state_dict().items())
    before = torch.load(small / "checkpoint.pt", weights_only=True)["discriminator"]
    assert not torch.equal(after["discriminator"]["blocks.0.head.conv.weight"], before["blocks.0.head.conv.weight"])


def test_a_hold_is_said_before_it_starts_and_refused_where_there_is_no_start(small, tmp_path, capsys):
    dry_run(images(32), tmp_path / "out", dataclasses.replace(config(LARGE), hold_kimg=2.0), start_from=small)
    said = capsys.readouterr().out
    assert "generator and discriminator; these scales of the generator are held for 2 kimg\n" in said
    with pytest.raises(SapgganError, match="hold_kimg 2 holds what a start brought; name one with start_from"):
        train(images(32), tmp_path / "out", dataclasses.replace(config(LARGE), hold_kimg=2.0))
    assert not (tmp_path / "out" / "config.json").exists()


def test_what_is_exported_is_half_as_large_and_starts_the_next(small, tmp_path):
    export(small, tmp_path / "weights.safetensors")
    _, from_run = begun(small)
    _, from_weights = begun(tmp_path / "weights.safetensors")
    for name, value in from_run.discriminator.state_dict().items():
        assert torch.allclose(from_weights.discriminator.state_dict()[name], value, atol=2e-3)
    for name, value in from_run.ema.state_dict().items():
        assert torch.equal(from_weights.generator.state_dict()[name], from_weights.ema.state_dict()[name])
        assert torch.allclose(from_weights.ema.state_dict()[name], value, atol=2e-3)
    sizes = [(folder / name).stat().st_size for folder, name in
             ((tmp_path, "weights.safetensors"), (small, "generator.safetensors"))]  # fmt: skip
    assert sizes[0] < 0.6 * sizes[1]


def test_weights_without_a_discriminator_say_so(small, tmp_path, capsys):
    export(small, tmp_path / "weights.safetensors")
    (tmp_path / "weights.discriminator.safetensors").unlink()
    fresh, state = begun(tmp_path / "weights.safetensors")
    for name, value in state.discriminator.state_dict().items():
        assert torch.equal(value, fresh.discriminator.state_dict()[name])
    dry_run(images(32), tmp_path / "out", config(LARGE), start_from=tmp_path / "weights.safetensors")
    said = capsys.readouterr().out
    assert "weights.safetensors, 16 pixels after 0.032 kimg: generator; its discriminator is not there" in said
    assert not (tmp_path / "out").exists()


def test_a_discriminator_is_read_from_a_run_or_beside_its_generator(small, tmp_path):
    export(small, tmp_path / "weights.safetensors")
    run, beside = load_discriminator(small), load_discriminator(tmp_path / "weights.safetensors")
    kept = torch.load(small / "checkpoint.pt", weights_only=True)["discriminator"]
    for name, value in run.state_dict().items():
        assert torch.equal(value, kept[name]) and not value.requires_grad
        torch.testing.assert_close(beside.state_dict()[name], value, atol=2e-3, rtol=0)
    assert not run.training and run.group == beside.group == 4 and load_discriminator(small, stddev_group=1).group == 1
    (tmp_path / "weights.discriminator.safetensors").write_bytes(b"torn")
    with pytest.raises(SapgganError, match="damaged; export it again"):
        load_discriminator(tmp_path / "weights.safetensors")
    (tmp_path / "weights.discriminator.safetensors").unlink()
    assert load_discriminator(tmp_path / "weights.safetensors") is None and load_discriminator(tmp_path) is None


@pytest.mark.parametrize(("change", "message"), [
    ({"widths": (8, 8, 4, 4)}, r"widths is \[8, 8, 8\] there and \[8, 8, 4\] here"),
    ({"attention": "none"}, "attention is 'se' there and 'none' here"),
    ({"name": "pggan"}, "pggan trains one scale at a time"),
    ({"channels": 3}, "channels is 1 there and 3 here"),
])  # fmt: skip
def test_networks_that_share_no_scales_are_refused(small, change, message):
    with pytest.raises(SapgganError, match=message):
        read_start(small, dataclasses.replace(LARGE, **change))


def test_a_larger_one_and_a_damaged_one_are_refused(small, tmp_path):
    train(images(32), tmp_path / "large", config(LARGE, 0.008))
    with pytest.raises(SapgganError, match="its side of 32 pixels is above 16"):
        read_start(tmp_path / "large", SMALL)
    with pytest.raises(SapgganError, match="no checkpoint"):
        read_start(tmp_path, LARGE)
    with pytest.raises(SapgganError, match="not found"):
        read_start(tmp_path / "none.safetensors", LARGE)
