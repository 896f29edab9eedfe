"""What a Fréchet distance on radiographs sees and misses: experiments with known answers, for notebook 05."""

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
import pandas as pd
import torch
from torch.nn.functional import avg_pool2d

from sapggan_lib import evaluation
from sapggan_lib.evaluation import Extractor, Features
from sapggan_lib.training import spread

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

    Rows of `evaluation.score_frame`, the change as method. At most `n` images a side. The halves are those of
    `evaluation.evaluate` for the same images and `seed`, so that "unchanged" is the floor of tables. Last come copies
    of the reference half itself: what a model that memorised would make.
    """
    images = images if images.ndim == 3 else images[..., 0]  # duplicated gray
    order = np.random.default_rng(seed).permutation(len(images))
    n = min(n, len(images) // 2)
    reference = evaluation.extract_features(images[np.sort(order[:n])], extractor, progress=False)
    sides = {label: evaluation.extract_features(changed, extractor, progress=False)
             for label, changed in changes(images[np.sort(order[n:2 * n])]).items()}  # fmt: skip
    sides[COPIES] = reference
    frames = [evaluation.evaluate(reference, side, seed=seed).frame(label) for label, side in sides.items()]
    scores = pd.concat(frames, ignore_index=True)
    unchanged = scores[scores["method"] == UNCHANGED].set_index("metric")["value"]
    return scores.assign(floor=scores["metric"].map(unchanged), floor_n=n)


def sensitivity_table(scores: pd.DataFrame) -> pd.DataFrame:
    """A row per change: the Fréchet distance with its interval, KID, precision and coverage."""
    name = scores["metric"].iloc[0]                                 # FD or FID
    frechet = scores[scores["metric"] == name].set_index("method")[["value", "low", "high"]].round(2)
    others = scores.pivot(index="method", columns="metric", values="value")[["KID", "precision", "coverage"]].round(3)
    return frechet.join(others).rename(columns={"value": name, "KID": "kid"}).rename_axis("change").reset_index()


def floors(real: Features, sizes: Sequence[int], seed: int = 0, draws: int = 5) -> dict[int, list[float]]:
    """Fréchet distances of real against real images for each of `sizes` images a side that `real` suffices for.

    The first draw of the largest size is the floor that `evaluation.evaluate` gives for the same `real` and `seed`.
    """
    orders = [np.random.default_rng(seed + draw).permutation(len(real.array)) for draw in range(draws)]
    return {
        size: [evaluation.frechet_distance(real.array[order[:size]], real.array[order[size:2 * size]])
               for order in orders]
        for size in sorted({min(size, len(real.array) // 2) for size in sizes})
    }  # fmt: skip


def variety(sides: Mapping[str, np.ndarray], real: np.ndarray) -> pd.DataFrame:
    """How varied each side's images are, and the real ones: a row each. uint8 `[N, H, W]`, 11 pixels or more.

    `gray levels` is the mean deviation over images, `share` that of the real images' own, and MS-SSIM the likeness of
    random pairs with its standard error: higher than that of the real images is less varied.
    """
    rows = []
    for label, images in {**sides, "real images": real}.items():
        likeness, error = evaluation.diversity(images)
        levels = spread(images)
        rows.append((label, round(levels, 1), round(levels / spread(real), 3), round(likeness, 3), round(error, 3)))
    return pd.DataFrame(rows, columns=["images", "gray levels", "share", "MS-SSIM", "error"])


def pixels() -> Extractor:
    """An extractor that looks at brightness alone: the means of 8x8 fields of an image, 64 features."""
    device = torch.device("cpu")
    return Extractor("8x8 pixels", "FD", lambda images: avg_pool2d(images[:, 0], 8).flatten(1), "none", 64, device)


def resize_rules(real: np.ndarray, fake: np.ndarray, extractor: Extractor) -> pd.DataFrame:
    """The distance of the same images, with its interval, by the resize rule before the network, on one side or both.

    uint8 `[N, H, W]`; "clean" is the extractor's own rule (antialiased bicubic), "bilinear" OpenCV's, rounded to
    8 bit, as most training scripts do it.
    """
    def features(images: np.ndarray) -> dict[str, Features]:
        size = (extractor.input_size, extractor.input_size)
        bilinear = np.stack([cv2.resize(image, size, interpolation=cv2.INTER_LINEAR) for image in images])
        brought = {"clean": images, "bilinear": bilinear}
        return {rule: evaluation.extract_features(some, extractor, progress=False) for rule, some in brought.items()}

    one, other = features(real), features(fake)
    rows = []
    for rules in (("clean", "clean"), ("bilinear", "bilinear"), ("clean", "bilinear")):
        score = evaluation.evaluate(one[rules[0]], other[rules[1]]).scores[extractor.metric_name.lower()]
        rows.append((*rules, *(round(number, 2) for number in (score.value, score.low, score.high))))
    return pd.DataFrame(rows, columns=["real", "generated", extractor.metric_name, "low", "high"])


def factors(sensitivities: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Distances after each change with their intervals, as multiples of the unchanged one.

    `sensitivities`: label of an extractor to the rows of one distance as `sensitivity` gives them, without the copies.
    """
    rows = []
    for extractor, scores in sensitivities.items():
        scores = scores[~scores["method"].isin([COPIES])].set_index("method")[["value", "low", "high"]]
        rows.append((scores / scores["value"].to_dict()[UNCHANGED]).round(2).assign(extractor=extractor))
    return pd.concat(rows).rename_axis("change").reset_index()
