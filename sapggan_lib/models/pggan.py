"""PGGAN (Karras 2017): the same networks grown from 4x4 with fade-in, one scale at a time.

`stage_at` says which resolution is trained, and how far its fade-in has come.
"""

import itertools

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sapggan_lib.models import network
from sapggan_lib.models.layers import Conv, FromImage, Head, ToImage, leaky
from sapggan_lib.models.network import MODELS, Model, ModelConfig
from sapggan_lib.models.sapggan import GeneratorBlock, GeneratorStart


class Growing(network.Network):
    """A network that works at one of its scales, its `level` (0: 4x4), blended with the one below while `alpha` < 1.

    New networks are fully grown. The stage is part of the state dict.
    """

    start = 0       # the level that training begins with
    fading = False  # whether `alpha` is below 1
    alpha: Tensor

    def __init__(self, levels: int):
        super().__init__()
        self.levels = levels
        self.level = levels - 1
        self.register_buffer("alpha", torch.ones(()), persistent=False)  # on the device: no recompiling as it moves

    @property
    def stage(self) -> tuple[int, bool]:
        """What decides which layers run: the level, and whether it fades in."""
        return self.level, self.fading

    @property
    def grown(self) -> bool:
        """Whether the last level is reached and has faded in."""
        return self.stage == (self.levels - 1, False)

    def set_stage(self, level: int, alpha: float) -> None:
        alpha = torch.tensor(alpha).item()  # as the saved state holds it, so that `fading` survives a resume
        self.level, self.fading = level, alpha < 1
        self.alpha.fill_(alpha)

    def get_extra_state(self) -> Tensor:
        return torch.tensor([self.level, float(self.alpha)])

    def set_extra_state(self, state: Tensor) -> None:
        level, alpha = state.tolist()
        if not (0 <= level < self.levels and 0 <= alpha <= 1):
            raise ValueError(f"no stage {level:g}, {alpha:g}")
        self.set_stage(int(level), alpha)

    def blend(self, old: Tensor, new: Tensor) -> Tensor:
        return torch.lerp(old.float(), new.float(), self.alpha).to(new.dtype)


class GrowingGenerator(Growing, network.Generator):
    """A growing network with a layer `to_image` at each level."""

    to_image: nn.ModuleList

    def to_images(self, below: Tensor, x: Tensor) -> list[Tensor]:
        """The image `[N, C, r, r]` of the present level's maps `x`, blended with that of the maps `below`."""
        image = self.to_image[self.level](x)
        if self.fading:
            image = self.blend(double(self.to_image[self.level - 1](below)), image)
        return [image.float()]


def stage_at(images: int, per_phase: float, levels: int, start: int = 0) -> tuple[int, float]:
    """Level and alpha after `images` shown: a stay at level `start`, then a fade and a stay at each level above.

    Each takes `per_phase` images (`TrainingSchedule` in PGGAN's train.py and StyleGAN's training_loop.py).
    """
    phase = images / per_phase
    if phase < 1:
        return start, 1.0
    level = min(levels - 1, start + 1 + int((phase - 1) / 2))
    return level, min(1.0, phase - 1 - 2 * (level - start - 1))


def double(images: Tensor) -> Tensor:
    """Nearest-neighbour enlargement by 2."""
    return F.interpolate(images, scale_factor=2.0, mode="nearest")


class Generator(GrowingGenerator):
    """Latent vectors `[N, latent]` to a list of one: images `[N, C, r, r]`, r the side of the present level."""

    fresh_latents = True  # G_wgan_acgan and D_wgangp_acgan in the authors' loss.py each draw their own

    def __init__(self, config: ModelConfig):
        widths = config.feature_maps
        super().__init__(len(widths))
        self.blocks = nn.ModuleList([GeneratorStart(config.latent, widths[0], nn.Identity(), "end")])
        for below, width in itertools.pairwise(widths):
            self.blocks.append(GeneratorBlock(below, width, nn.Identity(), "end"))
        self.to_image = nn.ModuleList(ToImage(width, config.channels) for width in widths)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> list[Tensor]:
        x = below = self.with_class(self.blocks[0](z), labels)
        for block in self.blocks[1 : self.level + 1]:
            below, x = x, block(x)                                  # [N, width, r, r]
        return self.to_images(below, x)


class DiscriminatorBlock(nn.Module):
    """Halve the side: `[N, width, r, r]` to `[N, out, r/2, r/2]`."""

    def __init__(self, width: int, out_width: int):
        super().__init__()
        self.conv1 = Conv(width, width)
        self.conv2 = Conv(width, out_width, resample="down")

    def forward(self, x: Tensor) -> Tensor:
        return leaky(self.conv2(leaky(self.conv1(x))))


class Discriminator(Growing, network.Discriminator):
    """A list of one, `[N, C, r, r]` at the present level, to logits `[N]`."""

    block = DiscriminatorBlock

    def __init__(self, config: ModelConfig, group: int):
        widths = config.feature_maps
        super().__init__(len(widths))
        self.group = group
        self.from_image = nn.ModuleList(FromImage(config.channels, width) for width in widths)
        self.blocks = nn.ModuleList([Head(widths[0], group)])
        self.blocks.extend(self.block(width, below) for below, width in itertools.pairwise(widths))

    def real_views(self, images: Tensor) -> list[Tensor]:
        """Real images `[N, C, R, R]` as this discriminator is to see them: at its level, faded as the fakes are."""
        image = F.avg_pool2d(images, 2 ** (self.levels - 1 - self.level))
        return [self.blend(double(F.avg_pool2d(image, 2)), image) if self.fading else image]

    def forward(self, images: list[Tensor], labels: Tensor | None = None) -> Tensor:
        (image,) = images
        x = leaky(self.from_image[self.level](image))
        for i in range(self.level, 0, -1):
            x = self.blocks[i](x)
            if self.fading and i == self.level:
                x = self.blend(leaky(self.from_image[i - 1](F.avg_pool2d(image, 2))), x)
        return self.blocks[0](x, self.vectors(labels))


MODELS["pggan"] = Model(Generator, Discriminator, {"loss": "wgan-gp", "stddev_group": 16})
