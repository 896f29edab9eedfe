"""StyleGAN, first version (Karras 2019): mapping network, AdaIN, noise, style mixing, truncation, growing."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sapggan_lib.models import pggan
from sapggan_lib.models.layers import Conv, Linear, ToImage, instance_norm, leaky, pixel_norm
from sapggan_lib.models.network import MODELS, Model, ModelConfig
from sapggan_lib.tensors import global_mean, randn

MAPPING_LAYERS = 8
MAPPING_LR = 0.01    # learning rate of the mapping network, relative to the rest
MIXING = 0.9         # probability that a batch mixes two styles
AVERAGE_BETA = 0.995 # of the mean style, per batch


def blur(x: Tensor) -> Tensor:
    """The bilinear filter [1, 2, 1] x [1, 2, 1] / 16, as two 2x2 means. Keeps `[N, C, H, W]`."""
    return F.avg_pool2d(F.avg_pool2d(x, 2, stride=1, padding=1), 2, stride=1)


class Epilogue(nn.Module):
    """After a convolution: noise, leaky ReLU, then AdaIN with the layer's style. Keeps `[N, C, r, r]`."""

    def __init__(self, width: int, style: int, side: int):
        super().__init__()
        self.noise_strength = nn.Parameter(torch.zeros(width, 1, 1))
        self.style = Linear(style, 2 * width, gain=1.0)
        self.register_buffer("noise", torch.randn(1, 1, side, side))  # eval mode's, unless `draw_noise` stands in
        self.noise: Tensor

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        noise = randn(len(x), *self.noise.shape[1:], device=x.device) if self.training else self.noise
        x = leaky(x + noise.to(x.dtype) * self.noise_strength.to(x.dtype))
        scale, shift = self.style(w)[:, :, None, None].chunk(2, 1)
        return instance_norm(x) * (scale + 1) + shift


class SynthesisStart(nn.Module):
    """The block at 4x4, from a learned constant."""

    def __init__(self, width: int, style: int):
        super().__init__()
        self.constant = nn.Parameter(torch.ones(1, width, 4, 4))
        self.bias = nn.Parameter(torch.zeros(width, 1, 1))
        self.epilogue1 = Epilogue(width, style, 4)
        self.conv2 = Conv(width, width)
        self.epilogue2 = Epilogue(width, style, 4)

    def forward(self, w: Tensor) -> Tensor:                                # w: [N, 2, style]
        x = (self.constant + self.bias).expand(len(w), -1, -1, -1)
        return self.epilogue2(self.conv2(self.epilogue1(x, w[:, 0])), w[:, 1])


class SynthesisBlock(nn.Module):
    """Double the side: `[N, in, r/2, r/2]` and two styles `[N, 2, style]` to `[N, width, r, r]`."""

    def __init__(self, in_width: int, width: int, style: int, side: int):
        super().__init__()
        self.conv1 = Conv(in_width, width, resample="up")
        self.epilogue1 = Epilogue(width, style, side)
        self.conv2 = Conv(width, width)
        self.epilogue2 = Epilogue(width, style, side)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        x = self.epilogue1(blur(self.conv1(x)), w[:, 0])
        return self.epilogue2(self.conv2(x), w[:, 1])


class Generator(pggan.GrowingGenerator):
    """Latent vectors `[N, latent]` to a list of one: images `[N, C, r, r]`, r the side of the present level.

    In training mode noise is random, batches mix styles, and the mean style is tracked; in eval mode images are a
    function of z, with one noise for all, so that walks are continuous. `truncation` pulls styles towards the mean:
    0 is the mean image, 1 the full variety.
    """

    start = 1             # 8x8: lod_initial_resolution in the authors' training_loop.py
    fresh_latents = True  # the losses of both networks in the authors' loss.py each draw their own
    truncates = True

    def __init__(self, config: ModelConfig):
        widths, gain = config.feature_maps, 2**0.5
        latent = config.latent          # also the width of the mapping network and of styles
        super().__init__(len(widths))
        self.mapping = nn.ModuleList(Linear(latent, latent, gain, MAPPING_LR) for _ in range(MAPPING_LAYERS))
        self.register_buffer("mean_style", torch.zeros(latent))
        self.mean_style: Tensor
        self.blocks = nn.ModuleList([SynthesisStart(widths[0], latent)])
        self.blocks.extend(SynthesisBlock(widths[i - 1], widths[i], latent, 4 * 2**i) for i in range(1, len(widths)))
        self.to_image = nn.ModuleList(ToImage(width, config.channels) for width in widths)

    def styles(self, z: Tensor) -> Tensor:
        """z `[N, latent]` to styles `[N, latent]`."""
        w = pixel_norm(z)
        for layer in self.mapping:
            w = leaky(layer(w))
        return w

    def draw_noise(self, n: int, random: torch.Generator) -> dict[str, Tensor]:
        """Noise of their own for `n` images, `[n, 1, r, r]` for each noise buffer in use, by the buffer's name.

        Drawn image after image, so that an image's noise does not depend on the batch that it comes in.
        """
        buffers = {k: v for k, v in self.named_buffers() if k.endswith(".noise") and v.shape[-1] <= 4 * 2**self.level}
        sizes = [buffer.numel() for buffer in buffers.values()]
        drawn = torch.empty(n, sum(sizes))
        for row in drawn:
            row.normal_(generator=random)
        parts = zip(buffers.items(), drawn.split(sizes, 1), strict=True)
        return {name: part.reshape(n, *buffer.shape[1:]).to(buffer) for (name, buffer), part in parts}

    def forward(self, z: Tensor, labels: Tensor | None = None, truncation: float = 1.0) -> list[Tensor]:
        layers = 2 * (self.level + 1)
        w = self.styles(z)                                                  # [N, style]
        if self.training:
            with torch.no_grad():
                self.mean_style.lerp_(global_mean(w.float(), 0), 1 - AVERAGE_BETA)
            mixed, cutoff, rolled = self.styles(randn(*z.shape, device=z.device)), *torch.rand(2, device=z.device)
            cutoff = torch.where(rolled < MIXING, 1 + (cutoff * (layers - 1)).floor(), layers)
            first = (torch.arange(layers, device=z.device) < cutoff)[None, :, None]
            w = torch.where(first, w[:, None], mixed[:, None])              # [N, layers, style]
        else:
            w = torch.lerp(self.mean_style.to(w.dtype), w, truncation)[:, None].expand(-1, layers, -1)
        x = below = self.with_class(self.blocks[0](w[:, :2]), labels)
        for i in range(1, self.level + 1):
            below, x = x, self.blocks[i](x, w[:, 2 * i:2 * i + 2])          # [N, width, r, r]
        return self.to_images(below, x)


class DiscriminatorBlock(pggan.DiscriminatorBlock):
    """PGGAN's, with the bilinear filter before halving."""

    def forward(self, x: Tensor) -> Tensor:
        return leaky(self.conv2(blur(leaky(self.conv1(x)))))


class Discriminator(pggan.Discriminator):
    """A list of one, `[N, C, r, r]` at the present level, to logits `[N]`."""

    block = DiscriminatorBlock


MODELS["stylegan"] = Model(
    Generator,
    Discriminator,
    {"loss": "minmax", "lr": 1e-3, "r1_gamma": 10.0, "r1_every": 1},
    lr_factor={128: 1.5, 256: 2.0, 512: 3.0, 1024: 3.0},
)
