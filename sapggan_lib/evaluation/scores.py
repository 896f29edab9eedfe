"""All scores of one set of images against another, each with its interval and its noise floor; a training's curve."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sapggan_lib import models
from sapggan_lib.base.errors import SapgganError
from sapggan_lib.evaluation.coverage import Pair, coverage, density, precision, recall
from sapggan_lib.evaluation.features import AnyFeatures, Extractor, Features, arrays, check_protocol, extract_features
from sapggan_lib.evaluation.frechet import frechet_distance
from sapggan_lib.evaluation.intervals import Interval, Numbers, jackknife, student_t
from sapggan_lib.evaluation.kernel import kernel_distance
from sapggan_lib.evaluation.tables import score_frame

if TYPE_CHECKING:
    import pandas as pd

FEWEST = 8                                    # images on a side
ENOUGH = 2048                                 # images for a FID, by its maintainers
UNKNOWN = {"extractor": "unknown", "metric": "FD", "weights": "unknown", "input_size": 0, "resize": "unknown"}


@dataclass(frozen=True)
class Metric:
    """A score of a pair of feature sets, and between which values it lies."""

    score: Callable[[Pair], float]
    lowest: float = -math.inf
    highest: float = math.inf
    error: Callable[[Pair], float] | None = None      # its standard error; None: that of the jackknife


METRICS = {                                   # "fd" is printed as "fid" where Inception made the features
    "fd": Metric(lambda pair: frechet_distance(pair.real, pair.fake), lowest=0),
    "kid": Metric(lambda pair: pair.kernel[0], error=lambda pair: pair.kernel[1]),
    "precision": Metric(precision, lowest=0, highest=1),
    "recall": Metric(recall, lowest=0, highest=1),
    "density": Metric(density, lowest=0),
    "coverage": Metric(coverage, lowest=0, highest=1),
}


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate` returns: scores by name (`fd` or `fid`, `kid`, `precision`, `recall`, `density`, `coverage`)."""

    extractor: str
    resize: str
    weights: str
    input_size: int
    n_real: int
    n_fake: int
    n_floor: int                              # images on each side of the floor
    scores: dict[str, Interval]
    warnings: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, each score as `{"value", "low", "high", "floor"}`."""
        plain = {key: value for key, value in vars(self).items() if key != "scores"}
        return plain | {"warnings": list(self.warnings)} | {name: vars(score) for name, score in self.scores.items()}

    def text(self) -> str:
        """A table for people."""
        lines = [
            f"{self.extractor} ({self.input_size} px, {self.resize}, weights {self.weights[:8]}): "
            f"{self.n_real:,} real against {self.n_fake:,} generated images",
            f"{'':<11}{'score':>11}   {'95 % interval':<23}real against real, N = {self.n_floor:,}",
        ]
        for name, score in self.scores.items():
            label = _label(name)
            interval = f"{score.low:.4g} to {score.high:.4g}"
            lines.append(f"{label:<11}{score.value:>11.4g}   {interval:<23}{score.floor:.4g}")
        return "\n".join(lines + [f"warning: {warning}" for warning in self.warnings])

    def frame(self, method: str) -> "pd.DataFrame":
        """The scores as rows of the tidy frame (`tables.COLUMNS`), under the name `method`."""
        facts = {"method": method, "extractor": self.extractor, "n": self.n_fake, "floor_n": self.n_floor}
        return score_frame(facts | {"metric": _label(name)} | vars(score) for name, score in self.scores.items())


def evaluate(
    real: AnyFeatures, fake: AnyFeatures, *, seed: int = 0, k: int = 5, blocks: int = 10, n_real: int | None = None
) -> Evaluation:
    """Score `fake` against `real` by every metric of `METRICS`; both must come from one extractor.

    Intervals: delete-one-block jackknife over `blocks` random blocks of both sides, with Student's t.
    Floor: one random half of the real features against the other, as many a side as there are fakes where the real
    ones suffice (`n_floor`). `n_real`: score against the first so many real features, and have the others for the
    floor alone, which needs two sides of them. `k`: neighbours of precision, recall, density and coverage.
    Bare arrays `[N, D]` are of an unknown extractor. Raises `SapgganError` for features of two protocols and for fewer
    than 8 images on a side.
    """
    real, fake = (side if isinstance(side, Features) else Features(side, UNKNOWN) for side in (real, fake))
    x, y = arrays(real, fake)
    n_floor = min(len(x) // 2, len(y))
    order = np.random.default_rng(seed).permutation(len(x))[: 2 * n_floor]
    halves, x = x[order], x[:n_real]
    if min(len(x), len(y)) < FEWEST:
        raise SapgganError(f"{len(x)} real and {len(y)} generated images: a score needs {FEWEST} or more on each side")
    k = min(k, n_floor - 2)
    pair, floor = Pair.of(x, y, k, seed), Pair.of(halves[:n_floor], halves[n_floor:], k, seed)

    def numbers(i: np.ndarray, j: np.ndarray) -> Numbers:
        kept = pair.keep(i, j)
        return {name: metric.score(kept) for name, metric in METRICS.items() if metric.error is None}

    errors = jackknife(numbers, len(x), len(y), seed, blocks)
    width = student_t(min(blocks, len(x), len(y)) - 1)
    facts, scores = real.provenance, {}
    for name, metric in METRICS.items():
        value = metric.score(pair)
        margin = width * (metric.error(pair) if metric.error else errors[name])
        if not margin and value in (metric.lowest, metric.highest):
            margin = 3 / min(len(x), len(y))  # the rule of three: none of n images is no proof that there are none
        low, high = float(max(value - margin, metric.lowest)), float(min(value + margin, metric.highest))
        scores[facts["metric"].lower() if name == "fd" else name] = Interval(value, low, high, metric.score(floor))
    return Evaluation(
        facts["extractor"], facts["resize"], facts["weights"], facts["input_size"], len(x), len(y), n_floor, scores,
        tuple(_warnings(Features(real.array[:n_real], facts), fake, n_floor, k)),
    )


def _label(name: str) -> str:
    return name.upper() if name in ("fd", "fid", "kid") else name


def _warnings(real: Features, fake: Features, n_floor: int, k: int) -> list[str]:
    x, y = real.array, fake.array
    n, dimension, metric = min(len(x), len(y)), x.shape[1], real.provenance["metric"]
    sizes = [" x ".join(map(str, side.provenance.get("images", [])[:2])) for side in (real, fake)]
    doubts = [
        (n <= dimension, f"{n:,} images a side do not exceed the {dimension:,} features: {metric} is far above its "
         "value for many images; compare it with the floor and at equal N only, and trust KID more"),
        (dimension < n < ENOUGH, f"{n:,} images a side: {metric} wants {ENOUGH:,} or more; compare at equal N only"),
        (len(x) != len(y), f"{len(x):,} real against {len(y):,} generated images: {metric}'s bias depends on both"),
        (sizes[0] != sizes[1], f"images of {' and '.join(sizes)} pixels: the resolution is part of the distance; bring "
         "both to one size first"),
        (n_floor < len(y), f"the floor is made at N = {n_floor:,}, half of the real images: higher than at N = {n:,}"),
        (k < 5, f"precision, recall, density and coverage use {k} neighbours instead of 5: too few images"),
    ]
    return [doubt for holds, doubt in doubts if holds]


class FrechetCallback:
    """Scores a generator during training: `train(..., on_snapshot=FrechetCallback(real, extractor))`.

    Each call makes `n` images from the same latents, so that the curve shows the training and not the draw. It
    touches no global random state. `real`: features by the same extractor, made once; compare points of one `n` only.
    """

    def __init__(self, real: Features, extractor: Extractor, n: int = 256, seed: int = 0):
        check_protocol(real, Features(real.array[:0], extractor.provenance))
        self.real, self.extractor, self.n, self.seed = real, extractor, n, seed

    def __call__(self, kimg: float, generator: models.Generator) -> dict[str, float]:
        """Numbers for the log: `fd` or `fid`, `kid`, `kid_error`, `score_images` (n) and `score_seconds` it took."""
        start = time.perf_counter()
        images = models.generate(generator, self.n, seed=self.seed)
        fake = extract_features(images, self.extractor, progress=False)
        kid, error = kernel_distance(self.real, fake, seed=self.seed)
        return {
            self.extractor.metric_name.lower(): frechet_distance(self.real, fake), "kid": kid, "kid_error": error,
            "score_images": self.n, "score_seconds": round(time.perf_counter() - start, 2),
        }  # fmt: skip
