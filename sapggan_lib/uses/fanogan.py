"""f-AnoGAN: what a generator of normal images cannot make is not normal."""

import itertools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from sapggan_lib import models
from sapggan_lib.base.errors import SapgganError
from sapggan_lib.base.progress import progress_bar
from sapggan_lib.models import Discriminator, Generator
from sapggan_lib.training import load_discriminator
from sapggan_lib.uses.detector import Detector, Result, for_network, gray


class Encoder(nn.Sequential):
    """Images `[N, C, R, R]` to latent vectors `[N, latent]` of the length that normal numbers have."""

    def __init__(self, resolution: int, channels: int, latent: int, width: int = 32):
        sides = int(np.log2(resolution)) - 2                             # halvings down to 4x4
        widths = [channels, *(min(width * 2**i, 128) for i in range(sides))]
        layers: list[nn.Module] = []
        for below, above in itertools.pairwise(widths):
            layers += [nn.Conv2d(below, above, 4, 2, 1), nn.LeakyReLU(0.2)]
        super().__init__(*layers, nn.Flatten(), nn.Linear(widths[-1] * 16, latent))

    def forward(self, x: Tensor) -> Tensor:
        return models.pixel_norm(super().forward(x))


@dataclass(frozen=True)
class Residual:
    """How far generated images are from real ones: f-AnoGAN's loss of training and its score."""

    generator: Generator
    discriminator: Discriminator | None    # None: pixels alone
    kappa: float                           # weight of the discriminator's features

    def __call__(self, encoder: Encoder, real: Tensor) -> tuple[Tensor, Tensor]:
        """Scores `[N]`, |x - G(E(x))|^2 + kappa |f(x) - f(G(E(x)))|^2 as means, and `[N, R, R]`, their pixels' part."""
        fake = self.generator(encoder(real))
        pixels = (real - fake[-1]).square().mean(1)
        scores = pixels.mean((1, 2))
        if self.discriminator is not None:
            with torch.no_grad():
                target = features(self.discriminator, self.discriminator.real_views(real))
            difference = target - features(self.discriminator, fake)
            scores = scores + self.kappa * difference.square().flatten(1).mean(1)
        return scores, pixels


def features(discriminator: Discriminator, images: list[Tensor]) -> Tensor:
    """A discriminator's maps `[N, D, 4, 4]` before its last block, for images at its scales."""
    found: list[Tensor] = []
    hook = discriminator.blocks[1].register_forward_hook(lambda _module, _inputs, maps: found.append(maps))
    try:
        discriminator(images)
    finally:
        hook.remove()
    return found[0].float()


def load_networks(path: Path) -> tuple[Generator, Discriminator | None]:
    """A training's averaged generator and its discriminator, frozen; None where only the generator is kept.

    Each image is a group of its own to minibatch stddev, so that its features depend on nothing beside it.
    """
    return models.load_generator(path).requires_grad_(False), load_discriminator(path, stddev_group=1)


def train_encoder(residual: Residual, images: Tensor, kimg: float, batch: int = 16, seed: int = 0) -> Encoder:
    """An encoder that brings `images` `[N, C, R, R]` near to generated ones (izi_f), shown `kimg` thousand of them."""
    generator = residual.generator
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        encoder = Encoder(generator.resolution, images.shape[1], generator.latent)
        optimizer = torch.optim.Adam(encoder.parameters(), lr=1e-3, betas=(0.5, 0.99))
        steps = max(1, round(1000 * kimg / batch))
        with progress_bar(steps, "encoder", "steps") as bar:
            for _ in range(steps):
                loss = residual(encoder, images[torch.randint(len(images), (batch,))])[0].mean()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                bar.update(1)
    if not loss.isfinite():
        raise SapgganError("f-AnoGAN: the encoder's loss is not finite; take a generator that finished its training")
    return encoder.eval()


@dataclass(frozen=True)
class FAnoGAN:
    """What a generator of normal images leaves of an image, in pixels and in its discriminator's features.

    Schlegl 2019 (f-AnoGAN, izi_f): an encoder is trained to find the latent vector, both networks stay as they are.
    """

    generator: Path | str | None = None     # a training's folder; a .safetensors file: pixels alone
    kimg: float = 20.0                      # images that the encoder is shown, thousands
    seed: int = 0

    def fit(self, images: np.ndarray) -> Detector:
        if self.generator is None:
            raise SapgganError("f-anogan: needs a generator; name the folder of a training on normal images")
        generator, discriminator = load_networks(Path(self.generator))
        residual = Residual(generator, discriminator, kappa=1.0)
        encoder = train_encoder(residual, for_network(gray(images), generator.config), self.kimg, seed=self.seed)

        @torch.no_grad()
        def function(images: np.ndarray) -> Result:
            parts = [residual(encoder, batch) for batch in for_network(images, generator.config).split(16)]
            scores, maps = (torch.cat(part).numpy() for part in zip(*parts, strict=True))
            return scores, maps

        return Detector(function)
