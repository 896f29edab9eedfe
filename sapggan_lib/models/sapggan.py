"""Self Attention PGGAN: PGGAN's networks with attention at each resolution, all scales trained at once.

With `attention="none"` this is MSG-ProGAN (Karnewar 2020), the ablation.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sapggan_lib.models import network
from sapggan_lib.models.layers import (
    Conv,
    FromImage,
    Head,
    Linear,
    SelfAttention,
    SqueezeExcite,
    StddevConv,
    ToImage,
    leaky,
    pixel_norm,
)
from sapggan_lib.models.network import MODELS, Model, ModelConfig


class GeneratorBlock(nn.Module):
    """Double the side and change the width: `[N, in, r/2, r/2]` to `[N, out, r, r]`."""

    def __init__(self, in_width: int, width: int, attention: nn.Module, place: str):
        super().__init__()
        self.conv1 = Conv(in_width, width, resample="up")
        self.conv2 = Conv(width, width)
        self.attention = attention
        self.place = place

    def forward(self, x: Tensor) -> Tensor:
        return finish_block(self, leaky(self.conv1(x)))


class GeneratorStart(nn.Module):
    """The block at 4x4: latent vectors `[N, latent]` to `[N, width, 4, 4]`.

    The bias is one number for each map, as in PGGAN: one for each position would hold a picture of its own, which
    the generator then learns instead of variety.
    """

    def __init__(self, latent: int, width: int, attention: nn.Module, place: str):
        super().__init__()
        self.width = width
        self.dense = Linear(latent, width * 16, gain=2**0.5 / 4, bias=False)  # PGGAN's gain for this layer
        self.bias = nn.Parameter(torch.zeros(width, 1, 1))
        self.conv2 = Conv(width, width)
        self.attention = attention
        self.place = place

    def forward(self, z: Tensor) -> Tensor:
        x = self.dense(pixel_norm(z)).reshape(-1, self.width, 4, 4) + self.bias
        return finish_block(self, leaky(x))


def finish_block(block: GeneratorBlock | GeneratorStart, x: Tensor) -> Tensor:
    """What both generator blocks do after their first layer: attention in its place, norm, convolution, norm."""
    if block.place == "between":
        x = block.attention(x)
    x = pixel_norm(leaky(block.conv2(pixel_norm(x))))
    return block.attention(x) if block.place == "end" else x


class Generator(network.Generator):
    """Latent vectors to images at all scales: `[N, latent]` to `[[N, C, 4, 4], ..., [N, C, R, R]]`, near [-1, 1]."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        widths, place = config.feature_maps, config.se_place
        gates = [build_attention(config, i, width) for i, width in enumerate(widths)]
        self.blocks = nn.ModuleList([GeneratorStart(config.latent, widths[0], gates[0], place)])
        self.blocks.extend(GeneratorBlock(widths[i - 1], widths[i], gates[i], place) for i in range(1, len(widths)))
        self.to_image = nn.ModuleList(ToImage(width, config.channels) for width in widths)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> list[Tensor]:
        x, images = z, []
        for i, (block, to_image) in enumerate(zip(self.blocks, self.to_image, strict=True)):
            x = block(x) if i else self.with_class(block(x), labels)  # [N, width, r, r]
            images.append(to_image(x))                                # [N, C, r, r]
        return images


class DiscriminatorBlock(nn.Module):
    """Join the image of this scale with the maps from above, then halve: `[N, width, r, r]` to `[N, out, r/2, r/2]`.

    `scale` is 1 at 8x8; at the top one `x` is None. The image enters by a 1x1 convolution to width/2 maps, is
    concatenated, and a 1x1 convolution brings the two back to `width`. Minibatch stddev is seen at every scale, as in
    MSG-GAN (Karnewar 2020), so that a lack of variety shows where it begins.
    """

    def __init__(self, config: ModelConfig, scale: int, group: int):
        super().__init__()
        out_width, width = config.feature_maps[scale - 1:scale + 1]
        self.place = config.se_place
        attention = build_attention(config, scale, width if self.place == "between" else out_width)
        self.join = Join(config.channels, width, top=4 * 2**scale == config.resolution)
        self.conv1 = StddevConv(width, width, group)
        self.conv2 = Conv(width, out_width, resample="down")
        self.attention = attention

    def forward(self, image: Tensor, x: Tensor | None = None) -> Tensor:
        x = leaky(self.conv1(self.join(image, x)))
        if self.place == "between":
            return leaky(self.conv2(self.attention(x)))
        return self.attention(leaky(self.conv2(x)))


