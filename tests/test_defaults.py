"""What a configuration leaves open, by model and loss."""

import pytest

from sapggan_lib.config import ModelConfig, TrainConfig
from sapggan_lib.defaults import resolve


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


def test_stylegan_is_penalised_at_every_step():
    config = resolve(TrainConfig(ModelConfig("stylegan")))
    assert (config.loss, config.r1_gamma, config.r1_every) == ("minmax", 10.0, 1)
