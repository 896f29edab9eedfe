"""What a model is to the rest of the library: a configuration, two networks, and its entry in `MODELS`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn

from sapggan_lib.base.errors import SapgganError, near_match
from sapggan_lib.models.layers import ClassVectors


@dataclass(frozen=True)
class ModelConfig:
    """What networks are built from. `SapgganError` for a name that `MODELS` lacks."""

    name: str = "sapggan"                                 # a key of `MODELS`
    resolution: int = 512                                 # power of two, 16 to 1024
    channels: Literal[1, 3] = 1                           # 1 gray, 3 colour or duplicated gray
    latent: int = 512
    widths: tuple[int, ...] | None = None                 # feature maps at 4x4, 8x8, ...; None: the reference plan
    attention: Literal["se", "sagan", "none"] = "se"      # sapggan only, as are the next two
    se_ratio: int = 16                                    # maps / hidden units of squeeze-and-excitation
    se_place: Literal["between", "end"] = "between"       # a block's two convolutions, or after them
    classes: tuple[str, ...] = ()                         # names, in the order of the labels; none: unconditional

    def __post_init__(self) -> None:
        if self.name not in MODELS:
            raise SapgganError(f'unknown model "{self.name}"; {near_match(self.name, MODELS)}')

    @property
    def feature_maps(self) -> tuple[int, ...]:
        """Feature maps at 4x4, 8x8, ..., `resolution`: `widths`, or the model's reference plan."""
        return default_widths(self.resolution, self.name) if self.widths is None else self.widths


def default_widths(resolution: int, name: str = "sapggan") -> tuple[int, ...]:
    """Feature maps at 4x4, 8x8, ..., `resolution`, at most 512.

    PGGAN's plan: 512 up to 32x32, then halved at each doubling. DCGAN's: 64 at half the resolution, doubled at each
    halving.
    """
    base = MODELS[name].width_base(resolution)
    return tuple(min(512, base // (4 * 2**i)) for i in range(resolution.bit_length() - 2))


class Network(nn.Module):
    """Either network of a model. With classes, `forward` takes labels `[N]` after its input."""

    blocks: nn.ModuleList    # compiled one by one
    config: dict[str, Any]   # as a mapping; `build_networks` sets it

    def __init__(self) -> None:
        super().__init__()
        self.class_vectors: ClassVectors | None = None  # `build_networks` gives them, as wide as the maps at 4x4

    def vectors(self, labels: Tensor | None) -> Tensor | None:
        """Class vectors `[N, width]` of labels `[N]`; None in a network without classes."""
        if (labels is None) != (self.class_vectors is None):
            raise SapgganError(f"{type(self).__name__}: labels go with classes; give both, or neither")
        return None if labels is None or self.class_vectors is None else self.class_vectors(labels)

    def in_turn(self, n: int) -> tuple[Tensor, ...]:
        """Labels `[n]` for where any will do, each class in turn; empty in a network without classes."""
        if self.class_vectors is None:
            return ()
        return (torch.arange(n, device=self.class_vectors.weight.device) % len(self.class_vectors.weight),)

    @property
    def stage(self) -> object:
        """What decides which layers run, in a network where that changes as it grows."""
        return None

    @property
    def grown(self) -> bool:
        """Whether the stage changes no more."""
        return True


class Generator(Network):
    """Latent vectors `[N, latent]` to a list of float32 images `[N, C, r, r]`, smallest first, near [-1, 1].

    A model's own takes a `ModelConfig`.
    """

    resolution: int          # R, the side of the largest image, in pixels; `build_generator` sets this and the next
    latent: int
    fresh_latents = False    # whether the step that trains it draws latents of its own
    truncates = False        # whether `forward` takes a `truncation`

    def with_class(self, x: Tensor, labels: Tensor | None) -> Tensor:
        """Maps at 4x4, `[N, width, 4, 4]`, plus the class vectors of `labels` at each position."""
        vectors = self.vectors(labels)
        return x if vectors is None else x + vectors[:, :, None, None].to(x.dtype)

    def with_own_statistics(self) -> "Generator":
        """What to make images with after the weights were averaged: itself, but for batch norm."""
        return self

    def draw_noise(self, n: int, random: torch.Generator) -> dict[str, Tensor]:
        """Noise for `n` images that stands in for the buffers of these names: none."""
        return {}


class Discriminator(Network):
    """A list of images `[N, C, r, r]`, smallest first, to float32 logits `[N]`.

    A model's own takes a `ModelConfig` and the wanted `group`.
    """

    group = 1                # images of a minibatch stddev (1: none); N is a multiple of it
    mixed_batches = True     # whether real and generated images may share a batch
    compiled_gradients: Callable[..., Tensor]  # of penalties, where `accelerate.compile_penalty` made it

    def real_views(self, images: Tensor) -> list[Tensor]:
        """Real images `[N, C, R, R]` as this discriminator is to see them."""
        return [images]


@dataclass(frozen=True)
class Model:
    """Two networks, and how they are trained."""

    generator: Callable[[ModelConfig], Generator]
    discriminator: Callable[[ModelConfig, int], Discriminator]
    training: Mapping[str, Any] = field(default_factory=dict)  # what a `TrainConfig` leaves open, from its own paper
    multi_scale: bool = False  # whether all scales are trained at once, each by blocks of its own
    lr_factor: Mapping[int, float] = field(default_factory=dict)  # as it grows to this side; 1 where not named
    width_base: Callable[[int], int] = lambda resolution: 2**14  # feature maps times side, by resolution


MODELS: dict[str, Model] = {}  # by name; each model's file adds its own
