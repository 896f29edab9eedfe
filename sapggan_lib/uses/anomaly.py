"""Detecting what is not normal after seeing normal images alone: f-AnoGAN, and what it must be measured against.

A method is a configuration with `fit(images) -> Detector`; its entry in `METHODS` is all that others know of it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sapggan_lib import evaluation
from sapggan_lib.base.errors import SapgganError, near_match
from sapggan_lib.uses import fanogan

Result = tuple[np.ndarray, np.ndarray | None]


@dataclass(frozen=True)
class Detector:
    """What a method learned. `score(images)`: uint8 `[M, H, W]` to scores `[M]`, higher for less normal, and maps
    `[M, h, w]` of where (None from a method that does not look at places)."""

    function: Callable[[np.ndarray], Result]

    def score(self, images: np.ndarray) -> Result:
        return self.function(gray(images))


class Method(Protocol):
    """A way to detect anomalies; every one is built without arguments, but for f-AnoGAN and its generator."""

    def fit(self, images: np.ndarray) -> Detector:
        """Learn from normal images, uint8 `[N, H, W]`."""
        ...


@dataclass(frozen=True)
class PaDiM:
    """A normal distribution of features at each place; Mahalanobis distance (Defard 2021, arXiv 2011.08785)."""

    blocks: tuple[int, ...] = (2, 4, 10)    # of EfficientNet-Lite0
    side: int = 28                          # of the grid of places
    dims: int = 100                         # features kept, by chance
    regularisation: float = 0.01
    seed: int = 0

    def fit(self, images: np.ndarray) -> Detector:
        kept: Tensor | None = None
        total = outer = torch.zeros(())
        for maps in feature_maps(images, self.blocks, self.side):        # [N, D, P] by batches
            if kept is None:
                random = torch.Generator().manual_seed(self.seed)
                kept = torch.randperm(maps.shape[1], generator=random)[: self.dims].sort().values
            places = maps[:, kept].permute(2, 1, 0)                      # [P, D, N]
            total = total + places.sum(2)
            outer = outer + places @ places.mT
        mean = total / len(images)                                       # [P, D]
        covariance = (outer - len(images) * mean[:, :, None] * mean[:, None]) / (len(images) - 1)
        covariance += self.regularisation * torch.eye(mean.shape[1])
        root = torch.linalg.cholesky(covariance)                         # [P, D, D]

        def distances(maps: Tensor) -> Tensor:
            centred = maps[:, kept].permute(2, 1, 0) - mean[:, :, None]  # [P, D, N]
            return torch.linalg.solve_triangular(root, centred, upper=False).square().sum(1).sqrt().T

        return from_places(distances, self.blocks, self.side)


@dataclass(frozen=True)
class Neighbours:
    """Cosine distance of a place's features to the nearest at the same place of a normal image.

    PatchCore's memory (Roth 2022, arXiv 2106.08265) without its coreset, and place by place: radiographs are aligned.
    """

    blocks: tuple[int, ...] = (4, 10)
    side: int = 14
    k: int = 5                              # neighbours whose mean distance counts

    def fit(self, images: np.ndarray) -> Detector:
        bank = torch.cat([*feature_maps(images, self.blocks, self.side)])
        bank = F.normalize(bank, dim=1).permute(2, 1, 0).contiguous()    # [P, D, N]

        def distances(maps: Tensor) -> Tensor:
            similar = F.normalize(maps, dim=1).permute(2, 0, 1) @ bank   # [P, M, N]
            return 1 - similar.topk(min(self.k, bank.shape[2]), dim=2).values.mean(2).T

        return from_places(distances, self.blocks, self.side)


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


METHODS: dict[str, Callable[..., Method]] = {
    "f-anogan": FAnoGAN, "padim": PaDiM, "neighbours": Neighbours, "pca": PCA,
    "nearest-image": NearestImage, "mean-intensity": MeanIntensity,
}  # fmt: skip


def build_method(name: str, generator: Path | str | None = None, seed: int = 0) -> Method:
    """A method of `METHODS` with its defaults; f-AnoGAN with its generator. `SapgganError` for an unknown name."""
    if name not in METHODS:
        raise SapgganError(f'unknown method "{name}"; {near_match(name, METHODS)}')
    return METHODS[name](generator, seed=seed) if name == "f-anogan" else METHODS[name]()


def gray(images: np.ndarray) -> np.ndarray:
    """Images as uint8 `[N, H, W]`, of colour ones the first channel; `SapgganError` for what is no such array."""
    evaluation.check_images(images)
    return images if images.ndim == 3 else images[..., 0]


def shrink(images: np.ndarray, side: int) -> np.ndarray:
    """Images uint8 `[N, H, W]` as float32 `[N, side * side]`, by areas."""
    small = [cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA) for image in images]
    return np.stack(small).reshape(len(small), -1).astype(np.float32)


def feature_maps(images: np.ndarray, blocks: tuple[int, ...], side: int, batch: int = 16) -> Iterator[Tensor]:
    """EfficientNet-Lite0's maps of some blocks brought to `side` x `side` places: `[n, D, P]` for each batch of images.

    A place takes its neighbours' features in, as in PatchCore: a mean over 3x3.
    """
    network, images = evaluation.lite0_maps(blocks), gray(images)
    for start in range(0, len(images), batch):
        maps = network(images[start : start + batch])
        maps = [F.avg_pool2d(each, 3, 1, 1, count_include_pad=False) for each in maps]
        maps = [F.interpolate(each, size=(side, side), mode="bilinear", antialias=True) for each in maps]
        yield torch.cat(maps, 1).flatten(2)


def from_places(distances: Callable[[Tensor], Tensor], blocks: tuple[int, ...], side: int) -> Detector:
    """A detector from `distances`, which maps features `[n, D, P]` to numbers `[n, P]`; the largest is the score."""

    def function(images: np.ndarray) -> Result:
        found = torch.cat([distances(maps) for maps in feature_maps(images, blocks, side)])
        return found.amax(1).numpy(), found.reshape(-1, side, side).numpy()

    return Detector(function)
