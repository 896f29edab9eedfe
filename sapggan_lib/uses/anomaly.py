"""Detecting what is not normal after seeing normal images alone: f-AnoGAN, and what it must be measured against.

A method is a configuration with `fit(images) -> Detector`; its entry in `METHODS` is all that others know of it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sapggan_lib.base.errors import SapgganError, near_match
from sapggan_lib.uses.detector import Detector, Method, Result, gray, shrink
from sapggan_lib.uses.fanogan import FAnoGAN
from sapggan_lib.uses.opacities import DrawnOpacities
from sapggan_lib.uses.places import Neighbours, PaDiM

SIDE = 32           # pixels to which images are shrunk where a method looks at pixels
COMPONENTS = 50     # of PCA


def pixels(images: np.ndarray) -> np.ndarray:
    """Images uint8 `[N, H, W]` as float32 `[N, SIDE * SIDE]`."""
    return shrink(images, SIDE).reshape(len(images), -1).astype(np.float32)


class PCA:
    """The mean square of what the first principal components of normal images leave of an image."""

    def fit(self, images: np.ndarray) -> Detector:
        from sklearn import decomposition

        model = decomposition.PCA(min(COMPONENTS, len(images) - 1), random_state=0).fit(pixels(gray(images)))

        def function(images: np.ndarray) -> Result:
            flat = pixels(images)
            left = (flat - model.inverse_transform(model.transform(flat))) ** 2
            return left.mean(1), left.reshape(-1, SIDE, SIDE)

        return Detector(function)


class MeanIntensity:
    """How bright an image is; it learns nothing, and any method that is not above it has learned nothing either."""

    def fit(self, images: np.ndarray) -> Detector:
        return Detector(lambda images: (images.mean((1, 2)), None))


class NearestImage:
    """One minus the correlation with the normal image that is most alike."""

    def fit(self, images: np.ndarray) -> Detector:
        def standard(images: np.ndarray) -> np.ndarray:
            flat = pixels(images)
            flat = flat - flat.mean(1, keepdims=True)
            return flat / np.linalg.norm(flat, axis=1, keepdims=True).clip(1e-6)

        bank = standard(gray(images))
        return Detector(lambda images: (1 - (standard(images) @ bank.T).max(1), None))


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