class Join(nn.Module):
    """Bring an image `[N, C, r, r]` to the maps `[N, width, r, r]` of its scale (no maps yet at the top scale)."""

    def __init__(self, channels: int, width: int, top: bool):
        super().__init__()
        self.from_image = FromImage(channels, width if top else width // 2)
        self.mix = None if top else Conv(width + width // 2, width, kernel=1)

    def forward(self, image: Tensor, x: Tensor | None) -> Tensor:
        seen = leaky(self.from_image(image))
        if self.mix is None or x is None:
            return seen
        # a 1x1 convolution of both concatenated, without copying them into one tensor and their gradients out of it
        first, second = (self.mix.weight * self.mix.scale).split([seen.shape[1], x.shape[1]], 1)
        return leaky(F.conv2d(seen, first, self.mix.bias) + F.conv2d(x, second))


class DiscriminatorEnd(nn.Module):
    """The block at 4x4: image and maps `[N, width, 4, 4]` to logits `[N]`."""

    def __init__(self, config: ModelConfig, group: int):
        super().__init__()
        width = config.feature_maps[0]
        attention = build_attention(config, 0, width)
        self.join = Join(config.channels, width, top=False)
        self.head = Head(width, group, attention)

    def forward(self, image: Tensor, x: Tensor | None = None, vectors: Tensor | None = None) -> Tensor:
        return self.head(self.join(image, x), vectors)


class Discriminator(network.Discriminator):
    """Images at all scales, `[[N, C, 4, 4], ..., [N, C, R, R]]`, to logits `[N]`. N: a multiple of the group."""

    def __init__(self, config: ModelConfig, group: int):
        super().__init__()
        self.group = group
        self.blocks = nn.ModuleList([DiscriminatorEnd(config, group)])
        self.blocks.extend(DiscriminatorBlock(config, i, group) for i in range(1, len(config.feature_maps)))

    def forward(self, images: list[Tensor], labels: Tensor | None = None) -> Tensor:
        x = None
        for block, image in zip(reversed(self.blocks[1:]), reversed(images[1:]), strict=True):
            x = block(image, x)
        return self.blocks[0](images[0], x, self.vectors(labels))

    def real_views(self, images: Tensor) -> list[Tensor]:
        """Real images `[N, C, R, R]` as this discriminator is to see them: at all scales."""
        return pyramid(images, len(self.blocks))


def build_attention(config: ModelConfig, scale: int, width: int) -> nn.Module:
    """Attention for `width` maps at a scale (0: 4x4): SE at each, SAGAN's at 32x32 alone (16x16 if that is the top)."""
    if config.attention == "se":
        return SqueezeExcite(width, config.se_ratio)
    if config.attention == "sagan" and 4 * 2**scale == min(32, config.resolution):  # cost: fourth power of the side
        return SelfAttention(width)
    return nn.Identity()


def pyramid(images: Tensor, scales: int) -> list[Tensor]:
    """Images `[N, C, R, R]` at `scales` sizes, smallest first, by chained 2x2 means."""
    result = [images]
    for _ in range(scales - 1):
        result.append(F.avg_pool2d(result[-1], 2))
    return result[::-1]


MODELS["sapggan"] = Model(
    Generator,
    Discriminator,
    {"loss": "ra-hinge", "lr": 3e-3, "r1_gamma": 1.0},  # MSG-GAN's learning rate, Karnewar 2020
    multi_scale=True,
)
