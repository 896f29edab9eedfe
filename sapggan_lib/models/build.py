"""Networks by the name of their model."""

import dataclasses
import inspect
from collections.abc import Sequence
from typing import TypeVar

from sapggan_lib.base.config import to_mapping
from sapggan_lib.base.errors import SapgganError
from sapggan_lib.models.layers import ClassVectors
from sapggan_lib.models.network import MODELS, Discriminator, Generator, ModelConfig, Network, default_widths

N = TypeVar("N", bound=Network)


def build_generator(
    name: str = "sapggan",                # a key of `MODELS`
    resolution: int = 512,                # power of two, 16 to 1024
    channels: int = 1,                    # 1 gray, 3 colour or duplicated gray
    latent: int = 512,
    widths: Sequence[int] | None = None,  # feature maps at 4x4, 8x8, ...; None: `default_widths`
    attention: str = "se",                # se, sagan, none; sapggan only
    se_ratio: int = 16,
    se_place: str = "between",            # between, end
    classes: Sequence[str] = (),          # names, in the order of the labels that the network then takes
) -> Generator:
    """A generator: z `[N, latent]` to a list of float32 images `[N, C, r, r]`, smallest first, near [-1, 1].

    Single-scale models return a list of one. `.config` on the module holds these arguments, `.resolution` and
    `.latent` are numbers. Raises `SapgganError` for an unknown name or sizes that do not fit together.
    """
    return generator_of(ModelConfig(
        name, resolution, channels, latent, widths, attention, se_ratio, se_place, tuple(classes)  # type: ignore[arg-type]
    ))  # fmt: skip


def build_discriminator(
    name: str = "sapggan",
    resolution: int = 512,
    channels: int = 1,
    widths: Sequence[int] | None = None,
    attention: str = "se",
    se_ratio: int = 16,
    se_place: str = "between",
    stddev_group: int = 4,                # images of a minibatch stddev; not for dcgan, which has none
    classes: Sequence[str] = (),
) -> Discriminator:
    """The discriminator for `build_generator`'s images: a list of `[N, C, r, r]` to float32 logits `[N]`.

    Other arguments and errors as in `build_generator`. `.group` is the minibatch stddev's group (1: none).
    """
    return discriminator_of(ModelConfig(
        name, resolution, channels, 1, widths, attention, se_ratio, se_place, tuple(classes)  # type: ignore[arg-type]
    ), stddev_group)  # fmt: skip


def build_networks(config: ModelConfig, stddev_group: int = 4) -> tuple[Generator, Discriminator]:
    """Both networks of a configuration; errors as in `build_generator`."""
    return generator_of(config), discriminator_of(config, stddev_group)


def generator_of(config: ModelConfig) -> Generator:
    config = checked(config)
    generator = with_classes(MODELS[config.name].generator(config), config)
    generator.config, generator.resolution, generator.latent = to_mapping(config), config.resolution, config.latent
    return generator


def discriminator_of(config: ModelConfig, stddev_group: int) -> Discriminator:
    config = checked(config, stddev_group)
    discriminator = with_classes(MODELS[config.name].discriminator(config, stddev_group), config)
    discriminator.config = to_mapping(config)
    return discriminator


def with_classes(network: N, config: ModelConfig) -> N:
    """The network with a vector for each class, where there are classes; `SapgganError` when it takes none."""
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
    return dataclasses.replace(config, widths=widths)
