"""A model and a loss of somebody else's: one file, this one, and one entry each; nothing else has to know them."""

import dataclasses

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sapggan_lib.base.config import from_mapping
from sapggan_lib.base.errors import SapgganError
from sapggan_lib.losses import LOSSES, Loss
from sapggan_lib.models import MODELS, Discriminator, Generator, Model, ModelConfig, generate, load_generator
from sapggan_lib.training import TrainConfig, build, read_checkpoint, resolve, train


class Upsampler(Generator):
    """`[N, latent]` to `[[N, C, R, R]]`: a linear layer, and a convolution for each doubling."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        widths = config.feature_maps
        self.start = nn.Linear(config.latent, 16 * widths[0])
        pairs = zip(widths, [*widths[1:], config.channels], strict=True)
        self.blocks = nn.ModuleList(nn.Conv2d(below, width, 3, padding=1) for below, width in pairs)

    def forward(self, z: Tensor) -> list[Tensor]:
        x = self.start(z).unflatten(1, (-1, 4, 4))
        for block in self.blocks[:-1]:
            x = F.interpolate(F.relu(block(x)), scale_factor=2)             # [N, width, r, r]
        return [self.blocks[-1](x).tanh()]


class Downsampler(Discriminator):
    """`[[N, C, R, R]]` to logits `[N]`: a convolution of stride 2 for each halving, and the mean."""

    def __init__(self, config: ModelConfig, group: int):
        super().__init__()
        widths = config.feature_maps
        pairs = zip([config.channels, *widths[1:][::-1]], widths[::-1], strict=True)
        self.blocks = nn.ModuleList(nn.Conv2d(above, width, 3, 2, 1) for above, width in pairs)

    def forward(self, images: list[Tensor]) -> Tensor:
        (x,) = images
        for block in self.blocks:
            x = F.leaky_relu(block(x), 0.2)                                 # [N, width, r/2, r/2]
        return x.float().mean((1, 2, 3))


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    monkeypatch.setitem(MODELS, "sampler", Model(Upsampler, Downsampler, {"loss": "squares", "lr": 1e-3}))
    squares = Loss(
        discriminator=lambda real, fake: (real - 1).square().mean() + fake.square().mean(),
        generator=lambda _, fake: (fake - 1).square().mean(),
    )
    monkeypatch.setitem(LOSSES, "squares", squares)                         # least squares GAN, Mao 2017


MODEL = {"name": "sampler", "resolution": 16, "latent": 8, "widths": [8, 8, 8]}
IMAGES = np.random.default_rng(0).integers(0, 256, (16, 16, 16), np.uint8)


def config(**options):
    return from_mapping(TrainConfig, {"model": MODEL, "batch": 4, "device": "cpu"} | options, "test")


@pytest.mark.parametrize("loss", ["squares", "wgan-gp", "relativistic-pairing"])
def test_it_trains_goes_on_and_is_saved_loaded_and_sampled(tmp_path, loss):
    train(IMAGES, tmp_path / "whole", config(kimg=0.032, loss=loss))
    train(IMAGES, tmp_path / "parts", config(kimg=0.016, loss=loss))
    result = train(IMAGES, tmp_path / "parts", config(kimg=0.032, loss=loss), resume=True)
    assert result.finished and all(np.isfinite(line["loss_g"]) for line in result.log)
    whole, parts = (read_checkpoint(tmp_path / name)["generator"] for name in ("whole", "parts"))
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
    start = build(resolve(config(seed=0)), torch.device("cpu")).generator.state_dict()
    assert not torch.equal(start["start.weight"], whole["start.weight"])
    assert generate(load_generator(tmp_path / "parts"), 3).shape == (3, 16, 16)


def test_a_loss_trains_the_models_that_were_there(tmp_path):
    model = ModelConfig("pggan", 16, latent=8, widths=(8, 8, 8))
    assert train(IMAGES, tmp_path, dataclasses.replace(config(kimg=0.016, loss="squares"), model=model)).finished


def test_what_they_leave_open_has_defaults():
    resolved = resolve(config())
    assert (resolved.loss, resolved.lr, resolved.betas, resolved.r1_gamma) == ("squares", 1e-3, (0.0, 0.99), 0.0)


@pytest.mark.parametrize(("wrong", "message"), [
    ({"loss": "square"}, 'run.yml: unknown loss "square"; did you mean "squares"?'),
    ({"model": {"name": "sample"}}, 'run.yml: "model": unknown model "sample"; did you mean "sampler"?'),
])  # fmt: skip
def test_a_name_that_there_is_not_comes_with_the_near_match(wrong, message):
    with pytest.raises(SapgganError) as error:
        from_mapping(TrainConfig, wrong, "run.yml")
    assert str(error.value) == message
