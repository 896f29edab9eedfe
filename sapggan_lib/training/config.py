"""A training's configuration, and what each model's own paper says where it is left open."""

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Any, Literal

from sapggan_lib.base.errors import SapgganError, near_match
from sapggan_lib.losses import LOSSES
from sapggan_lib.models import MODELS, ModelConfig


@dataclass(frozen=True)
class TrainConfig:
    """A training run. None stands for the default that `resolve` gives. `SapgganError` for a loss that there is not."""

    model: ModelConfig = field(default_factory=ModelConfig)
    loss: str | None = None                               # a key of `losses.LOSSES`
    kimg: float = 6000.0                                  # training length, thousands of real images shown
    batch: int = 16                                       # over all processes
    stddev_group: int | None = None                       # images of a minibatch stddev; at most the batch
    seed: int = 0
    lr: float | None = None                               # Adam, both networks
    lr_discriminator: float | None = None                 # Adam, of D alone; None: as lr
    betas: tuple[float, ...] | None = None                # Adam
    ema_half_life: float = 10.0                           # kimg after which a weight counts half in the average
    ema_rampup: float = 0.05                              # the half-life is at most this share of the images seen
    r1_gamma: float | None = None                         # weight of R1 at real images; 0: none
    r2_gamma: float | None = None                         # the same at generated images
    r1_every: int | None = None                           # steps between R1 penalties, each weighted by this
    hold_kimg: float = 0.0                                # for which what a start brought to G stays as it is
    grow_kimg: float | None = None                        # pggan, stylegan: each fade and each stay; None: kimg / 20
    condition_start: float | None = None                  # kimg up to which classes have no weight; None: kimg / 4
    condition_end: float | None = None                    # kimg from which they have all of it; None: kimg / 2
    augment: tuple[Literal["translation", "brightness", "cutout", "crop"], ...] = ()  # what D sees of real and fake
    log_kimg: float | None = None                         # between lines of log.jsonl; None: kimg / 200
    sample_kimg: float | None = None                      # between sample sheets; None: kimg / 20
    checkpoint_kimg: float | None = None                  # None: kimg / 20
    snapshot_kimg: tuple[float, ...] = ()                 # when `on_snapshot` is called, beside the end
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["float32", "bfloat16"] | None = None  # of forward passes; None: the quicker one, as timed
    compile: bool | None = None                           # None: on CUDA, and on a CPU for minutes of training
    cuda_graphs: bool | None = None                       # None: on CUDA up to 128 pixels, where launches dominate

    def __post_init__(self) -> None:
        if self.loss is not None and self.loss not in LOSSES:
            raise SapgganError(f'unknown loss "{self.loss}"; {near_match(self.loss, LOSSES)}')

    @property
    def rates(self) -> tuple[float, float]:
        """Learning rates of G and D, once resolved."""
        lr = self.lr or 0.0
        return lr, lr if self.lr_discriminator is None else self.lr_discriminator

    @property
    def group(self) -> int:
        """Images of a minibatch stddev, once resolved; more than the batch would mix real and fake in one group."""
        return min(self.stddev_group or 1, self.batch)


def resolve(config: TrainConfig, cuda: bool = False) -> TrainConfig:
    """`config` with every None replaced by the default for its model, loss, length and device, but for fast paths.

    `SapgganError` for a number that no training can have.
    """
    refuse_nonsense(config)
    if config.cuda_graphs and not cuda:
        raise SapgganError("cuda_graphs needs a CUDA device; leave it out on the CPU")
    of_model = MODELS[config.model.name].training
    name = config.loss or of_model.get("loss", "minmax")
    penalised = LOSSES[name].gradient_penalty  # WGAN-GP has a penalty of its own, and wants a small learning rate
    r1_gamma = 0.0 if penalised else of_model.get("r1_gamma", 0.0)
    if config.r1_gamma is not None:
        r1_gamma = config.r1_gamma
    defaults: dict[str, Any] = {
        "betas": (0.0, 0.99),
        "r1_every": 16,                        # lazy, Karras 2020
        "stddev_group": 4,
        **of_model,
        "loss": name,
        "lr": min(of_model.get("lr", 2e-3), 1e-3 if penalised else math.inf),
        "r1_gamma": r1_gamma,
        "r2_gamma": r1_gamma if LOSSES[name].needs_r2 else 0.0,
        "grow_kimg": config.kimg / 20,
        "condition_start": config.kimg / 4,
        "condition_end": max(config.kimg / 2, config.condition_start or 0.0),
        "log_kimg": config.kimg / 200,
        "sample_kimg": config.kimg / 20,
        "checkpoint_kimg": config.kimg / 20,
    }
    return dataclasses.replace(config, **{k: v for k, v in defaults.items() if getattr(config, k) is None})


def refuse_nonsense(config: TrainConfig) -> None:
    """`SapgganError` for the first number that no training can have; None is left to the default."""
    above_0 = ("kimg", "batch", "stddev_group", "r1_every", "grow_kimg", "log_kimg", "sample_kimg", "checkpoint_kimg")
    at_least_0 = (
        "hold_kimg", "lr", "lr_discriminator", "ema_half_life", "ema_rampup", "r1_gamma", "r2_gamma",
        "condition_start", "condition_end",
    )
    for name in above_0 + at_least_0:
        value = getattr(config, name)
        if value is not None and not (0 <= value < math.inf and (value or name not in above_0)):
            hint = "; for no R1 set r1_gamma to 0" if name == "r1_every" else ""
            raise SapgganError(f"{name} must be {'above' if name in above_0 else 'at least'} 0, not {value:g}{hint}")
    if config.condition_end is not None and (config.condition_start or 0.0) > config.condition_end:
        raise SapgganError(f"condition_start, {config.condition_start:g} kimg, must not come after condition_end, "
                           f"{config.condition_end:g} kimg")
    if config.betas is not None and not (len(config.betas) == 2 and all(0 <= beta < 1 for beta in config.betas)):
        raise SapgganError(f"betas must be two numbers from 0 to below 1, not {list(config.betas)}")
