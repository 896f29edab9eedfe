"""Scores: over a training, over seeds, of real against real images. Frames are those of `evaluation.score_frame`."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from sapggan_lib.figures.style import PALETTE, colour, dashed, distance_ticks, marked, size_ticks


def plot_frechet_curves(ax: Axes, scores: pd.DataFrame, by: str = "epoch") -> Axes:
    """Distance over `by` (epoch, kimg or hours), one line per method with its interval; the floor dotted.

    Lower is better; log scale, since distances fall by orders of magnitude.
    """
    for index, (method, rows) in enumerate(scores.groupby("method", sort=False)):
        rows = rows.sort_values(by)
        ax.plot(rows[by], rows["value"], label=method, **marked(index))
        ax.fill_between(rows[by], rows["low"], rows["high"], color=colour(index), alpha=0.2, lw=0)
    if scores["floor"].notna().any():
        ax.axhline(scores["floor"].mean(), color="0.4", linestyle=":", label="real against real, same N")
    ax.set(xlabel={"hours": "device hours"}.get(by, by), ylabel=scores["metric"].iloc[0], yscale="log")
    distance_ticks(ax.yaxis)
    ax.xaxis.set_major_locator(MaxNLocator(4))
    ax.legend()
    return ax


def plot_seed_curves(ax: Axes, scores: pd.DataFrame) -> Axes:
    """Distance over kimg, one colour per method: thin lines for the seeds, a thick one at their mean, the range shaded.

    Each seed of a method has scores at the same kimg.
    """
    for index, (method, rows) in enumerate(scores.groupby("method", sort=False)):
        curves = rows.pivot(index="kimg", columns="seed", values="value")
        ax.plot(curves.index, curves, color=colour(index), lw=0.8, alpha=0.6)
        ax.plot(curves.index, curves.mean(axis=1), lw=2, label=method, **marked(index))
        ax.fill_between(curves.index, curves.min(axis=1), curves.max(axis=1), color=colour(index), alpha=0.15, lw=0)
    ax.set(xlabel="kimg", ylabel=scores["metric"].iloc[0])
    ax.legend()
    return ax


def plot_groups(ax: Axes, scores: pd.DataFrame) -> Axes:
    """One dot for each score of a method, and a bar at their mean."""
    groups = scores.groupby("method", sort=False)["value"]
    for place, (_, values) in enumerate(groups):
        ax.plot([place] * len(values), values, "o", color=colour(place), alpha=0.7)
        ax.hlines(values.mean(), place - 0.25, place + 0.25, color=colour(place), lw=2)
    ax.set_xticks(range(len(groups)), [str(method) for method, _ in groups])
    ax.set(ylabel=scores["metric"].iloc[0], xlim=(-0.6, len(groups) - 0.4))
    return ax


def plot_floor(ax: Axes, floors: Mapping[int, Sequence[float]], metric: str = "FD") -> Axes:
    """Distances between halves of the same real images, over the images per half; dots, and a line at the means."""
    sizes = sorted(floors)
    for size in sizes:
        ax.plot([size] * len(floors[size]), floors[size], "o", color=PALETTE[0], alpha=0.6, mec="none")
    ax.plot(sizes, [np.mean(floors[size]) for size in sizes], color=PALETTE[0])
    ax.set(xlabel="images per side", ylabel=f"{metric}, real against real", xscale="log", ylim=(0, None))
    size_ticks(ax, sizes)
    return ax


def plot_changes(ax: Axes, scores: pd.DataFrame) -> Axes:
    """A dot with its interval for each method (here: a change of the images), the first one's value dotted."""
    rows = scores[::-1]
    errors = [rows["value"] - rows["low"], rows["high"] - rows["value"]]
    ax.errorbar(rows["value"], range(len(rows)), xerr=errors, fmt="o", color=PALETTE[0], capsize=2)
    ax.axvline(scores["value"].iloc[0], color="0.4", linestyle=":")
    ax.set_yticks(range(len(rows)), rows["method"])
    ax.set(xlabel=scores["metric"].iloc[0], xscale="log")
    distance_ticks(ax.xaxis)
    return ax


def plot_neighbours(ax: Axes, distances: Mapping[str, np.ndarray]) -> Axes:
    """Cumulative distances to the nearest image of a set, one line per label. `distances`: label to `[N]`."""
    for index, (label, values) in enumerate(distances.items()):
        ax.ecdf(values, label=label, **dashed(index))
    ax.set(xlabel="distance to the nearest image (features)", ylabel="share of images", ylim=(0, 1))
    ax.legend()
    return ax
