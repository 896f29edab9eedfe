"""How well scores rank cases with a finding above those without, over patients drawn with replacement."""

import numpy as np


def resample(patients: np.ndarray, draws: int, seed: int) -> np.ndarray:
    """How often each image is in the patients as they are, and in each of `draws` samples of them with replacement.

    `[1 + draws, T]`, the first row ones.
    """
    names, places = np.unique(patients, return_inverse=True)
    counts = np.random.default_rng(seed).multinomial(len(names), np.full(len(names), 1 / len(names)), draws)
    return np.concatenate([np.ones((1, len(patients))), counts[:, places]])


def auroc(scores: np.ndarray, truth: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Area under the ROC curve of scores `[T]` for each row of weights `[B, T]`; nan where one class is missing."""
    above = scores[truth][:, None] - scores[~truth]
    wins = (above > 0) + 0.5 * (above == 0)                                             # [positives, negatives]
    positive, negative = weights[:, truth], weights[:, ~truth]
    with np.errstate(invalid="ignore"):
        return np.asarray(((positive @ wins) * negative).sum(1) / (positive.sum(1) * negative.sum(1)))


def average_precision(scores: np.ndarray, truth: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean precision over the positives, from the highest score down, for each row of weights `[B, T]`."""
    order = np.argsort(-scores, kind="stable")
    ends = np.searchsorted(-scores[order], -scores[order], side="right") - 1            # equal scores come together
    hits = weights[:, order] * truth[order]
    with np.errstate(invalid="ignore"):
        precision = (hits.cumsum(1) / weights[:, order].cumsum(1))[:, ends]
        return np.asarray(np.where(hits > 0, hits * precision, 0).sum(1) / hits.sum(1))


METRICS = {"AUROC": auroc, "average precision": average_precision}
