"""Layers that the four models share: equalized learning rate, resampling convolutions, normalisation, attention."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sapggan_lib.tensors import full_precision

SLOPE = 0.2  # of every leaky ReLU, as in PGGAN


def leaky(x: Tensor) -> Tensor:
    """Leaky ReLU with PGGAN's slope, in place: for the result of a layer that does not need it again."""
    return F.leaky_relu(x, SLOPE, inplace=True)


def pixel_norm(x: Tensor) -> Tensor:
    """Divide every pixel's feature vector by its root mean square (Karras 2017, section 4.2). Any `[N, C, ...]`."""
    power = x.float().square().mean(1, keepdim=True)  # float32: bf16 sums of 512 squares lose two digits
    return x * torch.rsqrt(power + 1e-8).to(x.dtype)


def instance_norm(x: Tensor) -> Tensor:
    """Bring each map of each image to mean 0 and variance 1. Keeps `[N, C, H, W]` and its type, in channels_last.

    `F.instance_norm`'s numbers, whose result and gradient are contiguous: every convolution after it would copy.
    """
    y = x.permute(0, 2, 3, 1).flatten(1, 2).float()                                    # [N, HW, C]
    y = y - y.mean(1, keepdim=True)
    y = y * torch.rsqrt(y.square().mean(1, keepdim=True) + 1e-8)
    return y.unflatten(1, x.shape[2:]).permute(0, 3, 1, 2).to(x.dtype)


