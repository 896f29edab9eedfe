"""What a detector of anomalies is, and what a method that makes one."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import cv2
import numpy as np
import torch
from torch import Tensor

from sapggan_lib import evaluation
from sapggan_lib.models import to_float

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


def gray(images: np.ndarray) -> np.ndarray:
    """Images as uint8 `[N, H, W]`, of colour ones the channels' mean; `SapgganError` for what is no such array."""
    evaluation.check_images(images)
    return images if images.ndim == 3 else images.mean(-1).astype(np.uint8)


def shrink(images: np.ndarray, side: int) -> np.ndarray:
    """Images uint8 `[N, H, W]` as `[N, side, side]`, by areas."""
    return np.stack([cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA) for image in images])


def for_network(images: np.ndarray, config: Mapping[str, Any]) -> Tensor:
    """Images uint8 `[N, H, W]` as a network of this configuration takes them: `[N, C, R, R]` in [-1, 1]."""
    return to_float(torch.from_numpy(shrink(images, config["resolution"]))).expand(-1, config["channels"], -1, -1)
