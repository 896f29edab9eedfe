"""PGGAN (Karras 2017): the same networks grown from 4x4 with fade-in, one scale at a time."""

import itertools

import torch.nn.functional as F
from torch import Tensor, nn

from sapggan_lib.models.growing import Growing, double
from sapggan_lib.models.layers import Conv, FromImage, Head, ToImage, leaky
from sapggan_lib.models.sapggan import GeneratorBlock, GeneratorStart


class Generator(Growing):
    """Latent vectors `[N, latent]` to a list of one: images `[N, C, r, r]`, r the side of the present level."""

    fresh_latents = True  # G_wgan_acgan and D_wgangp_acgan in the authors' loss.py each draw their own

    def __init__(
        self,
        resolution: int = 512,
        channels: int = 1,
        latent: int = 512,
        widths: tuple[int, ...] = (),   # feature maps at 4x4, 8x8, ...
    ):
        super().__init__(len(widths))
        self.latent, self.resolution = latent, resolution
        self.blocks = nn.ModuleList([GeneratorStart(latent, widths[0], nn.Identity(), "end")])
        for below, width in itertools.pairwise(widths):
            self.blocks.append(GeneratorBlock(below, width, nn.Identity(), "end"))
        self.to_image = nn.ModuleList(ToImage(width, channels) for width in widths)

    def forward(self, z: Tensor) -> list[Tensor]:
        x = below = z
        for block in self.blocks[: self.level + 1]:
            below, x = x, block(x)                                  # [N, width, r, r]
        image = self.to_image[self.level](x)                        # [N, C, r, r]
        if self.fading:
            image = self.blend(double(self.to_image[self.level - 1](below)), image)
        return [image.float()]


class DiscriminatorBlock(nn.Module):
    """Halve the side: `[N, width, r, r]` to `[N, out, r/2, r/2]`."""

    def __init__(self, width: int, out_width: int):
        super().__init__()
        self.conv1 = Conv(width, width)
        self.conv2 = Conv(width, out_width, resample="down")

    def forward(self, x: Tensor) -> Tensor:
        return leaky(self.conv2(leaky(self.conv1(x))))


class Discriminator(Growing):
    """A list of one, `[N, C, r, r]` at the present level, to logits `[N]`."""

    block = DiscriminatorBlock

    def __init__(
        self,
        resolution: int = 512,
        channels: int = 1,
        widths: tuple[int, ...] = (),   # feature maps at 4x4, 8x8, ...
        group: int = 4,                 # of the minibatch standard deviation
    ):
        super().__init__(len(widths))
        self.resolution, self.group = resolution, group
        self.from_image = nn.ModuleList(FromImage(channels, width) for width in widths)
        self.blocks = nn.ModuleList([Head(widths[0], group)])
        for below, width in itertools.pairwise(widths):
            self.blocks.append(self.block(width, below))

    def forward(self, images: list[Tensor]) -> Tensor:
        (image,) = images
        x = leaky(self.from_image[self.level](image))
        for i in range(self.level, -1, -1):
            x = self.blocks[i](x)
            if self.fading and i == self.level:
                x = self.blend(leaky(self.from_image[i - 1](F.avg_pool2d(image, 2))), x)
        return x
