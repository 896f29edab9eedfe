"""Many scores in few: over seeds, by steadiness, at equal hours."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from sapggan_lib.evaluation.tables import Score

if TYPE_CHECKING:
    import pandas as pd


def over_seeds(scores: Sequence[Score]) -> list[Score]:
    """Scores of trainings labelled "group, seed N" as one score per group and kimg: the mean over seeds.

    The interval is the 95 % one of that mean by Student's t over the seeds: wide for few seeds, as it should be.
    """
    from scipy.special import stdtrit

    groups: dict[tuple[str, float], list[Score]] = {}
    for score in scores:
        groups.setdefault((score.method.split(",")[0], score.kimg or 0.0), []).append(score)
    means = []
    for (method, _), rows in groups.items():
        values = np.array([row.value for row in rows])
        width = stdtrit(len(rows) - 1, 0.975) * values.std(ddof=1) / math.sqrt(len(rows)) if len(rows) > 1 else None
        low, high = (max(values.mean() - width, 0.0), values.mean() + width) if width is not None else (None, None)
        hours = float(np.mean([row.hours or 0.0 for row in rows]))
        means.append(replace(rows[0], method=method, value=float(values.mean()), low=low, high=high, hours=hours))
    return means


def stability(scores: Sequence[Score]) -> "pd.DataFrame":
    """How steadily each group of trainings learned; `scores` as in `over_seeds`.

    `mean` and `spread` (range) of the last score over the seeds, and `worst rise`: how many times higher than its
    lowest score so far any training ever rose (1: it never did).
    """
    import pandas as pd

    rises: dict[str, float] = {}
    for label in dict.fromkeys(score.method for score in scores):
        rows = sorted((score for score in scores if score.method == label), key=lambda score: score.kimg or 0)
        values = np.array([row.value for row in rows])
        group = label.split(",")[0]
        rises[group] = max(rises.get(group, 1.0), float((values / np.minimum.accumulate(values)).max()))
    rows_of_table = [
        {"group": group, "mean": np.mean(values), "spread": np.ptp(values), "worst rise": rises[group]}
        for group, values in final_by_group(scores).items()
    ]
    return pd.DataFrame(rows_of_table).round(2)


def final_by_group(scores: Sequence[Score]) -> dict[str, list[float]]:
    """The last score of each training, grouped by what stands before the comma of its label."""
    last = {score.method: score.value for score in sorted(scores, key=lambda score: score.kimg or 0)}
    groups: dict[str, list[float]] = {}
    for label in dict.fromkeys(score.method for score in scores):
        groups.setdefault(label.split(",")[0], []).append(last[label])
    return groups


def at_equal_hours(scores: Sequence[Score], parts: Sequence[float] = (0.25, 0.5, 0.75, 1.0)) -> list[Score]:
    """Each method's latest score at or before `parts` of the hours that all methods had; `hours` becomes that time."""
    methods = list(dict.fromkeys(score.method for score in scores))
    shared = min(max(score.hours or 0.0 for score in scores if score.method == method) for method in methods)
    found = []
    for method in methods:
        for part in parts:
            made = [s for s in scores if s.method == method and (s.hours or 0.0) <= part * shared * (1 + 1e-9)]
            if made:
                latest = max(made, key=lambda score: score.hours or 0.0)
                found.append(replace(latest, hours=round(part * shared, 5)))
    return found
