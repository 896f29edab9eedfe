"""What a Fréchet distance on radiographs sees and misses: experiments with known answers, for notebook 05."""

import cv2
import numpy as np
import pandas as pd
import torch
from torch.nn.functional import avg_pool2d

from sapggan_lib import evaluation
from sapggan_lib.evaluation import Extractor, Features

UNCHANGED = "unchanged"
COPIES = "copies of the reference"


def changes(images: np.ndarray) -> dict[str, np.ndarray]:
    """`images` (uint8 `[N, H, W]`) after each of several changes, a name for each; the first is none.

    Some a radiologist would not notice, some nobody could miss: which is which, the distance does not know.
    """
    side = images.shape[1]
    marked = images.copy()
    marked[:, side // 16:side // 6, side // 16:side // 6] = 255
    levels = np.arange(256) / 255

    def compressed(image: np.ndarray) -> np.ndarray:
        data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 50])[1]
        return np.asarray(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE))

    def blurred(image: np.ndarray) -> np.ndarray:
        small = cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        return cv2.resize(small, image.shape[::-1], interpolation=cv2.INTER_LINEAR)

    return {
        UNCHANGED: images,
        "JPEG, quality 50": np.stack([compressed(image) for image in images]),
        "halved and enlarged": np.stack([blurred(image) for image in images]),
        "gamma 0.8": np.round(255 * levels**0.8).astype(np.uint8)[images],
        "white marker in a corner": marked,
        "mirrored": images[:, :, ::-1].copy(),
        "upside down": images[:, ::-1].copy(),
        "a tenth of them, ten times": np.resize(images[: -(-len(images) // 10)], images.shape),
    }


def sensitivity(images: np.ndarray, extractor: Extractor, n: int = 500, seed: int = 0) -> pd.DataFrame:
    """Every score of one random half of real `images` against the other, changed as in `changes`.

    Rows of `evaluation.score_frame`, the change as method. At most `n` images a side. Last come copies of the reference
    half itself: what a model that memorised would make.
    """
    images = images if images.ndim == 3 else images[..., 0]  # duplicated gray
    order = np.random.default_rng(seed).permutation(len(images))
    n = min(n, len(images) // 2)
    reference = evaluation.extract_features(images[np.sort(order[:n])], extractor, progress=False)
    sides = {label: evaluation.extract_features(changed, extractor, progress=False)
             for label, changed in changes(images[np.sort(order[n:2 * n])]).items()}  # fmt: skip
    sides[COPIES] = reference
    frames = [evaluation.evaluate(reference, side, seed=seed).frame(label) for label, side in sides.items()]
    return pd.concat(frames, ignore_index=True)


def sensitivity_table(scores: pd.DataFrame) -> pd.DataFrame:
    """A row per change: the Fréchet distance with its interval, KID, precision and coverage."""
    name = scores["metric"].iloc[0]                                 # FD or FID
    frechet = scores[scores["metric"] == name].set_index("method")[["value", "low", "high"]].round(2)
    others = scores.pivot(index="method", columns="metric", values="value")[["KID", "precision", "coverage"]].round(3)
    return frechet.join(others).rename(columns={"value": name, "KID": "kid"}).rename_axis("change").reset_index()


def pixels() -> Extractor:
    """An extractor that looks at brightness alone: the means of 8x8 fields of an image, 64 features."""
    device = torch.device("cpu")
    return Extractor("8x8 pixels", "FD", lambda images: avg_pool2d(images[:, 0], 8).flatten(1), "none", 64, device)


def resize_rules(real: np.ndarray, fake: np.ndarray, extractor: Extractor) -> pd.DataFrame:
    """The distance of the same images by the resize rule used before the network, on one side or on both.

    uint8 `[N, H, W]`; "clean" is the extractor's own rule (antialiased bicubic), "bilinear" OpenCV's, rounded to
    8 bit, as most training scripts do it.
    """
    def bilinear(images: np.ndarray) -> np.ndarray:
        size = (extractor.input_size, extractor.input_size)
        return np.stack([cv2.resize(image, size, interpolation=cv2.INTER_LINEAR) for image in images])

    def features(images: np.ndarray) -> dict[str, Features]:
        brought = {"clean": images, "bilinear": bilinear(images)}
        return {rule: evaluation.extract_features(some, extractor, progress=False) for rule, some in brought.items()}

    one, other = features(real), features(fake)
    rows = [
        (first, second, round(evaluation.frechet_distance(one[first], other[second]), 2))
        for first, second in (("clean", "clean"), ("bilinear", "bilinear"), ("clean", "bilinear"))
    ]
    return pd.DataFrame(rows, columns=["real", "generated", extractor.metric_name])
