"""Parameters and arithmetic of each model against counts made by hand."""

import itertools

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from sapggan_lib.models import build_discriminator, build_generator

W = (32, 24, 16, 8)             # at 4, 8, 16, 32
SIDES = (4, 8, 16, 32)
LATENT, C, N = 16, 1, 4
UP = list(zip(W, W[1:], SIDES[1:], strict=False))  # width below, width, side


def flops(network, x):
    with FlopCounterMode(display=False) as counter:
        network(x)
    return counter.get_total_flops() / 2 / N   # multiply-adds per image


def gate(width):                # squeeze-and-excitation: two linear layers with max(4, width // 16) units between
    return 2 * width * max(4, width // 16)


def fused(below, width, side):  # 4x4 kernel of stride 2 between side / 2 and side
    return 16 * below * width * (side // 2) ** 2


def plain(width, out, side):    # 3x3 kernel
    return 9 * width * out * side**2


def constant(width, side):      # minibatch stddev's map through a 3x3 kernel, once for the batch
    return 9 * width * side**2 / N


PGGAN_G = 16 * LATENT * W[0] + plain(W[0], W[0], 4) + sum(fused(b, w, s) + plain(w, w, s) for b, w, s in UP)
HEAD = plain(W[0], W[0], 4) + constant(W[0], 4) + 16 * W[0] * W[0] + W[0]
PGGAN_D = HEAD + sum(plain(w, w, s) + fused(b, w, s) for b, w, s in UP)
STYLES = 8 * LATENT**2 + 2 * sum(LATENT * 2 * w for w in W)
GENERATOR = {
    "sapggan": PGGAN_G + sum(w * s**2 + gate(w) for w, s in zip(W, SIDES, strict=True)),
    "pggan": PGGAN_G + W[-1] * 32**2,
    "stylegan": PGGAN_G - 16 * LATENT * W[0] + STYLES + W[-1] * 32**2,
    "dcgan": 16 * LATENT * W[0] + sum(fused(b, w, s) for b, w, s in UP[:-1]) + 16 * W[-2] * 16**2,
}
# what enters from the image is sums of products, which are not counted
JOINS = sum((w + w // 2) * w * s**2 for w, s in zip(W[:-1], SIDES, strict=False))
STDDEV = sum(constant(w, s) for w, s in zip(W[1:], SIDES[1:], strict=True))
DISCRIMINATOR = {
    "sapggan": PGGAN_D + JOINS + STDDEV + sum(gate(w) for w in W),
    "pggan": PGGAN_D,
    "stylegan": PGGAN_D,
    "dcgan": 16 * W[0] + sum(fused(w, b, s) for b, w, s in UP[:-1]) + 16 * W[-2] * 16**2,
}


@pytest.mark.parametrize("name", list(GENERATOR))
def test_arithmetic_equals_the_hand_count(name):
    with torch.device("meta"):
        generator = build_generator(name, 32, latent=LATENT, widths=W).eval()
        discriminator = build_discriminator(name, 32, widths=W)
        images = generator(torch.empty(N, LATENT))
        assert flops(generator, torch.empty(N, LATENT)) == GENERATOR[name]
        assert flops(discriminator, images) == DISCRIMINATOR[name]


def test_parameters_at_512_equal_the_hand_count():
    widths = (512, 512, 512, 512, 256, 128, 64, 32)
    pairs = list(itertools.pairwise(widths))
    gates = sum(2 * w * (h := max(4, w // 16)) + h + w for w in widths)
    convolutions = 9 * 512 * 512 + sum(9 * (a * b + b * b) + 2 * b for a, b in pairs)
    generator = 16 * 512 * 512 + 512 + convolutions + 512 + gates + sum(w + 1 for w in widths)
    joins = sum(w // 2 * 2 + (w + w // 2) * w + w for w in widths[:-1]) + 2 * 32
    head = 9 * 513 * 512 + 512 + 16 * 512 * 512 + 512 + 513
    blocks = sum(9 * ((b + 1) * b + a * b) + a + b for a, b in pairs)  # minibatch stddev is one map more
    discriminator = head + blocks + joins + gates
    with torch.device("meta"):
        assert sum(p.numel() for p in build_generator().parameters()) == generator == 23_211_816
        assert sum(p.numel() for p in build_discriminator().parameters()) == discriminator
