"""Cases with known answers for detectors of anomalies, and how well scores and maps find them: for notebook 08."""

import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from sapggan_lib import uses
from sapggan_lib.base.errors import SapgganError
from sapggan_lib.base.images import read_image
from sapggan_lib.models import ModelConfig
from sapggan_lib.phantoms import finding_boxes, phantom_image
from sapggan_lib.preprocessing import resize, to_uint8
from sapggan_lib.training import CHECKPOINT, TrainConfig, train

NORMAL, OPACITY = "Normal", "Lung Opacity"
BOX_SIDE = 1024                         # pixels that the boxes of the labels' file count in
PUBLISHED = {"f-AnoGAN": 0.55, "PatchCore": 0.76, "PaDiM": 0.77, "CS-Flow": 0.83}  # BMAD's RSNA (Bao 2024)


@dataclass(frozen=True)
class Cases:
    """Images to be tested, and what is known of them."""

    images: np.ndarray                  # uint8 [M, S, S]
    labels: np.ndarray                  # [M], NORMAL or another word
    patients: np.ndarray                # [M]
    boxes: list[np.ndarray]             # M times float [B, 4]: x, y, width, height of each finding, shares of a side


def labelled_cases(folder: Path | str, labels: Path | str, size: int) -> Cases:
    """The images of `folder` that a CSV names, as radiologists read them.

    Columns as in the RSNA challenge's labels beside NIH's: Image Index, Patient ID, RSNA Label, Boxes (`x,y,w,h;...`).
    """
    table = pd.read_csv(labels, dtype=str, keep_default_na=False)
    missing = {"Image Index", "Patient ID", "RSNA Label", "Boxes"} - set(table)
    if missing:
        raise SapgganError(f"{labels}: no column {', '.join(sorted(missing))}; see docs/data.md for the labels' file")
    files = [Path(folder) / name for name in table["Image Index"]]
    images = np.stack([resize(read_image(io.BytesIO(file.read_bytes()), str(file)), size) for file in files])
    boxes = [np.array([box.split(",") for box in row.split(";") if box], float).reshape(-1, 4) / BOX_SIDE
             for row in table["Boxes"]]  # fmt: skip
    return Cases(images, table["RSNA Label"].to_numpy(), table["Patient ID"].to_numpy(), boxes)


def drawn_normals(n: int, size: int, seed: int = 0) -> np.ndarray:
    """`n` drawn normal radiographs, each of another body: uint8 `[n, size, size]`."""
    return np.stack([to_uint8(phantom_image(1000 * seed + body, size)) for body in range(n)])


def drawn_cases(n: int, size: int, seed: int = 0) -> Cases:
    """`n` drawn radiographs, every second one with an opacity, each of another body than those of `drawn_normals`."""
    drawn = {10**6 * (seed + 1) + number: "opacity" if number % 2 else "" for number in range(n)}    # by body
    images = np.stack([to_uint8(phantom_image(body, size, finding=finding)) for body, finding in drawn.items()])
    found = [finding_boxes(body, size, "PA", 1.0, 0, finding) for body, finding in drawn.items()]
    boxes = [np.array(some, float).reshape(-1, 4) / size for some in found]
    return Cases(images, np.where(np.arange(n) % 2, OPACITY, NORMAL), np.array(list(drawn)), boxes)


def shrunk(images: np.ndarray, size: int) -> np.ndarray:
    """Images uint8 `[N, H, H]` as `[N, size, size]`."""
    return np.stack([resize(image, size) for image in images])


def train_on(images: np.ndarray, work: Path, size: int, kimg: float, seed: int = 0) -> Path:
    """The folder of a small SAPGGAN trained on normal `images` shrunk to `size`; found finished where it was before."""
    small = shrunk(images, size)
    digest = hashlib.sha256(small.tobytes()).hexdigest()
    folder = work / f"normals-{size}-{kimg:g}-{seed}-{digest[:8]}"
    widths = (64, 48, 32, 32, 16, 16, 16)[: size.bit_length() - 2]
    config = TrainConfig(ModelConfig("sapggan", size, latent=64, widths=widths), kimg=kimg, batch=16, seed=seed)
    train(small, folder, config, resume=(folder / CHECKPOINT).exists(), data_hash=digest)
    return folder


