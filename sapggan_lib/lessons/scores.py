"""What a Fréchet distance on radiographs sees and misses: experiments with known answers, for notebook 05."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from sapggan_lib import evaluation
from sapggan_lib.evaluation import Evaluation, Extractor, Features

if TYPE_CHECKING:
    import pandas as pd

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
    return {
        UNCHANGED: images,
        "JPEG, quality 50": np.stack([_jpeg(image, 50) for image in images]),
        "halved and enlarged": np.stack([_resampled(image) for image in images]),
        "gamma 0.8": np.round(255 * levels**0.8).astype(np.uint8)[images],
        "white marker in a corner": marked,
        "mirrored": images[:, :, ::-1].copy(),
        "upside down": images[:, ::-1].copy(),
        "a tenth of them, ten times": np.resize(images[: -(-len(images) // 10)], images.shape),
    }


def sensitivity(images: np.ndarray, extractor: Extractor, n: int = 500, seed: int = 0) -> dict[str, Evaluation]:
    """Every score of one random half of real `images` against the other, changed as in `changes`.

    At most `n` images a side. Last come copies of the reference half itself: what a model that memorised would make.
    """
    images = images if images.ndim == 3 else images[..., 0]  # duplicated gray
    order = np.random.default_rng(seed).permutation(len(images))
    n = min(n, len(images) // 2)
    reference = evaluation.extract_features(images[np.sort(order[:n])], extractor, progress=False)
    results = {}
    for label, changed in changes(images[np.sort(order[n:2 * n])]).items():
        features = evaluation.extract_features(changed, extractor, progress=False)
        results[label] = evaluation.evaluate(reference, features, seed=seed)
    results[COPIES] = evaluation.evaluate(reference, reference, seed=seed)
    return results


def sensitivity_table(results: Mapping[str, Evaluation]) -> "pd.DataFrame":
    """A row per change: the Fréchet distance with its interval, KID, precision and coverage."""
    import pandas as pd

    rows = []
    for label, result in results.items():
        name = next(iter(result.scores))  # fd or fid
        distance = result.scores[name]
        rest = {key: round(result.scores[key].value, 3) for key in ("kid", "precision", "coverage")}
        interval = {"low": round(distance.low, 2), "high": round(distance.high, 2)}
        rows.append({"change": label, name.upper(): round(distance.value, 2), **interval, **rest})
    return pd.DataFrame(rows)


class Pixels(Extractor):
    """An extractor that looks at brightness alone: images averaged to 8x8 pixels, 64 features."""

    def __init__(self) -> None:
        self.name, self.metric_name, self.dim, self.input_size = "8x8 pixels", "FD", 64, 8

    def __call__(self, images: np.ndarray) -> np.ndarray:
        small = [cv2.resize(image, (8, 8), interpolation=cv2.INTER_AREA).ravel() for image in images]
        return np.stack(small).astype(np.float32)

    @property
    def provenance(self) -> dict[str, Any]:
        return {"extractor": self.name, "metric": "FD", "weights": "none", "input_size": 8, "resize": "area"}


def by_extractor(results: Mapping[str, Mapping[str, Evaluation]]) -> "pd.DataFrame":
    """How many times the distance of the unchanged images each change scores: a column per extractor.

    `results`: what `sensitivity` gave, by the extractor's name.
    """
    import pandas as pd

    columns = {}
    for name, evaluations in results.items():
        values = {label: next(iter(result.scores.values())).value for label, result in evaluations.items()}
        columns[name] = {label: value / values[UNCHANGED] for label, value in values.items() if label != COPIES}
    return pd.DataFrame(columns).round(1).rename_axis("change").reset_index()


def resize_rules(real: np.ndarray, fake: np.ndarray, extractor: Extractor) -> "pd.DataFrame":
    """The distance of the same images by the resize rule used before the network, on one side or on both.

    uint8 `[N, H, W]`; "clean" is the extractor's own rule (antialiased bicubic), "bilinear" OpenCV's, rounded to
    8 bit, as most training scripts do it.
    """
    import pandas as pd

    def bilinear(images: np.ndarray) -> np.ndarray:
        size = (extractor.input_size, extractor.input_size)
        return np.stack([cv2.resize(image, size, interpolation=cv2.INTER_LINEAR) for image in images])

    def features(images: np.ndarray) -> np.ndarray:
        return evaluation.extract_features(images, extractor, progress=False).array

    sides = {
        "clean": (features(real), features(fake)),
        "bilinear": (features(bilinear(real)), features(bilinear(fake))),
    }
    pairs = (("clean", "clean"), ("bilinear", "bilinear"), ("clean", "bilinear"))
    rows = [
        {"real": one, "generated": other,
         extractor.metric_name: round(evaluation.frechet_distance(sides[one][0], sides[other][1]), 2)}
        for one, other in pairs
    ]  # fmt: skip
    return pd.DataFrame(rows)


def floor_by_size(real: Features, sizes: Sequence[int], repeats: int = 5, seed: int = 0) -> dict[int, list[float]]:
    """Fréchet distance between two random disjoint sets of `size` real images each, `repeats` times per size.

    Sizes that need more images than there are become the largest that they allow.
    """
    random = np.random.default_rng(seed)
    floors: dict[int, list[float]] = {}
    for size in sorted({min(size, len(real.array) // 2) for size in sizes}):
        draws = [real.array[random.permutation(len(real.array))[: 2 * size]] for _ in range(repeats)]
        floors[size] = [evaluation.frechet_distance(draw[:size], draw[size:]) for draw in draws]
    return floors


def _jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE))


def _resampled(image: np.ndarray) -> np.ndarray:
    height, width = image.shape
    half = cv2.resize(image, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    return cv2.resize(half, (width, height), interpolation=cv2.INTER_LINEAR)
