"""Models by name: `build_generator` and `build_discriminator`."""

from collections.abc import Sequence
from typing import Any

from torch import nn

from sapggan_lib.base.errors import SapgganError, near_match
from sapggan_lib.models import dcgan, pggan, sapggan, stylegan

MODELS: dict[str, Any] = {"sapggan": sapggan, "pggan": pggan, "stylegan": stylegan, "dcgan": dcgan}
ATTENTIONS, PLACES = ("se", "sagan", "none"), ("between", "end")


def default_widths(resolution: int, name: str = "sapggan") -> tuple[int, ...]:
    """Feature maps at 4x4, 8x8, ..., `resolution`, at most 512.

    PGGAN's plan: 512 up to 32x32, then halved at each doubling. DCGAN's: 64 at half the resolution, doubled at each
    halving.
    """
    base = 32 * resolution if name == "dcgan" else 2**14
    return tuple(min(512, base // (4 * 2**i)) for i in range(resolution.bit_length() - 2))


def build_generator(
    name: str = "sapggan",                # sapggan, pggan, stylegan, dcgan
    resolution: int = 512,                # power of two, 16 to 1024
    channels: int = 1,                    # 1 gray, 3 colour or duplicated gray
    latent: int = 512,
    widths: Sequence[int] | None = None,  # feature maps at 4x4, 8x8, ...; None: `default_widths`
    attention: str = "se",                # se, sagan, none; sapggan only
    se_ratio: int = 16,
    se_place: str = "between",            # between, end
) -> nn.Module:
    """A generator: z `[N, latent]` to a list of float32 images `[N, C, r, r]`, smallest first, near [-1, 1].

    Single-scale models return a list of one. `.config` on the module holds these arguments, `.resolution` and
    `.latent` are numbers. Raises `SapgganError` for an unknown name or sizes that do not fit together.
    """
    widths = check(name, resolution, channels, widths)
    check_attention(attention, se_ratio, se_place)
    at_least_1(latent=latent)
    options: dict[str, Any] = {"resolution": resolution, "channels": channels, "latent": latent, "widths": widths}
    if name == "sapggan":
        options |= {"attention": attention, "se_ratio": se_ratio, "se_place": se_place}
    generator: nn.Module = MODELS[name].Generator(**options)
    generator.config = {"name": name} | options  # type: ignore[assignment]
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
) -> nn.Module:
    """The discriminator for `build_generator`'s images: a list of `[N, C, r, r]` to float32 logits `[N]`.

    Other arguments and errors as in `build_generator`. `.group` is the minibatch stddev's group (1: none).
    """
    widths = check(name, resolution, channels, widths)
    check_attention(attention, se_ratio, se_place)
    at_least_1(stddev_group=stddev_group)
    options: dict[str, Any] = {"resolution": resolution, "channels": channels, "widths": widths}
    if name == "sapggan":
        options |= {"attention": attention, "se_ratio": se_ratio, "se_place": se_place}
    if name != "dcgan":
        options["group"] = stddev_group
    discriminator: nn.Module = MODELS[name].Discriminator(**options)
    return discriminator


def check(name: str, resolution: int, channels: int, widths: Sequence[int] | None) -> tuple[int, ...]:
    """The widths as a tuple, or a `SapgganError` that names what does not fit."""
    if name not in MODELS:
        raise SapgganError(f'unknown model "{name}"; {near_match(name, MODELS)}')
    if resolution not in (16, 32, 64, 128, 256, 512, 1024):
        raise SapgganError(f"resolution must be a power of two from 16 to 1024, not {resolution}")
    if channels not in (1, 3):
        raise SapgganError(f"channels must be 1 or 3, not {channels}")
    plan = default_widths(resolution, name)
    widths = plan if widths is None else tuple(widths)
    even = all(isinstance(width, int) and width >= 4 and width % 2 == 0 for width in widths)
    if len(widths) != len(plan) or not even:
        sides = ", ".join(str(4 * 2**i) for i in range(len(plan)))
        raise SapgganError(f"widths must be {len(plan)} even numbers from 4 up, for {sides} pixels; got {list(widths)}")
    return widths


def check_attention(attention: str, se_ratio: int, se_place: str) -> None:
    """`SapgganError` for an attention that there is not, or that cannot be built."""
    for name, value, known in (("attention", attention, ATTENTIONS), ("se_place", se_place, PLACES)):
        if value not in known:
            raise SapgganError(f'{name} must be one of {", ".join(known)}, not "{value}"')
    at_least_1(se_ratio=se_ratio)


def at_least_1(**numbers: int) -> None:
    """`SapgganError` for the first of the numbers, named, that is not a whole one above 0."""
    for name, value in numbers.items():
        if not isinstance(value, int) or value < 1:
            raise SapgganError(f"{name} must be a whole number above 0, not {value!r}")
