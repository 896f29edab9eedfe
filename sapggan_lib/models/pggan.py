"""PGGAN (Karras 2017): the same networks grown from 4x4 with fade-in, one scale at a time."""

import itertools

import torch.nn.functional as F
from torch import Tensor, nn

from sapggan_lib.models import network
from sapggan_lib.models.growing import Growing, GrowingGenerator, double
from sapggan_lib.models.layers import Conv, FromImage, Head, ToImage, leaky
from sapggan_lib.models.network import MODELS, Model, ModelConfig
from sapggan_lib.models.sapggan import GeneratorBlock, GeneratorStart


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
        for below, width in itertools.pairwise(widths):
            self.blocks.append(self.block(width, below))

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
        logits: Tensor = self.blocks[0](x, self.vectors(labels))
        return logits


MODELS["pggan"] = Model(Generator, Discriminator, {"loss": "wgan-gp", "stddev_group": 16})
