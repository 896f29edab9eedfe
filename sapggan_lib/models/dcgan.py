"""DCGAN (Radford 2015), deepened: one more transposed convolution for each doubling of the resolution."""

import copy
import itertools

import torch
from torch import Tensor, nn

from sapggan_lib.models import network
from sapggan_lib.models.layers import leaky, project
from sapggan_lib.models.network import MODELS, Model, ModelConfig
from sapggan_lib.tensors import global_mean, rank_and_world


class BatchNorm(nn.BatchNorm2d):
    """Batch norm over the global batch when several processes train, so that they equal one. Keeps `[N, C, H, W]`.

    With a `momentum` of None, as in `Generator.with_own_statistics`, a process is alone.
    """

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.momentum is None or rank_and_world()[1] == 1:
            return super().forward(x)
        x = x.float()
        mean = global_mean(x, (0, 2, 3))[:, None, None]                     # [C, 1, 1]
        variance = global_mean((x - mean).square(), (0, 2, 3))[:, None, None]
        with torch.no_grad():
            count = x.numel() // x.shape[1] * rank_and_world()[1]
            self.running_mean.lerp_(mean.flatten(), self.momentum)
            unbiased = variance.flatten() * count / (count - 1)
            self.running_var.lerp_(unbiased, self.momentum)
            self.num_batches_tracked.add_(1)
        return (x - mean) * torch.rsqrt(variance + self.eps) * self.weight[:, None, None] + self.bias[:, None, None]


class Generator(network.Generator):
    """Latent vectors `[N, latent]` to a list of one: images `[N, C, R, R]` in [-1, 1]."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        *widths, _ = config.feature_maps                                    # the last one, for R, is not used
        self.blocks = nn.ModuleList([up(config.latent, widths[0], stride=1, padding=0)])
        self.blocks.extend(up(below, width) for below, width in itertools.pairwise(widths))
        self.to_image = nn.Sequential(nn.ConvTranspose2d(widths[-1], config.channels, 4, 2, 1), nn.Tanh())
        self.apply(initialize)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> list[Tensor]:
        x = self.with_class(self.blocks[0](z[:, :, None, None]), labels)
        for block in self.blocks[1:]:
            x = block(x)                                                    # [N, width, r, r]
        return [self.to_image(x).float()]

    @torch.no_grad()
    def with_own_statistics(self, batches: int = 16, batch: int = 32) -> network.Generator:
        """A copy to make images with, its batch norm statistics those of its weights: averaged weights have none.

        They are means over `batches` of latents that are always the same, as `torch.optim.swa_utils.update_bn` makes
        them for averaged weights (Izmailov 2018, section 3.2). The global random state stays untouched.
        """
        copied = copy.deepcopy(self).train()
        for module in copied.modules():
            if isinstance(module, BatchNorm):
                module.reset_running_stats()
                module.momentum = None  # the mean of all batches
        random = torch.Generator().manual_seed(0)
        for _ in range(batches):
            copied(torch.randn(batch, self.latent, generator=random).to(next(self.parameters())), *self.in_turn(batch))
        return copied.eval()


def up(in_width: int, width: int, stride: int = 2, padding: int = 1) -> nn.Module:
    convolution = nn.ConvTranspose2d(in_width, width, 4, stride, padding, bias=False)
    return nn.Sequential(convolution, BatchNorm(width), nn.ReLU())


class Down(nn.Module):
    """Halve the side, `[N, in, r, r]` to `[N, width, r/2, r/2]`; the layer next to the image has no batch norm."""

    def __init__(self, in_width: int, width: int, norm: bool):
        super().__init__()
        self.conv = nn.Conv2d(in_width, width, 4, 2, 1, bias=not norm)
        self.norm = BatchNorm(width) if norm else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return leaky(self.norm(self.conv(x)))


class Discriminator(network.Discriminator):
    """A list of one, `[N, C, R, R]`, to logits `[N]`. Real and fake must come in batches of their own."""

    mixed_batches = False  # batch norm would let each see the other's statistics

    def __init__(self, config: ModelConfig, group: int):
        super().__init__()
        *widths, _ = config.feature_maps                                    # the last one, for R, is not used
        self.blocks = nn.ModuleList([nn.Conv2d(widths[0], 1, 4)])
        self.blocks.extend(Down(width, below, norm=True) for below, width in itertools.pairwise(widths))
        self.blocks.append(Down(config.channels, widths[-1], norm=False))
        self.apply(initialize)

    def forward(self, images: list[Tensor], labels: Tensor | None = None) -> Tensor:
        (x,) = images
        for block in reversed(self.blocks[1:]):
            x = block(x)
        return project(self.blocks[0](x).float().flatten(), x.float().sum((2, 3)), self.vectors(labels))


def initialize(module: nn.Module) -> None:
    """The paper's N(0, 0.02), and N(1, 0.02) for batch norm."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)


MODELS["dcgan"] = Model(
    Generator,
    Discriminator,
    {"loss": "minmax", "lr": 2e-4, "betas": (0.5, 0.999), "stddev_group": 1},
    width_base=lambda resolution: 32 * resolution,
)
