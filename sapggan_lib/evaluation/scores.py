"""All scores of one set of images against another, each with its interval and its noise floor."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from sapggan_lib.base.errors import SapgganError
from sapggan_lib.evaluation.coverage import coverage_of_distances, coverage_scores, distances
from sapggan_lib.evaluation.features import Features
from sapggan_lib.evaluation.frechet import frechet_distance
from sapggan_lib.evaluation.kernel import kernel_distance

FEWEST = 8                                    # images on a side
ENOUGH = 2048                                 # images for a FID, by its maintainers
PROTOCOL = ("extractor", "weights", "input_size", "resize")
Numbers = dict[str, float]


@dataclass(frozen=True)
class Interval:
    """A score with its 95 % interval and the same score of real against real images."""

    value: float
    low: float
    high: float
    floor: float


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
            label = name.upper() if name in ("fd", "fid", "kid") else name
            interval = f"{score.low:.4g} to {score.high:.4g}"
            lines.append(f"{label:<11}{score.value:>11.4g}   {interval:<23}{score.floor:.4g}")
        return "\n".join(lines + [f"warning: {warning}" for warning in self.warnings])


def evaluate(real: Features, fake: Features, *, seed: int = 0, k: int = 5, blocks: int = 10) -> Evaluation:
    """Score `fake` against `real`; both must come from one extractor.

    Intervals: delete-one-block jackknife over `blocks` random blocks of both sides, with Student's t.
    Floor: one random half of the real features against the other, as many a side as there are fakes where the real
    ones suffice (`n_floor`). `k`: neighbours of precision, recall, density and coverage.
    Raises `SapgganError` for features of two protocols and for fewer than 8 images on a side.
    """
    check_protocol(real, fake)
    x, y = np.asarray(real.array, np.float64), np.asarray(fake.array, np.float64)
    if min(len(x), len(y)) < FEWEST:
        raise SapgganError(f"{len(x)} real and {len(y)} generated images: a score needs {FEWEST} or more on each side")
    n_floor = min(len(x) // 2, len(y))
    k = min(k, n_floor - 2)
    order = np.random.default_rng(seed).permutation(len(x))
    one, other = x[order[:n_floor]], x[order[n_floor:2 * n_floor]]
    frechet = real.provenance["metric"].lower()

    within, among, across = distances(x, x), distances(y, y), distances(x, y)

    def numbers(i: np.ndarray, j: np.ndarray) -> Numbers:
        near = coverage_of_distances(within[np.ix_(i, i)], among[np.ix_(j, j)], across[np.ix_(i, j)], k)
        return {frechet: frechet_distance(x[i], y[j])} | near

    values = numbers(np.arange(len(x)), np.arange(len(y)))
    errors = jackknife(numbers, len(x), len(y), seed, blocks)
    floors = {frechet: frechet_distance(one, other)} | coverage_scores(one, other, k)
    values["kid"], errors["kid"] = kernel_distance(x, y, seed)
    floors["kid"] = kernel_distance(one, other, seed)[0]
    width = _student(min(blocks, len(x), len(y)) - 1)
    scores = {}
    for name in (frechet, "kid", "precision", "recall", "density", "coverage"):
        low, high = values[name] - width * errors[name], values[name] + width * errors[name]
        low = low if name == "kid" else max(low, 0.0)
        high = min(high, 1.0) if name in ("precision", "recall", "coverage") else high
        scores[name] = Interval(values[name], low, high, floors[name])
    facts = real.provenance
    return Evaluation(
        facts["extractor"], facts["resize"], facts["weights"], facts["input_size"], len(x), len(y), n_floor, scores,
        tuple(_warnings(real, fake, n_floor, k)),
    )


def check_protocol(*sides: Features) -> None:
    """Refuse features made by different extractors, weights, input sizes or resize rules."""
    for side in sides[1:]:
        for key in PROTOCOL:
            first, other = sides[0].provenance.get(key), side.provenance.get(key)
            if first != other:
                raise SapgganError(
                    f'the two sides differ in "{key}": {first} and {other}; make both with the same extractor'
                )


def jackknife(
    statistic: Callable[[np.ndarray, np.ndarray], Numbers], n_real: int, n_fake: int, seed: int, blocks: int
) -> Numbers:
    """Standard errors of `statistic(kept real, kept fake indices)`, one of `blocks` random blocks of both left out.

    A resampling that repeats no image: the bootstrap's repeats lower the covariance's rank, raise the distance, and
    near the floor doubled its spread in our simulation, where this stayed within 1.5 times the true one (at the
    floor; 1.0 above it). Efron & Stein 1981; blocks: Shao & Tu, The Jackknife and Bootstrap, 1995, section 2.3.
    """
    blocks = min(blocks, n_real, n_fake)
    rng = np.random.default_rng(seed)
    sides = [(n, np.array_split(rng.permutation(n), blocks)) for n in (n_real, n_fake)]
    rows = [statistic(*(np.delete(np.arange(n), parts[block]) for n, parts in sides)) for block in range(blocks)]
    table = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    return {name: float(np.sqrt((blocks - 1) * values.var())) for name, values in table.items()}


def _student(freedom: int) -> float:
    """The 0.975 quantile of Student's t without SciPy: with t = sqrt(n) tan(a) its density is cos(a)^(n - 1)."""
    angle = np.linspace(0, np.pi / 2, 200_001)
    density = np.cos(angle) ** (freedom - 1)
    area = np.concatenate([[0], np.cumsum(density[1:] + density[:-1])])
    return float(np.sqrt(freedom) * np.tan(np.interp(0.95 * area[-1], area, angle)))


def _warnings(real: Features, fake: Features, n_floor: int, k: int) -> list[str]:
    x, y = real.array, fake.array
    n, dimension, metric = min(len(x), len(y)), x.shape[1], real.provenance["metric"]
    found = []
    if n <= dimension:
        found.append(
            f"{n:,} images a side do not exceed the {dimension:,} features: {metric} is far above its value for many "
            "images; compare it with the floor and at equal N only, and trust KID more"
        )
    elif n < ENOUGH:
        found.append(f"{n:,} images a side: {metric} wants {ENOUGH:,} or more; compare at equal N only")
    if len(x) != len(y):
        found.append(f"{len(x):,} real against {len(y):,} generated images: {metric}'s bias depends on both")
    shapes = [side.provenance.get("images", [])[:2] for side in (real, fake)]
    if shapes[0] != shapes[1]:
        sizes = " and ".join(" x ".join(map(str, shape)) for shape in shapes)
        found.append(f"images of {sizes} pixels: the resolution is part of the distance; bring both to one size first")
    if n_floor < len(y):
        found.append(f"the floor is made at N = {n_floor:,}, half of the real images: higher than at N = {n:,}")
    if k < 5:
        found.append(f"precision, recall, density and coverage use {k} neighbours instead of 5: too few images")
    return found
