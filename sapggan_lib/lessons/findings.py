"""What a run found, in sentences that rules make of its scores: the section "What this run found" of 03, 04 and 05.

A claim is made where intervals over seeds carry it; where they do not, the sentence says so.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from sapggan_lib import evaluation
from sapggan_lib.base.images import COLLAPSE
from sapggan_lib.evaluation import NAMES, Evaluation, Neighbours
from sapggan_lib.lessons.scores import COPIES, UNCHANGED


def comparison(scores: pd.DataFrame, what: str, chosen: str = "") -> list[str]:
    """What trainings found: samples alike, who leads and is last at the end, how `chosen` stands, steps, the floor.

    Scores of one run, as `evaluation.score_frame` has them; `what` they compare ("loss", "model"); `chosen` is the
    method that the paper proposes.
    """
    kinds = scores[["metric", "extractor", "n"]].drop_duplicates()
    if len(kinds) > 1:
        said = "; ".join(f"{kind.metric} ({kind.extractor}) at N = {kind.n:,.0f}" for kind in kinds.itertuples())
        return [f"Nothing can be compared: the scores are of different protocols, {said}."]
    return [*alike(scores), *standing(scores, what, chosen), *steps(scores), *floor(scores)]


def alike(scores: pd.DataFrame) -> list[str]:
    """Trainings whose samples are near copies of one image: from which epoch, and the best score before it."""
    said = []
    key: Any
    for key, rows in scores.groupby(["method", "seed"], sort=False, dropna=False):
        few = rows["variety"] < COLLAPSE
        if few.any():
            first = rows[few].iloc[0]
            before = rows[rows["kimg"] < first["kimg"]].sort_values("value").head(1)
            best = [f" Its best score before, {b.value:.4g}, is of epoch {b.epoch:g}." for b in before.itertuples()]
            said.append(
                f"**The samples of {_name(key[0])}{'' if pd.isna(key[1]) else f', seed {key[1]},'} are alike** at "
                f"epoch {first['epoch']:g}: they spread over {_percent(first['variety'], 1)} of what the data does. "
                f"A score of near copies of one image is no score of a generator.{''.join(best)}"
            )
    return said


def standing(scores: pd.DataFrame, what: str, chosen: str = "") -> list[str]:
    """Who leads and who is last at the end, by intervals over seeds, and how `chosen` stands against each other one.

    A method whose samples are alike at its end, for any seed, is left out.
    """
    last = evaluation.last_scores(scores)
    last = last[~last["method"].isin(last.loc[last["variety"] < COLLAPSE, "method"])]
    if last["method"].nunique() < 2:
        return [f"No two {what} rows are left to compare."]
    means = evaluation.over_seeds(last.assign(end=0), "end").sort_values("value")
    seeds, metric = means["seeds"].min(), means["metric"].iloc[0]
    if seeds < 2:
        return [f"Which {what} is best is not decided: one training (seed) of each cannot show it. The lowest {metric} "
                f"is {_score(means.iloc[0])} ({_name(means['method'].iloc[0])}), the highest "
                f"{_score(means.iloc[-1])} ({_name(means['method'].iloc[-1])})."]
    said = []
    for ordered, claim, extreme in ((means, "leads", "lowest"), (means[::-1], "is the worst", "highest")):
        first, others = ordered.iloc[0], ordered.iloc[1:]
        overlap = others[(others["low"] <= first["high"]) & (first["low"] <= others["high"])]
        name, score = _name(first["method"]), f"the {extreme} mean {metric} at the end, {_score(first)}"
        if overlap.empty:
            said.append(f"**{name} {claim}**: it has {score}, clear of every other by intervals over {seeds} seeds.")
        else:
            said.append(f"No {what} {claim} for sure: {name} has {score}, not clear of {_list(overlap['method'])} "
                        f"by intervals over {seeds} seeds.")
    if chosen in set(means["method"]):
        rank = means["method"].tolist().index(chosen) + 1
        pairs = evaluation.improvement(last.sort_values("method", key=lambda m: m != chosen, ignore_index=True))
        odds = [f"{_percent(row['probability'])} [{100 * row['low']:.0f}, {100 * row['high']:.0f}] of pairs with "
                f"{_name(row['other'])}" for row in pairs[pairs["method"] == chosen].to_dict("records")]  # fmt: skip
        said.append(f"The paper's {_name(chosen)} is number {rank} of {len(means)} by its mean. Of {seeds} trainings "
                    f"each, one of it ends lower in {'; '.join(odds)}.")
    return said


def steps(scores: pd.DataFrame) -> list[str]:
    """Which steps from one score to the next were better, which worse, which not clear."""
    table = evaluation.progress(scores)
    if table.empty:
        return []
    basis = "by differences within trainings" if table["seeds"].min() > 1 else "of one training, by images alone"
    better, worse, unclear = (table[table["verdict"] == verdict] for verdict in ("better", "worse", "not clear"))
    said = [f"{len(better)} of {len(table)} steps from a score to the next are clearly better ({basis})."]
    for verdict, rows in (("Worse", worse), ("Not clear", unclear)):
        each = [f"{_name(row['method'])} from epoch {row['from']:g} to {row['to']:g} ({row['before']:.4g} to "
                f"{row['after']:.4g})" for row in rows.to_dict("records")]  # fmt: skip
        said += [f"**{verdict}**: {'; '.join(each)}."] if each else []
    return said


def floor(scores: pd.DataFrame) -> list[str]:
    """Whether the floor is that of the scores, and which methods reach it."""
    last = evaluation.last_scores(scores)
    if last["floor"].isna().any():
        return ["The scores have no floor: how near to real images they come is not known."]
    if (ends := last["floor"].agg(["min", "max"])).max() > 1.001 * ends.min():
        return [f"**The floors differ**, from {ends.min():.4g} to {ends.max():.4g}: these scores were not made alike."]
    first = last.iloc[0]
    reached = last.loc[last["low"] <= last["floor"], "method"].unique()
    near = f"{_list(reached)} cannot be told from real images." if len(reached) else "No last score reaches it."
    wrong = "" if first["floor_n"] == first["n"] else "**Not the scores' floor.** "
    return [f"{wrong}Real against real is {first['floor']:.4g}, {evaluation.floor_size(first)}. {near}"]


def metrics(result: Evaluation, variety: float) -> list[str]:
    """What several scores of one generator say; `variety` is the spread of its samples as a share of the data's."""
    shares = {name: result.scores[name] for name in ("precision", "recall", "density", "coverage")}
    if variety < COLLAPSE:
        return [f"{_list(shares).capitalize()} are **not assessable**: the samples spread over {_percent(variety, 1)} "
                "of what the data does, so these shares are of one image."]
    none = [name for name, share in shares.items() if share.value == 0]
    said = [f"{_list(none).capitalize()}: 0. So far from the real images they cannot rank generators."] if none else []
    near = [name for name, score in result.scores.items() if score.low <= score.floor <= score.high]
    return [*said, f"At the floor, where a score can't tell samples from real images: {_list(near) or 'none'}."]