def score_all(
    normal: np.ndarray, images: np.ndarray, methods: Sequence[str], generator: Path, kimg: float, seed: int = 0
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Scores `[M]` of `images` by each method that learned from `normal`, and maps `[M, h, w]` of those that make them.

    `kimg`: thousands of images that f-AnoGAN's encoder is shown.
    """
    scores, maps = {}, dict[str, np.ndarray]()
    for name in methods:
        method = uses.FAnoGAN(generator, kimg=kimg, seed=seed) if name == "f-anogan" else uses.build_method(name)
        scores[name], where = method.fit(normal).score(images)
        maps |= {} if where is None else {name: where}
    return scores, maps


def bootstrap(
    scores: Mapping[str, np.ndarray], abnormal: np.ndarray, patients: np.ndarray, draws: int = 2000, seed: int = 0
) -> pd.DataFrame:
    """AUROC of each method (a column): in the first row as it is, below it over patients drawn with repetition.

    `scores` maps a method to `[M]`; `abnormal` is bool `[M]`. The columns share their draws, so that a difference of
    two columns is the paired bootstrap of their difference.
    """
    weights = uses.resample(patients, draws, seed)                                          # [1 + draws, M]
    return pd.DataFrame({name: uses.auroc(values, abnormal, weights) for name, values in scores.items()})


def interval(draws: pd.Series) -> tuple[float, float, float]:
    """A column of `bootstrap`, or a difference of two: its value and the ends of its 95 % interval."""
    low, high = np.nanpercentile(draws[1:], [2.5, 97.5])  # nan: a draw without one of the classes
    return float(draws.iloc[0]), float(low), float(high)


def table(draws: pd.DataFrame) -> pd.DataFrame:
    """Rows of methods, the best first: AUROC with the ends of its interval."""
    rows = [(name, *interval(draws[name])) for name in draws]
    frame = pd.DataFrame(rows, columns=["method", "AUROC", "low", "high"]).round(3)
    return frame.sort_values("AUROC", ascending=False, ignore_index=True)


def inside(boxes: list[np.ndarray], side: int) -> np.ndarray:
    """Whether a place of a `side` x `side` map lies in a box: bool `[M, side, side]`."""
    centre = (np.arange(side) + 0.5) / side

    def one(box: np.ndarray) -> np.ndarray:
        x, y, width, height = box
        return np.outer((centre >= y) & (centre <= y + height), (centre >= x) & (centre <= x + width))

    return np.stack([np.any([np.zeros((side, side), bool), *map(one, many)], axis=0) for many in boxes])


def pointing(maps: Mapping[str, np.ndarray], boxes: list[np.ndarray]) -> pd.DataFrame:
    """The pointing game (Zhang 2018): the share of images with boxes in which a map's maximum lies in one.

    Beside it, in the column `fixed_place`, the share that the best single place of a map hits: a method that is not
    above it knows where findings are wont to be, not where this one is.
    """
    known = np.array([len(many) > 0 for many in boxes])
    rows = []
    for name, values in maps.items():
        hit = inside(boxes, values.shape[1])[known].reshape(known.sum(), -1)           # [K, P]
        peaks = values[known].reshape(known.sum(), -1).argmax(1)
        rows.append((name, hit[np.arange(len(hit)), peaks].mean(), hit.mean(0).max()))
    return pd.DataFrame(rows, columns=["method", "hits", "fixed_place"])


def findings(draws: pd.DataFrame, peaks: pd.DataFrame, what: str) -> list[str]:
    """What a run found, in sentences: the best method, f-AnoGAN against PCA, maps, and published numbers."""
    ranked = draws.iloc[0].sort_values(ascending=False).index
    value, low, high = interval(draws[ranked[0]])
    gap = interval(draws[ranked[0]] - draws[ranked[1]])
    told = "above" if gap[1] > 0 else "not told apart from"
    sentences = [
        f"{what} against normal: {ranked[0]} is best with AUROC {value:.2f} [{low:.2f}, {high:.2f}], "
        f"{told} {ranked[1]} ({_span(gap)})."
    ]
    chance = [name for name in ranked if interval(draws[name])[1] <= 0.5]
    if chance:
        sentences.append(f"Not above chance (their intervals reach 0.5): {', '.join(chance)}.")
    if {"f-anogan", "pca"} <= set(draws):
        gap = interval(draws["f-anogan"] - draws["pca"])
        verdict = "is above" if gap[1] > 0 else "is below" if gap[2] < 0 else "is not above"
        sentences.append(f"f-AnoGAN {verdict} PCA: the paired difference is {_span(gap)}.")
    if len(peaks):
        method, hits, fixed = peaks.nlargest(1, "hits").to_numpy().tolist()[0]
        verdict = "more than" if hits > fixed else "no more than"
        sentences.append(f"The map of {method} has its maximum in a box in {hits:.0%} of images with boxes, "
                         f"{verdict} the best fixed place ({fixed:.0%}).")  # fmt: skip
    numbers = ", ".join(f"{name} {value:.2f}" for name, value in PUBLISHED.items())
    sentences.append(f"Published on another protocol (BMAD's RSNA, 8,000 normal images to learn from): {numbers}.")
    return sentences


def _span(difference: tuple[float, float, float]) -> str:
    value, low, high = difference
    return f"{value:+.2f} [{low:+.2f}, {high:+.2f}]"


def overlay(image: np.ndarray, anomaly: np.ndarray, boxes: np.ndarray, span: tuple[float, float]) -> np.ndarray:
    """A map `[h, w]` in red over its image uint8 `[H, W]`, none at the lower end of `span` and below, full at the upper
    one, boxes outlined: uint8 `[H, W, 3]`."""
    side, (low, high) = len(image), span
    heat = (cv2.resize(anomaly.astype(np.float32), (side, side)).clip(low, high)[..., None] - low) / (high - low) / 2
    shown = image[..., None] * (1 - heat) + 255 * heat * np.array([1.0, 0, 0])
    shown = np.ascontiguousarray(shown.astype(np.uint8))
    for x, y, width, height in np.rint(boxes * side).astype(int).tolist():
        cv2.rectangle(shown, (x, y), (x + width, y + height), (255, 200, 0), 1)
    return shown
