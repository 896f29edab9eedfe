"""Many scores in few: over seeds, by steadiness, at equal hours. Each takes and returns frames of `score_frame`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from sapggan_lib.evaluation.intervals import student_t

if TYPE_CHECKING:
    import pandas as pd


def over_seeds(scores: "pd.DataFrame") -> "pd.DataFrame":
    """One score for each method and kimg: the mean over its seeds.

    The interval is the 95 % one of that mean by Student's t over the seeds: wide for few seeds, as it should be, and
    missing for one.
    """
    groups = scores.groupby(["method", "kimg"], sort=False)
    means = groups[["value", "hours"]].mean()
    margin = groups["value"].sem() * (groups["value"].count() - 1).clip(lower=1).map(student_t)
    means = means.assign(low=(means["value"] - margin).clip(lower=0), high=means["value"] + margin)
    rest = groups[["floor", "epoch", "metric", "extractor", "n"]].first()
    return means.join(rest).reset_index().reindex(columns=scores.columns)


def last_scores(scores: "pd.DataFrame") -> "pd.DataFrame":
    """The last score of each training, in the order in which the trainings first appear."""
    ordered = scores.sort_values("kimg", kind="stable").groupby(["method", "seed"], dropna=False).tail(1)
    return ordered.sort_index()


def stability(scores: "pd.DataFrame") -> "pd.DataFrame":
    """How steadily each group of trainings learned: a row per method, over its seeds.

    `mean` and `spread` (range) of the last score over the seeds, and `worst rise`: how many times higher than its
    lowest score so far any training ever rose (1: it never did).
    """
    last = last_scores(scores).groupby("method", sort=False)["value"]
    ordered = scores.sort_values("kimg", kind="stable")
    lowest = ordered.groupby(["method", "seed"], dropna=False)["value"].cummin()
    rises = (ordered["value"] / lowest).groupby(ordered["method"]).max()
    table = last.agg(["mean", np.ptp]).set_axis(["mean", "spread"], axis=1).assign(**{"worst rise": rises})
    return table.rename_axis("group").reset_index().round(2)


def at_equal_hours(scores: "pd.DataFrame", parts: Sequence[float] = (0.25, 0.5, 0.75, 1.0)) -> "pd.DataFrame":
    """Each method's latest score at or before `parts` of the hours that all methods had; `hours` becomes that time."""
    import pandas as pd

    shared = scores.groupby("method")["hours"].max().min()
    times = pd.DataFrame({"hours": np.multiply(parts, shared * (1 + 1e-9))})  # a score at the very end counts
    found = [
        pd.merge_asof(times, rows.sort_values("hours"), on="hours").dropna(subset="value")
        for _, rows in scores.groupby("method", sort=False)
    ]
    return pd.concat(found, ignore_index=True).round({"hours": 5}).reindex(columns=scores.columns)