def memorisation(neighbours: Neighbours, variety: float, precision: float) -> list[str]:
    """Whether samples lie nearer to what was trained on, with the interval that so many samples allow.

    Not assessable for samples that are alike, or of which none lies among real images: one image is nearest to all.
    """
    n, share = len(neighbours.to_train), neighbours.closer_to_train
    if variety < COLLAPSE:
        return [f"Memorisation is **not assessable**: {n} samples that are alike are an audit of one image."]
    if precision == 0:
        return [f"Memorisation is **not assessable**: none of {n} samples lies among the real images."]
    margin = 2 * (share * (1 - share) / n) ** 0.5
    verdict = "more often than chance" if share - margin > 0.5 else "no sign of copies in this extractor's features"
    return [f"{_percent(share)} ± {100 * margin:.0f} of {n} samples lie nearer to a training image than to as many "
            f"held-out ones: {verdict}."]


def experiments(
    floors: Mapping[int, Sequence[float]], scores: pd.DataFrame, sensitivity: pd.DataFrame, factors: pd.DataFrame
) -> list[str]:
    """What the experiments of 05 found: the floor over N, and whether that of `scores` fits it; what moves a distance.

    `floors`: draws by images a side; `sensitivity`: rows of one distance; `factors`: as `scores.factors` makes them.
    """
    said, means = [], {size: np.mean(draws) for size, draws in floors.items()}
    if len(means) > 1:
        slope = np.polyfit(np.log(list(means)), np.log(list(means.values())), 1)[0]
        said.append(f"The floor falls as N^{slope:.2f} from N = {min(means):,} to {max(means):,}.")
    for size, value in scores[["n", "floor"]].drop_duplicates().itertuples(index=False):
        draws = floors.get(size, [])
        if len(draws) and not 0.8 * min(draws) <= value <= 1.25 * max(draws):
            said.append(f"**The table's floor is wrong**: {value:.4g} is said to be of N = {size:,.0f}, where real "
                        f"against real is {min(draws):.4g} to {max(draws):.4g}.")
    value = sensitivity.set_index("method")["value"]
    mirror, marker = (value[name] / value[UNCHANGED] for name in ("mirrored", "white marker in a corner"))
    said.append(f"A heart on the wrong side raises the distance {mirror:.2g} times, a white marker {marker:.2g} times; "
                f"copies of the reference score {value[COPIES]:.2g}.")
    worst = factors.loc[factors.groupby("extractor", sort=False)["value"].idxmax()]
    agree = "agree" if worst["change"].nunique() == 1 else "do not agree"
    each = ", ".join(worst["change"] + " (" + worst["extractor"] + ")")
    return [*said, f"The extractors {agree} on the worst change: {each}."]


def _name(method: str) -> str:
    return NAMES.get(method, method)


def _percent(share: float, digits: int = 0) -> str:
    return f"{100 * share:.{digits}f} %"


def _score(row: pd.Series) -> str:
    interval = "" if pd.isna(row["low"]) else f" [{row['low']:.4g}, {row['high']:.4g}]"
    return f"{row['value']:.4g}{interval}"


def _list(names: Iterable[str]) -> str:
    *most, end = [_name(name) for name in names] or [""]
    return f"{', '.join(most)} and {end}" if most else end
