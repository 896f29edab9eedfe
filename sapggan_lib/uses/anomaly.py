"""Detecting what is not normal after seeing normal images alone: f-AnoGAN, and what it must be measured against.

A method is a configuration with `fit(images) -> Detector`; its entry in `METHODS` is all that others know of it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from sapggan_lib.base.errors import SapgganError, near_match
from sapggan_lib.uses import fanogan
from sapggan_lib.uses.detector import Detector, Method, Result, gray, shrink
from sapggan_lib.uses.opacities import DrawnOpacities
from sapggan_lib.uses.places import Neighbours, PaDiM


@dataclass(frozen=True)
class PCA:
    """The mean square of what the first principal components of normal images leave of an image."""

    components: int = 50
    side: int = 32                          # to which images are shrunk

    def fit(self, images: np.ndarray) -> Detector:
        from sklearn import decomposition

        pixels = shrink(gray(images), self.side)
        model = decomposition.PCA(min(self.components, len(pixels) - 1), random_state=0).fit(pixels)

        def function(images: np.ndarray) -> Result:
            pixels = shrink(images, self.side)
            left = (pixels - model.inverse_transform(model.transform(pixels))) ** 2
            return left.mean(1), left.reshape(-1, self.side, self.side)

        return Detector(function)


@dataclass(frozen=True)
class MeanIntensity:
    """How bright an image is; it learns nothing, and any method that is not above it has learned nothing either."""

    def fit(self, images: np.ndarray) -> Detector:
        return Detector(lambda images: (images.mean((1, 2)), None))


@dataclass(frozen=True)
class NearestImage:
    """One minus the correlation with the normal image that is most alike."""

    side: int = 32

    def fit(self, images: np.ndarray) -> Detector:
        def standard(images: np.ndarray) -> np.ndarray:
            pixels = shrink(images, self.side)
            pixels = pixels - pixels.mean(1, keepdims=True)
            return pixels / np.linalg.norm(pixels, axis=1, keepdims=True).clip(1e-6)

        bank = standard(gray(images))
        return Detector(lambda images: (1 - (standard(images) @ bank.T).max(1), None))


@dataclass(frozen=True)
class FAnoGAN:
    """What a generator of normal images leaves of an image, in pixels and in its discriminator's features.

    Schlegl 2019 (f-AnoGAN, izi_f): an encoder is trained to find the latent vector, both networks stay as they are.
    """

    generator: Path | str | None = None     # a training's folder; a .safetensors file: pixels alone
    kappa: float = 1.0                      # weight of the features
    kimg: float = 20.0                      # images that the encoder is shown, thousands
    seed: int = 0

    def fit(self, images: np.ndarray) -> Detector:
        if self.generator is None:
            raise SapgganError("f-anogan: needs a generator; name the folder of a training on normal images")
        generator, discriminator = fanogan.load_networks(Path(self.generator))
        residual = fanogan.Residual(generator, discriminator, self.kappa)

        def to_tensor(images: np.ndarray) -> Tensor:
            side = generator.resolution
            small = shrink(images, side).reshape(-1, 1, side, side) / 127.5 - 1
            return torch.from_numpy(small).expand(-1, generator.config["channels"], -1, -1)

        encoder = fanogan.train_encoder(residual, to_tensor(gray(images)), self.kimg, seed=self.seed)

        @torch.no_grad()
        def function(images: np.ndarray) -> Result:
            parts = [residual(encoder, batch) for batch in to_tensor(images).split(16)]
            scores, maps = (torch.cat(part).numpy() for part in zip(*parts, strict=True))
            return scores, maps

        return Detector(function)


@dataclass(frozen=True)
class Together:
    """The mean of two methods' scores, in units of their spread over a tenth of the normal images, held out of both."""

    methods: tuple[Method, ...] = (Neighbours(), DrawnOpacities())

    def fit(self, images: np.ndarray) -> Detector:
        held = np.arange(len(images)) % 10 == 9
        if held.sum() < 2:
            raise SapgganError(f"together: {len(images)} normal images are too few; give at least 20")
        detectors = [method.fit(images[~held]) for method in self.methods]
        normal = [detector.score(images[held])[0] for detector in detectors]

        def function(images: np.ndarray) -> Result:
            found = [detector.score(images) for detector in detectors]
            scaled = [(scores - one.mean()) / one.std() for (scores, _), one in zip(found, normal, strict=True)]
            return np.mean(scaled, axis=0), found[0][1]

        return Detector(function)


METHODS: dict[str, Callable[..., Method]] = {
    "f-anogan": FAnoGAN, "padim": PaDiM, "neighbours": Neighbours, "drawn-opacities": DrawnOpacities,
    "together": Together, "pca": PCA, "nearest-image": NearestImage, "mean-intensity": MeanIntensity,
}  # fmt: skip


def build_method(name: str, generator: Path | str | None = None, seed: int = 0) -> Method:
    """A method of `METHODS` with its defaults; f-AnoGAN with its generator. `SapgganError` for an unknown name."""
    if name not in METHODS:
        raise SapgganError(f'unknown method "{name}"; {near_match(name, METHODS)}')
    return METHODS[name](generator, seed=seed) if name == "f-anogan" else METHODS[name]()
