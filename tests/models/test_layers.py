"""Layers against plain formulas."""

import pytest
import torch
import torch.nn.functional as F

from sapggan_lib.models.layers import (
    Conv,
    FromImage,
    SelfAttention,
    SqueezeExcite,
    StddevConv,
    ToImage,
    instance_norm,
    minibatch_stddev,
    pixel_norm,
)


@pytest.mark.parametrize("resample", ["up", "down"])
def test_a_fused_resampling_equals_the_plain_one(resample):
    conv = Conv(3, 5, resample=resample).double()
    x = torch.randn(2, 3, 8, 8, dtype=torch.double)
    weight = conv.weight * conv.scale
    if resample == "up":
        plain = F.conv2d(F.interpolate(x, scale_factor=2), weight, padding=1)
    else:
        plain = F.avg_pool2d(F.conv2d(x, weight, padding=1), 2)
    torch.testing.assert_close(conv(x), plain)


def test_minibatch_stddev_groups_neighbours():
    x = torch.randn(8, 3, 4, 4)
    expected = torch.stack([part.var(0, unbiased=False).add(1e-8).sqrt().mean() for part in (x[:4], x[4:])])
    torch.testing.assert_close(minibatch_stddev(x), expected.repeat_interleave(4))
    torch.testing.assert_close(minibatch_stddev(x[:2], group=4), minibatch_stddev(x[:2], group=2))


@pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last])
def test_the_stddev_convolution_equals_one_of_the_concatenated_map(memory):
    conv, x = StddevConv(3, 5).double(), torch.randn(8, 3, 4, 4, dtype=torch.double).to(memory_format=memory)
    torch.nn.init.normal_(conv.bias)
    deviation = minibatch_stddev(x).double()[:, None, None, None].expand(-1, 1, 4, 4)
    plain = F.conv2d(torch.cat([x, deviation], 1), conv.weight * conv.scale, conv.bias, padding=1)
    torch.testing.assert_close(conv(x), plain)


@pytest.mark.parametrize("channels", [1, 3])
def test_the_layers_at_the_image_equal_1x1_convolutions(channels):
    image, maps = torch.randn(2, channels, 4, 4), torch.randn(2, 6, 4, 4)
    for layer, x in ((FromImage(channels, 6), image), (ToImage(6, channels), maps)):
        torch.nn.init.normal_(layer.bias)
        torch.testing.assert_close(layer(x), F.conv2d(x, layer.weight * layer.scale, layer.bias))
    assert FromImage(channels, 6)(image).is_contiguous(memory_format=torch.channels_last)


def test_pixel_norm_gives_unit_power():
    torch.testing.assert_close(pixel_norm(torch.randn(2, 8, 3, 3)).square().mean(1), torch.ones(2, 3, 3))


def test_squeeze_excite_starts_as_the_identity_and_scales_whole_maps():
    x, layer = torch.randn(2, 8, 4, 4), SqueezeExcite(8)
    assert torch.equal(layer(x), x)
    torch.nn.init.normal_(layer.excite.weight, std=3.0)
    gate = layer(x) / x
    assert (gate - 1).abs().max() > 0.05 and gate.min() > 0 and gate.max() < 2
    torch.testing.assert_close(gate, gate[:, :, :1, :1].expand_as(gate))


def test_self_attention_starts_as_identity_and_then_mixes_pixels():
    layer, x = SelfAttention(8), torch.randn(1, 8, 4, 4)
    torch.testing.assert_close(layer(x), x)
    torch.nn.init.ones_(layer.gamma)
    moved = x.clone()
    moved[..., 0, 0] += 1
    assert (layer(moved) - layer(x))[..., 3, 3].abs().max() > 1e-6


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_instance_norm_is_torchs_and_stays_in_channels_last(dtype, layout):
    x = (3 * torch.randn(2, 8, 4, 6) + 5).to(dtype).to(memory_format=layout).requires_grad_()
    expected = F.instance_norm(x.float(), eps=1e-8).to(dtype)
    normal = instance_norm(x)
    torch.testing.assert_close(normal, expected)
    weight = torch.randn_like(normal)
    (gradient,), (of_torch,) = (torch.autograd.grad((y * weight).sum(), x) for y in (normal, expected))
    torch.testing.assert_close(gradient, of_torch, atol=1e-5, rtol=1e-2 if dtype == torch.bfloat16 else 1e-4)
    if layout == torch.channels_last:
        assert all(y.is_contiguous(memory_format=layout) for y in (normal, gradient))
