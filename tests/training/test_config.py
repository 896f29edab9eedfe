"""What a configuration leaves open, by model and loss."""

import pytest

from sapggan_lib.base.errors import SapgganError
from sapggan_lib.models import ModelConfig
from sapggan_lib.training import TrainConfig
from sapggan_lib.training.config import resolve


@pytest.mark.parametrize(
    ("options", "r1", "r2"),
    [
        ({}, 1.0, 0.0),
        ({"loss": "wgan-gp"}, 0.0, 0.0),                            # a penalty of its own
        ({"loss": "relativistic-pairing"}, 1.0, 1.0),               # R3GAN needs both
        ({"loss": "relativistic-pairing", "r1_gamma": 5.0}, 5.0, 5.0),
        ({"r1_gamma": 0.0}, 0.0, 0.0),
    ],
)
def test_what_keeps_the_discriminator_smooth_depends_on_the_loss(options, r1, r2):
    config = resolve(TrainConfig(ModelConfig("sapggan"), **options))
    assert (config.r1_gamma, config.r2_gamma, config.r1_every) == (r1, r2, 16)


@pytest.mark.parametrize(("name", "loss", "lr"), [
    ("sapggan", None, 3e-3), ("sapggan", "wgan-gp", 1e-3), ("pggan", None, 1e-3), ("pggan", "hinge", 2e-3),
    ("stylegan", None, 1e-3), ("dcgan", None, 2e-4), ("dcgan", "wgan-gp", 2e-4),
])  # fmt: skip
def test_the_learning_rate_is_the_models_but_wgan_gp_takes_a_small_one(name, loss, lr):
    assert resolve(TrainConfig(ModelConfig(name), loss=loss)).lr == lr


def test_stylegan_is_penalised_at_every_step():
    config = resolve(TrainConfig(ModelConfig("stylegan")))
    assert (config.loss, config.r1_gamma, config.r1_every) == ("minmax", 10.0, 1)


@pytest.mark.parametrize(("options", "message"), [
    ({"kimg": 0.0}, "kimg must be above 0, not 0"),
    ({"kimg": float("nan")}, "kimg must be above 0, not nan"),
    ({"kimg": float("inf")}, "kimg must be above 0, not inf"),
    ({"batch": 0}, "batch must be above 0"),
    ({"grow_kimg": -1.0}, "grow_kimg must be above 0"),
    ({"r1_every": 0}, "r1_every must be above 0, not 0; for no R1"),
    ({"hold_kimg": -1.0}, "hold_kimg must be at least 0"),
    ({"lr": -1e-3}, "lr must be at least 0"),
    ({"lr": float("nan")}, "lr must be at least 0"),
    ({"lr_discriminator": -1e-3}, "lr_discriminator must be at least 0"),
    ({"betas": (0.5, 1.0)}, "betas must be two numbers from 0 to below 1"),
    ({"betas": (0.5,)}, "betas must be two numbers"),
])  # fmt: skip
def test_numbers_that_no_training_can_have_are_named(options, message):
    with pytest.raises(SapgganError, match=message):
        resolve(TrainConfig(**options))
