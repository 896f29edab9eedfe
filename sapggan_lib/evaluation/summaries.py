"""Many scores in few: over seeds, by steadiness, at equal hours. Each takes and returns frames of `score_frame`."""

from collections.abc import Sequence
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from sapggan_lib.evaluation.intervals import probability_of_improvement, stratified_bootstrap, student_t

if TYPE_CHECKING:
    import pandas as pd


def over_seeds(scores: "pd.DataFrame", by: str = "kimg") -> "pd.DataFrame":
    """One score for each method and value of `by`: the mean over its seeds, of which there are `seeds`.

    The interval is the 95 % one of that mean by Student's t over the seeds: wide for few seeds, as it should be, and
    missing for one. `images` is what the sampling of images alone gives: half the interval of one training, on average.
    `variety` is that of the least varied seed.
    """
    trainings = scores.drop_duplicates(["method", "seed", by], keep="last")
    groups = trainings.assign(images=(trainings["high"] - trainings["low"]) / 2).groupby(["method", by], sort=False)
    means = groups[[name for name in ("value", "epoch", "kimg", "hours", "images") if name != by]].mean()
    seeds = groups["value"].count()
    margin = groups["value"].sem() * (seeds - 1).clip(lower=1).map(student_t)
    means = means.assign(low=(means["value"] - margin).clip(lower=0), high=means["value"] + margin, seeds=seeds)
    means = means.assign(variety=groups["variety"].min())
    rest = groups[["floor", "floor_n", "metric", "extractor", "n"]].first()
    return means.join(rest).reset_index().reindex(columns=[*scores.columns, "seeds", "images"])


def is_clear(column: "pd.DataFrame") -> bool:
    """Whether the first row's interval lies below that of all others; False where an interval is missing."""
    known = column[["low", "high"]].notna().all(axis=None)
    return len(column) > 1 and bool(known) and column["high"].iloc[0] < column["low"].iloc[1:].min()


def last_scores(scores: "pd.DataFrame") -> "pd.DataFrame":
    """The last score of each training, in the order in which the trainings first appear."""
    ordered = scores.sort_values("kimg", kind="stable").groupby(["method", "seed"], dropna=False).tail(1)
    return ordered.sort_index()


def improvement(scores: "pd.DataFrame", seed: int = 0) -> "pd.DataFrame":
    """For each two methods, how often a training of the one ends with a lower score than one of the other.

    `probability` with its stratified bootstrap over seeds (`low`, `high`; missing for a method with one training). A
    task, of which the runs are drawn anew by themselves, is a metric of an extractor.
    """
    import pandas as pd

    last = last_scores(scores)
    last = last.assign(seed=last["seed"].fillna(0))
    runs = last.pivot(index=["method", "seed"], columns=["metric", "extractor"], values="value")
    sides = {method: runs.loc[[method]].to_numpy() for method in last["method"].unique()}
    rows = []
    for one, other in combinations(sides, 2):
        pair = (sides[one], sides[other])
        few = min(map(len, pair))
        ends = stratified_bootstrap(probability_of_improvement, pair, seed) if few > 1 else (None, None)
        rows.append((one, other, probability_of_improvement(*pair), *ends, few))
    return pd.DataFrame(rows, columns=["method", "other", "probability", "low", "high", "seeds"])


def progress(scores: "pd.DataFrame") -> "pd.DataFrame":
    """From each score of a method to its next: a row with both and what the step was, "better", "worse" or "not clear".

    With several seeds by the differences within each training (Student's t over them, 95 %), since the training is
    the same; with one by whether the intervals over images overlap, which is said of that training alone.
    """
    import pandas as pd

    rows = []
    for method, trainings in scores.groupby("method", sort=False):
        table = trainings.assign(seed=trainings["seed"].fillna(0)).pivot(index="seed", columns="kimg")
        for before, after in zip(table["value"].columns, table["value"].columns[1:], strict=False):
            gap = (table["value"][after] - table["value"][before]).dropna()
            if len(gap) > 1:
                margin = gap.sem() * student_t(len(gap) - 1)
                low, high = gap.mean() - margin, gap.mean() + margin
            else:
                low, high = (float((table[one][after] - table[other][before]).iloc[0])
                             for one, other in (("low", "high"), ("high", "low")))  # fmt: skip
            verdict = "better" if high < 0 else "worse" if low > 0 else "not clear"
            at = [float(table["epoch"][point].mean()) for point in (before, after)]
            means = [float(table["value"][point].mean()) for point in (before, after)]
            rows.append((method, *at, *means, verdict, len(gap)))
    return pd.DataFrame(rows, columns=["method", "from", "to", "before", "after", "verdict", "seeds"])


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
    """Each training's score at `parts` of the hours that all had; `hours` becomes that time.

    Between two scores it is on the straight line that joins them, since no training is scored at the minute that
    another ends; before its first one a training has none.
    """
    import pandas as pd

    trainings = scores.groupby(["method", "seed"], sort=False, dropna=False)
    times = np.multiply(parts, trainings["hours"].max().min())
    found = []
    for _, rows in trainings:
        ordered = rows.sort_values("hours")
        reached = times[times >= ordered["hours"].iloc[0]]
        between = {name: np.interp(reached, ordered["hours"], ordered[name])
                   for name in ("value", "low", "high", "variety", "epoch", "kimg")}  # fmt: skip
        found.append(ordered.iloc[[0] * len(reached)].assign(hours=reached, **between))
    return pd.concat(found, ignore_index=True).round({"hours": 5})
