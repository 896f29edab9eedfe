"""Adversarial losses as functions of logits, and the gradient penalties.

`LOSSES[name].discriminator(real, fake)` and `.generator(real, fake)` map logits `[N]` to scalars. A generator loss
that does not look at real logits takes None for them. A new loss is an entry here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sapggan_lib.tensors import full_precision, global_mean

GP_WEIGHT = 10.0  # WGAN-GP's lambda
DRIFT = 1e-3      # PGGAN's pull of real logits towards 0, which WGAN-GP leaves free


@dataclass(frozen=True)
class Loss:
    """A pair of losses of logits; all in float32, lower is better for the one who trains."""

    discriminator: Callable[[Tensor, Tensor], Tensor]
    generator: Callable[[Any, Tensor], Tensor]  # of real logits, or None unless `needs_real`, and generated ones
    needs_real: bool = False        # the generator's loss looks at real logits
    gradient_penalty: bool = False  # WGAN-GP's, at each step
    needs_r2: bool = False          # with R1 goes R2, without which it may not settle


def _minmax_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    return F.softplus(-real).mean() + F.softplus(fake).mean()


def _relativistic_hinge(up: Tensor, down: Tensor) -> Tensor:
    """Push `up` above the other's mean by 1 and `down` below it (Jolicoeur-Martineau 2018, unhalved)."""
    return F.relu(1 - (up - global_mean(down))).mean() + F.relu(1 + (down - global_mean(up))).mean()


def _paired(up: Tensor, down: Tensor) -> Tensor:
    """Push each `up` above the `down` it is paired with (RpGAN; R3GAN, Huang 2024, equation 2)."""
    return F.softplus(down - up).mean()


def _relativistic(loss: Callable[[Tensor, Tensor], Tensor], needs_r2: bool = False) -> Loss:
    """One function for both: the discriminator pushes real logits up and the generator its own."""
    return Loss(loss, lambda real, fake: loss(fake, real), needs_real=True, needs_r2=needs_r2)


LOSSES: dict[str, Loss] = {
    "minmax": Loss(_minmax_discriminator, lambda _, fake: F.softplus(-fake).mean()),  # non-saturating
    "minmax-saturating": Loss(_minmax_discriminator, lambda _, fake: -F.softplus(fake).mean()),  # Goodfellow, eq. 1
    "wgan-gp": Loss(
        lambda real, fake: fake.mean() - real.mean() + DRIFT * real.square().mean(),
        lambda _, fake: -fake.mean(),
        gradient_penalty=True,
    ),
    "hinge": Loss(
        lambda real, fake: F.relu(1 - real).mean() + F.relu(1 + fake).mean(),
        lambda _, fake: -fake.mean(),
    ),
    "ra-hinge": _relativistic(_relativistic_hinge),
    "ra-hinge-half": _relativistic(lambda up, down: _relativistic_hinge(up, down) / 2),
    "relativistic-pairing": _relativistic(_paired, needs_r2=True),  # as R3GAN, which cannot do without
}


def wgan_penalty(
    discriminator: nn.Module, real: list[Tensor], fake: list[Tensor], epsilon: Tensor, *labels: Tensor
) -> Tensor:
    """WGAN-GP's `mean (|gradient| - 1)^2` at `epsilon real + (1 - epsilon) fake`, unweighted.

    `real`, `fake`: lists of images `[N, C, r, r]`; `epsilon` `[N]` in [0, 1] is shared by all scales, and the
    penalty is the mean over scales, so that several scales weigh as much as one. `labels` `[N]`: of both, where
    there are classes.
    """
    e = epsilon[:, None, None, None]
    between = [torch.lerp(f.detach(), r, e).requires_grad_() for r, f in zip(real, fake, strict=True)]
    squared = _squared_gradients(discriminator, between, *labels)             # [scales, N]
    norms = (squared + 1e-12).sqrt()                                          # .norm() has no gradient at 0
    return (norms - 1).square().mean()


def gradient_penalty(discriminator: nn.Module, images: list[Tensor], *labels: Tensor) -> Tensor:
    """`mean |gradient|^2 / 2` at `images`, mean over scales, to be weighted by gamma (Mescheder 2018).

    R1 at real images, R2 at generated ones.
    """
    images = [image.detach().requires_grad_() for image in images]
    return _squared_gradients(discriminator, images, *labels).mean() / 2


def _squared_gradients(discriminator: nn.Module, images: list[Tensor], *labels: Tensor) -> Tensor:
    """Squared gradient norms of the logits with respect to each scale's images, `[scales, N]`, differentiable.

    Always in float32, since a bf16 gradient's square is too coarse; and eager, since compiled code has no double
    backward, unless `accelerate.compile_penalty` has made a function of it.
    """
    compiled = getattr(discriminator, "compiled_gradients", None)
    if compiled:
        return compiled(images, *labels)  # type: ignore[no-any-return]
    with torch.compiler.set_stance("force_eager"), full_precision(images[0].device):
        logits = discriminator(images, *labels)
        gradients = torch.autograd.grad(logits.sum(), images, create_graph=True)
    return torch.stack([gradient.square().sum((1, 2, 3)) for gradient in gradients])
