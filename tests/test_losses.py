"""Losses against values computed by hand, penalties against closed forms."""

import math

import pytest
import torch

from sapggan_lib.losses import LOSSES, gradient_penalty, wgan_penalty

REAL, FAKE = torch.tensor([2.0, 0.5]), torch.tensor([-1.0, 0.0])
SOFT = math.log1p(math.exp(-1.0))


@pytest.mark.parametrize(
    ("name", "discriminator", "generator"),
    [
        # softplus(-2), softplus(-.5) | softplus(-1), softplus(0) | G: softplus(1), softplus(0)
        ("minmax", (0.126928 + 0.474077) / 2 + (0.313262 + 0.693147) / 2, (1.313262 + 0.693147) / 2),
        ("minmax-saturating", (0.126928 + 0.474077) / 2 + (0.313262 + 0.693147) / 2, -(0.313262 + 0.693147) / 2),
        # -0.5 - 1.25 + 0.001 * (4 + 0.25) / 2
        ("wgan-gp", -1.75 + 0.002125, 0.5),
        # relu(1-2), relu(1-.5) = 0, .5 | relu(1-1), relu(1+0) = 0, 1
        ("hinge", 0.25 + 0.5, 0.5),
        # r - mean f = 2.5, 1 -> 0, 0 | f - mean r = -2.25, -1.25 -> 0, 0
        # G: 1 - (f - mean r) = 3.25, 2.25 | 1 + (r - mean f) = 3.5, 2
        ("ra-hinge", 0.0, 2.75 + 2.75),
        ("ra-hinge-half", 0.0, 2.75),
        # r - f = 3, .5 -> softplus(-3), softplus(-.5) | G: softplus(3), softplus(.5)
        ("relativistic-pairing", (0.048587 + 0.474077) / 2, (3.048587 + 0.974077) / 2),
    ],
)
def test_losses_by_hand(name, discriminator, generator):
    assert LOSSES[name].discriminator(REAL, FAKE).item() == pytest.approx(discriminator, abs=1e-5)
    assert LOSSES[name].generator(REAL, FAKE).item() == pytest.approx(generator, abs=1e-5)


def test_ra_hinge_discriminator_where_it_is_not_zero():
    # r - mean f = -.5, .5 -> 1.5, .5 | f - mean r = .5, -.5 -> 1.5, .5
    real, fake = torch.tensor([0.0, 1.0]), torch.tensor([1.0, 0.0])
    assert LOSSES["ra-hinge"].discriminator(real, fake).item() == pytest.approx(2.0)


class Weighted(torch.nn.Module):
    """logit = a * sum of the small image + b * sum of the large one: gradients are known."""

    def __init__(self):
        super().__init__()
        self.a, self.b = torch.nn.Parameter(torch.tensor(0.5)), torch.nn.Parameter(torch.tensor(0.25))

    def forward(self, images):
        return self.a * images[0].sum((1, 2, 3)) + self.b * images[1].sum((1, 2, 3))


def scales(n=3):
    return [torch.randn(n, 1, 4, 4), torch.randn(n, 1, 8, 8)]


def test_wgan_penalty_is_the_mean_over_scales():
    # gradient norms: 0.5 * 4 = 2 and 0.25 * 8 = 2
    penalty = wgan_penalty(Weighted(), scales(), scales(), torch.rand(3))
    assert penalty.item() == pytest.approx((1 + 1) / 2, rel=1e-5)


def test_the_gradient_penalty_is_half_the_mean_squared_norm():
    assert gradient_penalty(Weighted(), scales()).item() == pytest.approx((4 + 4) / 2 / 2, rel=1e-5)


@pytest.mark.parametrize("kind", ["wgan", "gradient"])
def test_penalties_reach_the_weights(kind):
    network = Weighted()
    if kind == "wgan":
        wgan_penalty(network, scales(), scales(), torch.rand(3)).backward()
    else:
        gradient_penalty(network, scales()).backward()
    # d/da (4a - 1)^2 / 2 = 4 (4a - 1) = 4; d/da 16 a^2 / 4 = 8 a = 4
    assert network.a.grad.item() == pytest.approx(4.0, rel=1e-4)


def test_wgan_penalty_at_zero_gradient_has_finite_gradients():
    network = Weighted()
    torch.nn.init.zeros_(network.a)
    wgan_penalty(network, scales(), scales(), torch.rand(3)).backward()
    assert network.a.grad.isfinite()
