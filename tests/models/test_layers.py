"""Layers against plain formulas."""

import pytest
import torch
import torch.nn.functional as F

from sapggan_lib.models.layers import Conv, SelfAttention, SqueezeExcite, minibatch_stddev, pixel_norm


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
    y = minibatch_stddev(x)
    torch.testing.assert_close(y[:4], minibatch_stddev(x[:4]))
    torch.testing.assert_close(y[4:], minibatch_stddev(x[4:]))
    expected = x[:4].var(0, unbiased=False).add(1e-8).sqrt().mean()
    torch.testing.assert_close(y[:4, 3], expected.expand(4, 4, 4))


def test_pixel_norm_gives_unit_power():
    torch.testing.assert_close(pixel_norm(torch.randn(2, 8, 3, 3)).square().mean(1), torch.ones(2, 3, 3))


def test_squeeze_excite_scales_whole_maps():
    x = torch.randn(2, 8, 4, 4)
    gate = SqueezeExcite(8)(x) / x
    torch.testing.assert_close(gate, gate[:, :, :1, :1].expand_as(gate))


def test_self_attention_starts_as_identity_and_then_mixes_pixels():
    layer, x = SelfAttention(8), torch.randn(1, 8, 4, 4)
    torch.testing.assert_close(layer(x), x)
    torch.nn.init.ones_(layer.gamma)
    moved = x.clone()
    moved[..., 0, 0] += 1
    assert (layer(moved) - layer(x))[..., 3, 3].abs().max() > 1e-6
