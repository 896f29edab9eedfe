"""Networks by the name of their model."""

import inspect
from dataclasses import replace
from typing import Any, Literal, TypeVar

from sapggan_lib.base.config import to_mapping
from sapggan_lib.base.errors import SapgganError
from sapggan_lib.models.layers import ClassVectors
from sapggan_lib.models.network import MODELS, Discriminator, Generator, ModelConfig, Network, default_widths

N = TypeVar("N", bound=Network)


def build_generator(
    name: str = "sapggan", resolution: int = 512, channels: Literal[1, 3] = 1, **options: Any
) -> Generator:
    """A generator: z `[N, latent]` to a list of float32 images `[N, C, r, r]`, smallest first, near [-1, 1].

    All arguments are `ModelConfig`'s. Single-scale models return a list of one. `.config` on the module holds the
    arguments, `.resolution` and `.latent` are numbers. Raises `SapgganError` for an unknown name or sizes that do not
    fit together.
    """
    return generator_of(ModelConfig(name, resolution, channels, **options))


def build_discriminator(
    name: str = "sapggan", resolution: int = 512, channels: Literal[1, 3] = 1, *, stddev_group: int = 4, **options: Any
) -> Discriminator:
    """The discriminator for `build_generator`'s images: a list of `[N, C, r, r]` to float32 logits `[N]`.

    Arguments and errors as in `build_generator`, but for `latent`. `stddev_group`: images of a minibatch stddev, which
    dcgan has none of. `.group` is the minibatch stddev's group (1: none).
    """
    return discriminator_of(ModelConfig(name, resolution, channels, 1, **options), stddev_group)


def build_networks(config: ModelConfig, stddev_group: int = 4) -> tuple[Generator, Discriminator]:
    """Both networks of a configuration; errors as in `build_generator`."""
    return generator_of(config), discriminator_of(config, stddev_group)


def generator_of(config: ModelConfig) -> Generator:
    config = checked(config)
    generator = finished(MODELS[config.name].generator(config), config)
    generator.resolution, generator.latent = config.resolution, config.latent
    return generator


def discriminator_of(config: ModelConfig, stddev_group: int) -> Discriminator:
    config = checked(config, stddev_group)
    return finished(MODELS[config.name].discriminator(config, stddev_group), config)


def finished(network: N, config: ModelConfig) -> N:
    """The network with its configuration, and with a vector for each class; `SapgganError` when it takes none."""
    network.config = to_mapping(config)
    if config.classes:
        if "labels" not in inspect.signature(network.forward).parameters:
            raise SapgganError(f'model "{config.name}" takes no classes: its networks\' forward has no labels')
        network.class_vectors = ClassVectors(len(config.classes), config.feature_maps[0])
    return network


def checked(config: ModelConfig, stddev_group: int = 1) -> ModelConfig:
    """The configuration with its widths filled in; `SapgganError` for the first field that does not fit."""
    if config.resolution not in (16, 32, 64, 128, 256, 512, 1024):
        raise SapgganError(f"resolution must be a power of two from 16 to 1024, not {config.resolution}")
    if config.channels not in (1, 3):
        raise SapgganError(f"channels must be 1 or 3, not {config.channels}")
    for name, known in (("attention", ("se", "sagan", "none")), ("se_place", ("between", "end"))):
        if getattr(config, name) not in known:
            raise SapgganError(f'{name} must be one of {", ".join(known)}, not "{getattr(config, name)}"')
    for name, number in (("latent", config.latent), ("se_ratio", config.se_ratio), ("stddev_group", stddev_group)):
        if not isinstance(number, int) or number < 1:
            raise SapgganError(f"{name} must be a whole number above 0, not {number!r}")
    if len(set(config.classes)) != len(config.classes) or len(config.classes) == 1:
        raise SapgganError(f"classes must be none, or at least two different names, not {list(config.classes)}")
    widths, plan = tuple(config.feature_maps), default_widths(config.resolution, config.name)
    even = all(isinstance(width, int) and width >= 4 and width % 2 == 0 for width in widths)
    if len(widths) != len(plan) or not even:
        sides = ", ".join(str(4 * 2**i) for i in range(len(plan)))
        raise SapgganError(f"widths must be {len(plan)} even numbers from 4 up, for {sides} pixels; got {list(widths)}")
    return replace(config, widths=widths)