def minibatch_stddev(x: Tensor, group: int = 4) -> Tensor:
    """The mean standard deviation over features and pixels within consecutive groups (Karras 2017, section 3).

    `[N, C, H, W]` to float32 `[N]`, alike within a group; N must be a multiple of `group`, or smaller than it.
    Groups are consecutive, so that real and fake images concatenated into one batch never share a group.
    """
    n, c, h, w = x.shape
    group = min(group, n)
    # a tensor for each place in the group: reducing over a dimension of 4 is several times slower on a CPU
    y = x.permute(0, 2, 3, 1).reshape(n // group, group, h * w * c).float().unbind(1)  # G times [N/G, HWC]
    mean = sum(y[1:], y[0]) / group
    variance = sum(((part - mean).square() for part in y), torch.zeros((), device=x.device)) / group
    return variance.add(1e-8).sqrt().mean(1).repeat_interleave(group)


class Conv(nn.Module):
    """Convolution with equalized learning rate: weights drawn from N(0, 1), scaled by He's constant when used.

    Maps `[N, in, H, W]` to `[N, out, H', W']`, where H' is H, 2H (`resample="up"`: nearest upsampling, then the
    convolution) or H/2 (`"down"`: the convolution, then 2x2 mean; bias and activation come after it, as in
    PGGAN's fused layers). Both are computed as one 4x4 convolution of stride 2: same numbers, 4/9 of the work.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int = 3,
        gain: float = math.sqrt(2),  # 1 for layers without activation
        resample: str = "none",      # none, up, down
    ):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.scale = gain / math.sqrt(in_channels * kernel**2)
        self.padding = kernel // 2  # keeps H and W
        self.resample = resample

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight * self.scale
        if self.resample == "up":
            return F.conv_transpose2d(x, spread(weight).flip(2, 3).transpose(0, 1), self.bias, stride=2, padding=1)
        if self.resample == "down":
            return F.conv2d(x, spread(weight) / 4, self.bias, stride=2, padding=1)
        return F.conv2d(x, weight, self.bias, padding=self.padding)


class StddevConv(Conv):
    """The convolution that a discriminator's block begins with: of the maps and one more, their minibatch stddev.

    Maps `[N, in, H, W]` to `[N, out, H, W]`. The constant map's share is added to the result instead of being
    concatenated in front: same numbers, and `in` stays an even width.
    """

    def __init__(self, in_channels: int, out_channels: int, group: int = 4):
        super().__init__(in_channels + 1, out_channels)
        self.group = group

    def forward(self, x: Tensor) -> Tensor:
        maps, constant = (self.weight * self.scale).split([x.shape[1], 1], 1)
        ones = torch.ones(1, 1, *x.shape[2:], device=x.device, dtype=x.dtype)
        share = F.conv2d(ones, constant, padding=self.padding)                      # [1, out, H, W]
        deviation = minibatch_stddev(x, self.group)[:, None, None, None].to(share.dtype)
        return F.conv2d(x, maps, self.bias, padding=self.padding) + deviation * share


class FromImage(Conv):
    """The 1x1 convolution from an image `[N, C, H, W]` to maps `[N, out, H, W]`, C of 1 or 3.

    Written as sums of products, which a convolution kernel made for many channels computes at a tenth of its speed.
    """

    def __init__(self, channels: int, out_channels: int):
        super().__init__(channels, out_channels, kernel=1)

    def forward(self, x: Tensor) -> Tensor:
        weight = (self.weight * self.scale).flatten(1)                              # [out, C]
        pixels = x.permute(0, 2, 3, 1)                                              # [N, H, W, C]
        maps = torch.addcmul(self.bias, pixels[..., :1], weight[:, 0])              # [N, H, W, out]
        for channel in range(1, weight.shape[1]):
            maps = torch.addcmul(maps, pixels[..., channel:channel + 1], weight[:, channel])
        return maps.permute(0, 3, 1, 2)                                             # in channels_last


class ToImage(Conv):
    """The 1x1 convolution from maps `[N, in, H, W]` to a float32 image `[N, C, H, W]`."""

    def __init__(self, in_channels: int, channels: int):
        super().__init__(in_channels, channels, kernel=1, gain=1.0)

    def forward(self, x: Tensor) -> Tensor:
        weight = (self.weight * self.scale).flatten(1)                              # [C, in]
        return F.linear(x.permute(0, 2, 3, 1), weight, self.bias).permute(0, 3, 1, 2).float()


def spread(weight: Tensor) -> Tensor:
    """A 3x3 kernel summed over 2x2 shifts, `[O, I, 3, 3]` to `[O, I, 4, 4]`: the kernel of a fused resampling."""
    w = F.pad(weight, (1, 1, 1, 1))
    return w[..., 1:, 1:] + w[..., :-1, 1:] + w[..., 1:, :-1] + w[..., :-1, :-1]


class Linear(nn.Module):
    """Linear layer with equalized learning rate, `[N, in]` to `[N, out]`."""

    def __init__(
        self,
        in_features: int,
        out_features: int,
        gain: float = math.sqrt(2),
        lr_multiplier: float = 1.0,  # StyleGAN's mapping network learns at 0.01
        bias: bool = True,
    ):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_features, in_features).div_(lr_multiplier))
        self.bias = nn.Parameter(torch.zeros(out_features)) if bias else None
        self.scale = gain / math.sqrt(in_features) * lr_multiplier
        self.lr_multiplier = lr_multiplier

    def forward(self, x: Tensor) -> Tensor:
        bias = self.bias * self.lr_multiplier if self.bias is not None else None
        return F.linear(x, self.weight * self.scale, bias)


class SqueezeExcite(nn.Module):
    """Channel attention (Hu 2018): scale each map by a gate computed from all maps' means. Keeps `[N, C, H, W]`.

    Our gate is 2 sigmoid, from 0 to 2, and exactly 1 at the start. A sigmoid alone starts at 1/2: where no norm
    follows, as in a discriminator, every level would halve what passes, and its gradients (ResNets avoid the same
    with a last layer of zeros, Goyal 2017, section 5.1).
    """

    def __init__(
        self,
        channels: int,
        ratio: int = 16,  # C / hidden; hidden is at least 4
    ):
        super().__init__()
        hidden = max(4, channels // ratio)
        self.squeeze = Linear(channels, hidden)
        self.excite = Linear(hidden, channels, gain=1.0)
        nn.init.zeros_(self.excite.weight)

    def forward(self, x: Tensor) -> Tensor:
        means = x.permute(0, 2, 3, 1).flatten(1, 2).mean(1)          # [N, C]; mean((2, 3))'s gradient is NCHW
        gate = 2 * self.excite(F.relu(self.squeeze(means))).sigmoid()  # [N, C]
        return x * gate[:, :, None, None]


class SelfAttention(nn.Module):
    """Attention between all pixels (SAGAN, Zhang 2018), added with a weight that starts at 0. Keeps `[N, C, H, W]`.

    Keys and values are halved by max pooling, as in the authors' implementation: a quarter of the scores. H, W even.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.inner = max(4, channels // 8)
        self.value_width = max(4, channels // 2)
        self.query_key_value = Conv(channels, 2 * self.inner + self.value_width, kernel=1, gain=1.0)
        self.out = Conv(self.value_width, channels, kernel=1, gain=1.0)
        self.gamma = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        n, _, h, w = x.shape
        q, kv = self.query_key_value(x).split([self.inner, self.inner + self.value_width], 1)
        kv = F.max_pool2d(kv, 2).flatten(2).transpose(1, 2)                                 # [N, HW/4, I + V]
        k, v = kv.split([self.inner, self.value_width], -1)
        scores = torch.matmul(q.flatten(2).transpose(1, 2), k.transpose(1, 2))              # [N, HW, HW/4]
        scores = scores.float().softmax(-1).to(v.dtype)
        mixed = torch.matmul(scores, v).transpose(1, 2).reshape(n, self.value_width, h, w)  # [N, V, H, W]
        return x + self.gamma.to(x.dtype) * self.out(mixed)


class Head(nn.Module):
    """The end of a discriminator at 4x4: maps `[N, width, 4, 4]`, and class vectors `[N, width]`, to float32 `[N]`."""

    def __init__(
        self,
        width: int,
        group: int = 4,                     # of the minibatch standard deviation
        attention: nn.Module | None = None,
    ):
        super().__init__()
        self.conv = StddevConv(width, width, group)
        self.attention = attention or nn.Identity()
        self.dense = Linear(width * 16, width)
        self.logit = Linear(width, 1, gain=1.0)

    def forward(self, x: Tensor, vectors: Tensor | None = None) -> Tensor:
        x = self.attention(leaky(self.conv(x)))
        x = leaky(self.dense(x.flatten(1)))
        with full_precision(x.device):
            return project(self.logit(x.float()).flatten(), x.float(), vectors)


class ClassVectors(nn.Module):
    """A vector for each class, weighted by `ramp`: labels `[N]` to float32 `[N, width]`.

    All begin at 0, and draw no random numbers: a conditional network begins as the unconditional one of its seed.
    Training moves the ramp from 0 to 1, so that classes come in after the images (Shahbazi 2022).
    """

    def __init__(self, classes: int, width: int):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(classes, width))
        self.register_buffer("ramp", torch.ones(()))  # on the device: no recompiling as it moves
        self.ramp: Tensor

    def forward(self, labels: Tensor) -> Tensor:
        return self.ramp * F.embedding(labels, self.weight)


def project(logits: Tensor, features: Tensor, vectors: Tensor | None) -> Tensor:
    """Logits `[N]` plus each image's features `[N, width]` along its class's vector (Miyato 2018, equation 3).

    Divided by the root of the width, as the weights of the logit are (equalized learning rate). None: no classes.
    """
    return logits if vectors is None else logits + (features * vectors).sum(1) / math.sqrt(features.shape[1])
