"""Images to features, once: what an extractor is, feature files, and where images come from."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from sapggan_lib import models
from sapggan_lib.base.errors import SapgganError
from sapggan_lib.base.files import atomic_path
from sapggan_lib.base.progress import progress_bar
from sapggan_lib.store import open_store, read_image_folder

RESIZE = "PIL bicubic, antialiased, not quantised (clean-fid)"
CHECKPOINT_IMAGES = 2048                        # made from a generator when no number is given
PROTOCOL = ("extractor", "weights", "input_size", "resize")


@dataclass(frozen=True)
class Extractor:
    """A feature network with its resize rule: uint8 images `[N, H, W]` or `[N, H, W, 3]` to float32 `[N, D]`."""

    name: str
    metric_name: str                              # "FID" for Inception through clean-fid, otherwise "FD"
    function: Callable[[Tensor], Tensor]          # float32 [N, 3, S, S] in [0, 255] -> [N, D]
    weights_hash: str                             # SHA-256
    input_size: int                               # S
    device: torch.device

    def __call__(self, images: np.ndarray) -> np.ndarray:
        check_images(images)
        batch = torch.from_numpy(np.stack([resize_clean(image, self.input_size) for image in images]))
        batch = (batch[:, None].expand(-1, 3, -1, -1) if batch.ndim == 3 else batch.movedim(-1, 1)).contiguous()
        with torch.inference_mode():
            features = self.function(batch.to(self.device))
        if features.ndim != 2:
            raise SapgganError(f"extractor {self.name}: gave {tuple(features.shape)} instead of [N, D] features")
        return features.float().cpu().numpy()

    @property
    def provenance(self) -> dict[str, Any]:
        """What must travel with the features: name, metric, weights' hash, input size, resize rule."""
        return {
            "extractor": self.name, "metric": self.metric_name, "weights": self.weights_hash,
            "input_size": self.input_size, "resize": RESIZE,
        }


@dataclass(frozen=True)
class Features:
    """Features `[N, D]` of one set of images, with what made them."""

    array: np.ndarray
    provenance: dict[str, Any]

    def save(self, path: Path | str) -> None:
        """Write array and provenance to one .npz file."""
        with atomic_path(path) as temporary, temporary.open("wb") as stream:
            np.savez(stream, features=self.array, provenance=np.array(json.dumps(self.provenance)))

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Read what `save` wrote. Raises `SapgganError` for any other file."""
        try:
            with np.load(path, allow_pickle=False) as file:
                return cls(file["features"], json.loads(str(file["provenance"])))
        except Exception as error:               # numpy and zipfile raise nearly every type on damaged files
            raise SapgganError(f"{path}: not a feature file ({error}); make one with extract_features") from None


AnyFeatures = Features | np.ndarray               # [N, D], with or without what made them


def check_protocol(*sides: Features) -> None:
    """Refuse features made by different extractors, weights, input sizes or resize rules."""
    for side in sides[1:]:
        for key in PROTOCOL:
            first, other = sides[0].provenance.get(key), side.provenance.get(key)
            if first != other:
                raise SapgganError(
                    f'the two sides differ in "{key}": {first} and {other}; make both with the same extractor'
                )


def arrays(*sides: AnyFeatures) -> list[np.ndarray]:
    """Features as float64 `[N, D]`, whichever way they come. Those of two protocols are refused."""
    check_protocol(*(side for side in sides if isinstance(side, Features)))
    return [np.asarray(side.array if isinstance(side, Features) else side, np.float64) for side in sides]


def extract_features(images: np.ndarray, extractor: Extractor, batch: int = 8, progress: bool = True) -> Features:
    """Features of all `images` (uint8 `[N, H, W]` or `[N, H, W, 3]`, maybe memory-mapped), in order."""
    check_images(images)
    parts = []
    with progress_bar(len(images), f"features ({extractor.name})", disable=not progress) as bar:
        for start in range(0, len(images), batch):
            parts.append(extractor(np.asarray(images[start:start + batch])))
            bar.update(len(parts[-1]))
    array = np.concatenate(parts)
    if not np.isfinite(array).all():
        raise SapgganError(f"extractor {extractor.name}: gave infinite or undefined features; check its input range")
    return Features(array, extractor.provenance | {"n": len(array), "images": list(images.shape[1:])})


def load_images(source: Path | str, n: int | None = None, seed: int = 0) -> np.ndarray:
    """uint8 images `[N, H, W]` or `[N, H, W, 3]` of a store, a folder of images, a checkpoint or a training run.

    `n` images are chosen (or generated, 2,048 unless told) by `seed`; in their stored order. Raises `SapgganError`
    when the source has fewer than `n`, or is none of these.
    """
    path = Path(source)
    if not path.exists():
        raise SapgganError(f"{path}: no such file or folder; give a store, a folder of images, or a checkpoint")
    if path.suffix == ".safetensors" or (path / "generator.safetensors").exists():
        return models.generate(models.load_generator(path), n or CHECKPOINT_IMAGES, seed=seed)
    if path.is_file():
        raise SapgganError(f"{path}: not a checkpoint (.safetensors); give one, a store or a folder of images")
    is_store = (path / "store.json").exists()
    images = open_store(path).images if is_store else read_image_folder(path)[0]
    if n is None or n == len(images):
        return images
    if n > len(images):
        raise SapgganError(f"{path}: {len(images):,} images, fewer than the {n:,} asked for; lower --n")
    return images[np.sort(np.random.default_rng(seed).choice(len(images), n, replace=False))]


def check_images(images: np.ndarray) -> None:
    """Refuse what is not a non-empty uint8 `[N, H, W]` or `[N, H, W, 3]` array."""
    if not isinstance(images, np.ndarray):
        raise SapgganError("images must be one array of equal sizes [N, H, W]; resize mixed sizes first")
    if images.dtype != np.uint8:
        raise SapgganError(f"images of type {images.dtype}: only 8-bit images are scored; window to 8 bit first")
    if images.ndim not in (3, 4) or (images.ndim == 4 and images.shape[-1] != 3):
        raise SapgganError(f"images of shape {images.shape}: expected [N, H, W] or [N, H, W, 3]")
    if len(images) == 0:
        raise SapgganError("no images to score; check the folder or the store")


def resize_clean(image: np.ndarray, size: int) -> np.ndarray:
    """clean-fid's resize of one image: `[H, W]` or `[H, W, 3]` uint8 to float32 of side `size`, in [0, 255].

    Parmar et al. 2022 (arXiv 2104.11222). Gray is resized once; three equal channels give the same numbers.
    """
    from PIL import Image

    if image.ndim == 3:
        if (image == image[..., :1]).all():     # duplicated gray
            return np.repeat(resize_clean(image[..., 0], size)[..., None], 3, axis=-1)
        return np.stack([resize_clean(image[..., channel], size) for channel in range(3)], axis=-1)
    resized = Image.fromarray(image.astype(np.float32)).resize((size, size), Image.Resampling.BICUBIC)
    return np.asarray(resized).clip(0, 255)
