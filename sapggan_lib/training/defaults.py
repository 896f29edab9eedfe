"""What a training configuration leaves open, per model, from each model's own paper."""

import dataclasses
import math
from typing import Any

from sapggan_lib.base.config import TrainConfig
from sapggan_lib.base.errors import SapgganError

DEFAULTS: dict[str, dict[str, Any]] = {
    "sapggan": {"loss": "ra-hinge", "lr": 3e-3, "betas": (0.0, 0.99), "r1_gamma": 1.0},     # lr: Karnewar 2020
    "pggan": {"loss": "wgan-gp", "betas": (0.0, 0.99), "r1_gamma": 0.0,
              "stddev_group": 16},                                                        # Karras 2017
    "stylegan": {"loss": "minmax", "lr": 1e-3, "betas": (0.0, 0.99), "r1_gamma": 10.0,
                 "r1_every": 1},                                                          # Karras 2019
    "dcgan": {"loss": "minmax", "lr": 2e-4, "betas": (0.5, 0.999), "r1_gamma": 0.0,
              "stddev_group": 1},                                                         # Radford 2015
}
LR_FACTOR = {"stylegan": {128: 1.5, 256: 2.0, 512: 3.0, 1024: 3.0}}  # as it grows to this side; 1 where not named


def resolve(config: TrainConfig, cuda: bool = False) -> TrainConfig:
    """`config` with every None replaced by the default for its model, loss, length and device."""
    refuse_nonsense(config)
    defaults = DEFAULTS[config.model.name]
    loss = config.loss or defaults["loss"]
    r1_gamma = 0.0 if loss == "wgan-gp" else defaults["r1_gamma"]  # WGAN-GP has a penalty of its own
    if config.r1_gamma is not None:
        r1_gamma = config.r1_gamma
    choices = {"r1_every": 16, "stddev_group": 4} | defaults | {  # R1 is lazy as in Karras 2020
        "loss": loss,
        "lr": min(defaults.get("lr", 2e-3), 1e-3 if loss == "wgan-gp" else math.inf),
        "r1_gamma": r1_gamma,
        "r2_gamma": r1_gamma if loss == "relativistic-pairing" else 0.0,  # as R3GAN, which cannot do without
        "grow_kimg": config.kimg / 20,
        "log_kimg": config.kimg / 200,
        "sample_kimg": config.kimg / 20,
        "checkpoint_kimg": config.kimg / 20,
    }
    if config.cuda_graphs and not cuda:
        raise SapgganError("cuda_graphs needs a CUDA device; leave it out on the CPU")
    return dataclasses.replace(config, **{k: v for k, v in choices.items() if getattr(config, k) is None})


def refuse_nonsense(config: TrainConfig) -> None:
    """`SapgganError` for the first number that no training can have; None is left to the default."""
    above_0 = ("kimg", "batch", "stddev_group", "r1_every", "grow_kimg", "log_kimg", "sample_kimg", "checkpoint_kimg")
    for name in (*above_0, "lr", "ema_half_life", "ema_rampup", "r1_gamma", "r2_gamma"):
        value = getattr(config, name)
        if value is not None and not (0 <= value < math.inf and (value or name not in above_0)):
            hint = "; for no R1 set r1_gamma to 0" if name == "r1_every" else ""
            raise SapgganError(f"{name} must be {'above' if name in above_0 else 'at least'} 0, not {value:g}{hint}")
    if config.betas is not None and not (len(config.betas) == 2 and all(0 <= beta < 1 for beta in config.betas)):
        raise SapgganError(f"betas must be two numbers from 0 to below 1, not {list(config.betas)}")
