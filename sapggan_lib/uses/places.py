"""Detectors by the features of a network that was trained on photographs: compared place by place."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sapggan_lib import evaluation
from sapggan_lib.uses.detector import Detector, Result, gray


@dataclass(frozen=True)
class PaDiM:
    """A normal distribution of features at each place; Mahalanobis distance (Defard 2021, arXiv 2011.08785)."""

    blocks: tuple[int, ...] = (2, 4, 10)    # of EfficientNet-Lite0
    side: int = 28                          # of the grid of places
    dims: int = 100                         # features kept, by chance
    regularisation: float = 0.01

    def fit(self, images: np.ndarray) -> Detector:
        kept: Tensor | None = None
        total = outer = torch.zeros(())
        for maps in feature_maps(images, self.blocks, self.side):        # [N, D, P] by batches
            if kept is None:
                random = torch.Generator().manual_seed(0)
                kept = torch.randperm(maps.shape[1], generator=random)[: self.dims].sort().values
            places = maps[:, kept].permute(2, 1, 0).double()             # [P, D, N]; sums of squares are long
            total = total + places.sum(2)
            outer = outer + places @ places.mT
        mean = total / len(images)                                       # [P, D]
        covariance = (outer - len(images) * mean[:, :, None] * mean[:, None]) / (len(images) - 1)
        covariance += self.regularisation * torch.eye(mean.shape[1])
        mean, root = mean.float(), torch.linalg.cholesky(covariance).float()

        def distances(maps: Tensor) -> Tensor:
            centred = maps[:, kept].permute(2, 1, 0) - mean[:, :, None]  # [P, D, N]
            return torch.linalg.solve_triangular(root, centred, upper=False).square().sum(1).sqrt().T

        return from_places(distances, self.blocks, self.side, torch.amax)


@dataclass(frozen=True)
class Neighbours:
    """Cosine distance of a place's features to the nearest at the same place of a normal image.

    PatchCore's memory (Roth 2022, arXiv 2106.08265) without its coreset, and place by place: radiographs are aligned.
    """

    blocks: tuple[int, ...] = (10,)
    side: int = 14

    def fit(self, images: np.ndarray) -> Detector:
        bank = torch.cat([*feature_maps(images, self.blocks, self.side)])
        bank = F.normalize(bank, dim=1).permute(2, 1, 0).contiguous()    # [P, D, N]

        def distances(maps: Tensor) -> Tensor:
            similar = F.normalize(maps, dim=1).permute(2, 0, 1) @ bank   # [P, M, N]
            return 1 - similar.amax(2).T

        return from_places(distances, self.blocks, self.side, torch.mean)


def feature_maps(images: np.ndarray, blocks: tuple[int, ...], side: int, smooth: bool = True) -> Iterator[Tensor]:
    """EfficientNet-Lite0's maps of some blocks brought to `side` x `side` places: `[n, D, P]` for each 16 images.

    `smooth`: a place takes its neighbours' features in, as in PatchCore: a mean over 3x3.
    """
    network, images = evaluation.lite0_maps(blocks), gray(images)
    for start in range(0, len(images), 16):
        maps = network(images[start : start + 16])
        if smooth:
            maps = [F.avg_pool2d(each, 3, 1, 1, count_include_pad=False) for each in maps]
        maps = [F.interpolate(each, size=(side, side), mode="bilinear", antialias=True) for each in maps]
        yield torch.cat(maps, 1).flatten(2)


def from_places(
    distances: Callable[[Tensor], Tensor], blocks: tuple[int, ...], side: int, reduce: Callable[..., Tensor]
) -> Detector:
    """A detector from `distances`, which maps features `[n, D, P]` to numbers `[n, P]`; their `reduce` is the score."""

    def function(images: np.ndarray) -> Result:
        found = torch.cat([distances(maps) for maps in feature_maps(images, blocks, side)])
        return reduce(found, 1).numpy(), found.reshape(-1, side, side).numpy()

    return Detector(function)
