"""Models by name. A new one is a file with its two networks, and an entry in `MODELS`."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from sapggan_lib.base.config import to_mapping
from sapggan_lib.base.errors import SapgganError, near_match
from sapggan_lib.models import dcgan, pggan, sapggan, stylegan
from sapggan_lib.models.network import Discriminator, Generator


@dataclass(frozen=True)
class Model:
    """Two networks, made with those fields of `ModelConfig` (and `stddev_group`) that their signatures name."""

    generator: type[Generator]
    discriminator: type[Discriminator]
    training: Mapping[str, Any] = field(default_factory=dict)  # what a `TrainConfig` leaves open, from its own paper
    lr_factor: Mapping[int, float] = field(default_factory=dict)  # as it grows to this side; 1 where not named
    width_base: Callable[[int], int] = lambda resolution: 2**14  # feature maps times side, by resolution


MODELS = {
    "sapggan": Model(
        sapggan.Generator, sapggan.Discriminator,
        {"loss": "ra-hinge", "lr": 3e-3, "r1_gamma": 1.0},                               # lr: Karnewar 2020
    ),
    "pggan": Model(
        pggan.Generator, pggan.Discriminator, {"loss": "wgan-gp", "stddev_group": 16},   # Karras 2017
    ),
    "stylegan": Model(
        stylegan.Generator, stylegan.Discriminator,
        {"loss": "minmax", "lr": 1e-3, "r1_gamma": 10.0, "r1_every": 1},                 # Karras 2019
        lr_factor={128: 1.5, 256: 2.0, 512: 3.0, 1024: 3.0},
    ),
    "dcgan": Model(
        dcgan.Generator, dcgan.Discriminator,
        {"loss": "minmax", "lr": 2e-4, "betas": (0.5, 0.999), "stddev_group": 1},        # Radford 2015
        width_base=lambda resolution: 32 * resolution,
    ),
}  # fmt: skip


@dataclass(frozen=True)
class ModelConfig:
    """The arguments of `build_generator`. `SapgganError` for a name that `MODELS` lacks."""

    name: str = "sapggan"
    resolution: int = 512                                 # power of two, 16 to 1024
    channels: Literal[1, 3] = 1                           # 1 gray, 3 colour or duplicated gray
    latent: int = 512
    widths: tuple[int, ...] | None = None                 # feature maps at 4x4, 8x8, ...; None: `default_widths`
    attention: Literal["se", "sagan", "none"] = "se"      # sapggan only, as are the next two
    se_ratio: int = 16                                    # maps / hidden units of squeeze-and-excitation
    se_place: Literal["between", "end"] = "between"       # a block's two convolutions, or after them

    def __post_init__(self) -> None:
        find_model(self.name)


def find_model(name: str) -> Model:
    """The model of this name, or a `SapgganError` with the near match."""
    if name not in MODELS:
        raise SapgganError(f'unknown model "{name}"; {near_match(name, MODELS)}')
    return MODELS[name]


def default_widths(resolution: int, name: str = "sapggan") -> tuple[int, ...]:
    """Feature maps at 4x4, 8x8, ..., `resolution`, at most 512.

    PGGAN's plan: 512 up to 32x32, then halved at each doubling. DCGAN's: 64 at half the resolution, doubled at each
    halving.
    """
    base = find_model(name).width_base(resolution)
    return tuple(min(512, base // (4 * 2**i)) for i in range(resolution.bit_length() - 2))


def build_generator(
    name: str = "sapggan",                # a key of `MODELS`
    resolution: int = 512,                # power of two, 16 to 1024
    channels: int = 1,                    # 1 gray, 3 colour or duplicated gray
    latent: int = 512,
    widths: Sequence[int] | None = None,  # feature maps at 4x4, 8x8, ...; None: `default_widths`
    attention: str = "se",                # se, sagan, none; sapggan only
    se_ratio: int = 16,
    se_place: str = "between",            # between, end
) -> Generator:
    """A generator: z `[N, latent]` to a list of float32 images `[N, C, r, r]`, smallest first, near [-1, 1].

    Single-scale models return a list of one. `.config` on the module holds these arguments, `.resolution` and
    `.latent` are numbers. Raises `SapgganError` for an unknown name or sizes that do not fit together.
    """
    model, options = checked(
        name, resolution=resolution, channels=channels, latent=latent, widths=widths, attention=attention,
        se_ratio=se_ratio, se_place=se_place,
    )  # fmt: skip
    taken = {key: options[key] for key in inspect.signature(model.generator).parameters}
    generator = model.generator(**taken)
    generator.config = {"name": name} | taken
    return generator


def build_discriminator(
    name: str = "sapggan",
    resolution: int = 512,
    channels: int = 1,
    widths: Sequence[int] | None = None,
    attention: str = "se",
    se_ratio: int = 16,
    se_place: str = "between",
    stddev_group: int = 4,                # images of a minibatch stddev; not for dcgan, which has none
) -> Discriminator:
    """The discriminator for `build_generator`'s images: a list of `[N, C, r, r]` to float32 logits `[N]`.

    Other arguments and errors as in `build_generator`. `.group` is the minibatch stddev's group (1: none).
    """
    model, options = checked(
        name, resolution=resolution, channels=channels, widths=widths, attention=attention, se_ratio=se_ratio,
        se_place=se_place, stddev_group=stddev_group,
    )  # fmt: skip
    return model.discriminator(**{key: options[key] for key in inspect.signature(model.discriminator).parameters})


def build_networks(config: ModelConfig, stddev_group: int = 4) -> tuple[Generator, Discriminator]:
    """Both networks of a configuration; errors as in `build_generator`."""
    options = to_mapping(config)
    generator = build_generator(**options)
    del options["latent"]
    return generator, build_discriminator(**options, stddev_group=stddev_group)


def checked(name: str, **options: Any) -> tuple[Model, dict[str, Any]]:
    """The model and the options, its default widths among them; `SapgganError` for the first that does not fit."""
    model, resolution = find_model(name), options["resolution"]
    if resolution not in (16, 32, 64, 128, 256, 512, 1024):
        raise SapgganError(f"resolution must be a power of two from 16 to 1024, not {resolution}")
    if options["channels"] not in (1, 3):
        raise SapgganError(f"channels must be 1 or 3, not {options['channels']}")
    for key, known in (("attention", ("se", "sagan", "none")), ("se_place", ("between", "end"))):
        if options[key] not in known:
            raise SapgganError(f'{key} must be one of {", ".join(known)}, not "{options[key]}"')
    for key in ("latent", "se_ratio", "stddev_group"):
        number = options.get(key, 1)
        if not isinstance(number, int) or number < 1:
            raise SapgganError(f"{key} must be a whole number above 0, not {number!r}")
    plan = default_widths(resolution, name)
    widths = plan if options["widths"] is None else tuple(options["widths"])
    even = all(isinstance(width, int) and width >= 4 and width % 2 == 0 for width in widths)
    if len(widths) != len(plan) or not even:
        sides = ", ".join(str(4 * 2**i) for i in range(len(plan)))
        raise SapgganError(f"widths must be {len(plan)} even numbers from 4 up, for {sides} pixels; got {list(widths)}")
    return model, options | {"widths": widths}
