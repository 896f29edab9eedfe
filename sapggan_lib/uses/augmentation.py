"""Do generated images help a classifier of a rare finding? Arms with fair opponents, paired differences, intervals.

The classifier is a logistic regression on frozen features. To it, duplicating images is weighting them: an arm with
generated images must beat the same number of duplicates, or it only repaired the balance (Pink and Sykes 2026).
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pandas as pd

from sapggan_lib.uses.ranking import METRICS, auroc, resample

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

REAL = "real alone"
REWEIGHTED = "reweighted"
STRENGTH = 0.01   # C, the inverse of the penalty: one for all arms, for features that outnumber the images
FINE_TUNING = 5   # steps of L-BFGS on real images that begin at the weights of the generated ones
DRAWS = 1000      # of the bootstrap


@dataclass(frozen=True)
class Cases:
    """Features `[N, D]` of images without and with the finding."""

    negative: np.ndarray
    positive: np.ndarray

    @property
    def both(self) -> np.ndarray:
        return np.concatenate([self.negative, self.positive])

    @property
    def truth(self) -> np.ndarray:
        return np.repeat([False, True], [len(self.negative), len(self.positive)])


def arm_scores(
    real: Cases,                    # few positives
    test: np.ndarray,              # features [T, D]
    sources: Mapping[str, Cases],   # images to add by the name of what made them: "generated", ...
    changed: np.ndarray,           # real positives after classical augmentation, [K, D]
    ratios: Sequence[float] = (0.25, 1, 5),  # positives to add for each real one
) -> dict[str, np.ndarray]:
    """A score for each test image, `[T]`, by each arm: "real alone", "reweighted", "duplicated x 5", "classical x 5",
    and for each source "generated x 5", "generated alone" and "generated first, then real".

    Where the last begins at the weights that the source alone gave, and takes `FINE_TUNING` steps on the real images.
    """
    n = len(real.positive)
    arms = {REAL: fit(real), REWEIGHTED: fit(real, balanced=True)}
    for ratio in ratios:
        extra = round(ratio * n)
        more = {"duplicated": real.positive[np.arange(extra) % n], "classical": changed[:extra]}
        more |= {name: source.positive[:extra] for name, source in sources.items()}
        for name, added in more.items():
            if len(added) == extra:  # a source with too few images has no such arm
                arms[f"{name} x {ratio:g}"] = fit(Cases(real.negative, np.concatenate([real.positive, added])))
    for name, source in sources.items():
        arms[f"{name} alone"] = fit(source)
        arms[f"{name} first, then real"] = fine_tune(fit(source), real)
    return {name: model.decision_function(test) for name, model in arms.items()}


def fit(side: Cases, balanced: bool = False, strength: float = STRENGTH) -> "Pipeline":
    """A logistic regression of standardised features; `balanced` weighs both classes alike, `strength` is its C."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    weights = "balanced" if balanced else None
    regression = LogisticRegression(C=strength, max_iter=1000, class_weight=weights, warm_start=True)
    return make_pipeline(StandardScaler(), regression).fit(side.both, side.truth)


def fine_tune(model: "Pipeline", side: Cases) -> "Pipeline":
    """The model after a few steps on other images, its standardisation kept."""
    from sklearn.exceptions import ConvergenceWarning

    scale, regression = (part for _, part in model.steps)
    regression.max_iter = FINE_TUNING
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # it is meant to stop early
        regression.fit(scale.transform(side.both), side.truth)
    return model


def class_consistency(real: Cases, generated: Cases, seed: int = 0) -> tuple[float, float, float]:
    """How well a classifier that was trained on real images tells the generated classes apart.

    AUROC with its 95 % interval. About .5: the generator ignores the class that it is asked for.
    """
    scores, truth = fit(real, balanced=True).decision_function(generated.both), generated.truth
    values = auroc(scores, truth, resample(np.arange(len(truth)), DRAWS, seed))
    low, high = np.quantile(values[1:], [0.025, 0.975])
    return float(values[0]), float(low), float(high)


def compare_arms(
    repeats: Sequence[Mapping[str, np.ndarray]],  # `arm_scores` of each choice of positives, with its generator
    truth: np.ndarray,                            # bool [T]
    patients: np.ndarray,                         # [T]
    draws: int = DRAWS,
    seed: int = 0,
) -> pd.DataFrame:
    """Each arm's metrics, and its paired differences from "real alone" and, where images were added, from as many
    duplicates; with 95 % intervals.

    Columns arm, metric, against ("": the metric itself), value, low, high. Each draw of the bootstrap takes patients
    and repeats with replacement, the same for all arms; a difference is of means over the repeats.
    """
    weights = resample(patients, draws, seed)
    shares = resample(np.arange(len(repeats)), draws, seed) / len(repeats)              # [1 + draws, repeats]
    rows = []
    for metric, function in METRICS.items():
        values = {arm: (np.stack([function(one[arm], truth, weights) for one in repeats], 1) * shares).sum(1)
                  for arm in repeats[0]}  # fmt: skip
        for arm in values:
            for against in ("", *opponents(arm, values)):
                value = values[arm] - (values[against] if against else 0)
                low, high = np.nanquantile(value[1:], [0.025, 0.975])
                rows.append((arm, metric, against, value[0], low, high))
    return pd.DataFrame(rows, columns=["arm", "metric", "against", "value", "low", "high"])


def opponents(arm: str, arms: Mapping[str, object]) -> list[str]:
    """What an arm must beat: the real images alone, and as many duplicates as it adds images."""
    twin = f"duplicated x {arm.partition(' x ')[2]}"
    return [other for other in (REAL, twin) if other in arms and other != arm]


def classical(images: np.ndarray, n: int, seed: int = 0) -> np.ndarray:
    """`n` of `images` (uint8 `[N, H, W]`), in turn, turned, moved and scaled a little, with other contrast.

    Up to 5 degrees, 5 % of the side, 5 % and 10 %. Not mirrored: the heart would change sides.
    """
    rng, side = np.random.default_rng(seed), images.shape[1]
    changed = []
    for image in images[np.arange(n) % len(images)]:
        angle, scale, contrast = rng.uniform([-5, 0.95, 0.9], [5, 1.05, 1.1])
        matrix = cv2.getRotationMatrix2D((side / 2, side / 2), angle, scale)
        matrix[:, 2] = matrix[:, 2] + rng.uniform(-0.05 * side, 0.05 * side, 2)
        moved = cv2.warpAffine(image, matrix, (side, side), borderMode=cv2.BORDER_REPLICATE).astype(float)
        changed.append(((moved - 128) * contrast + 128).round().clip(0, 255).astype(np.uint8))
    return np.stack(changed)
