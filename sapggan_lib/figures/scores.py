"""Scores: over a training, over seeds, of real against real images. Frames are those of `evaluation.score_frame`."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from sapggan_lib import evaluation
from sapggan_lib.evaluation import NAMES
from sapggan_lib.figures.style import PALETTE, colour, dashed, distance_ticks, marked, size_ticks

FAR = 2  # a floor so many times below all scores would squeeze them: it is named and not drawn


def plot_frechet_curves(ax: Axes, scores: pd.DataFrame, by: str = "epoch") -> Axes:
    """Mean distance over `by` (epoch, kimg or hours), a line per method with bars for its interval over seeds.

    Lower is better; log scale. Bars stand a little beside each other; a method with one seed has none. The floor is a
    dotted line, or words where it is far below, and its number of images is named.
    """
    means = evaluation.over_seeds(scores, "kimg" if by == "hours" else by)
    groups = list(means.groupby("method", sort=False))
    width = 0.015 * np.ptp(means[by])
    for index, (method, rows) in enumerate(groups):
        rows = rows.sort_values(by)
        places = rows[by] + width * (index - (len(groups) - 1) / 2)
        errors = [rows["value"] - rows["low"], rows["high"] - rows["value"]]
        name = NAMES.get(str(method), method)
        ax.errorbar(places, rows["value"], yerr=errors, label=name, capsize=2, **marked(index))
    first, floor = means.iloc[0], means["floor"].max()
    ax.set(xlabel={"hours": "device hours"}.get(by, by), ylabel=first["metric"], yscale="log")
    if floor > 0:
        label = f"real against real, {evaluation.floor_size(first)}"
        if means["value"].min() > FAR * floor:
            ax.plot([], [], " ", label=f"{label}: {floor:.3g}, far below")
        else:
            ax.axhline(floor, color="0.4", linestyle=":", label=label)
    distance_ticks(ax.yaxis)
    ax.xaxis.set_major_locator(MaxNLocator(4, integer=by == "epoch"))
    seeds = means["seeds"].min()
    title = f"mean of {seeds} seeds, 95 % intervals" if seeds > 1 else "one seed: no interval over seeds"
    handles, labels = ax.get_legend_handles_labels()
    if floor > 0:                       # matplotlib puts lines before error bars
        handles, labels = handles[1:] + handles[:1], labels[1:] + labels[:1]
    ax.legend(handles, labels, title=title, loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2, fontsize="small",
              columnspacing=1, handletextpad=0.5)
    return ax


def plot_groups(ax: Axes, scores: pd.DataFrame) -> Axes:
    """One dot for each score of a method, and a bar at their mean."""
    groups = scores.groupby("method", sort=False)["value"]
    for place, (_, values) in enumerate(groups):
        ax.plot([place] * len(values), values, "o", color=colour(place), alpha=0.7)
        ax.hlines(values.mean(), place - 0.25, place + 0.25, color=colour(place), lw=2)
    ax.set_xticks(range(len(groups)), [NAMES.get(str(method), str(method)) for method, _ in groups])
    ax.set(ylabel=scores["metric"].iloc[0], xlim=(-0.6, len(groups) - 0.4))
    return ax


def plot_improvement(ax: Axes, pairs: pd.DataFrame) -> Axes:
    """Probability of improvement of each two methods with its interval, a row each; dotted at a half, where none is.

    `pairs`: as `evaluation.improvement` makes them.
    """
    rows = pairs[::-1].replace(NAMES)
    errors = np.array([rows["probability"] - rows["low"], rows["high"] - rows["probability"]], float)
    ax.errorbar(rows["probability"], range(len(rows)), xerr=errors, fmt="o", color=PALETTE[0], capsize=2)
    ax.axvline(0.5, color="0.4", linestyle=":")
    ax.set_yticks(range(len(rows)), rows["method"] + " below " + rows["other"])
    ax.set(xlabel=f"probability, by {rows['seeds'].min()} trainings of each", xlim=(-0.05, 1.05))
    ax.set(ylim=(-0.6, len(rows) - 0.4))
    return ax


def plot_floor(ax: Axes, floors: Mapping[int, Sequence[float]], metric: str = "FD") -> Axes:
    """Distances between halves of the same real images, over the images per half; dots, and a line at the means.

    Both axes logarithmic: a power of N is a straight line.
    """
    sizes = sorted(floors)
    for size in sizes:
        ax.plot([size] * len(floors[size]), floors[size], "o", color=PALETTE[0], alpha=0.6, mec="none")
    ax.plot(sizes, [np.mean(floors[size]) for size in sizes], color=PALETTE[0])
    ax.set(xlabel="images per side", ylabel=f"{metric}, real against real", xscale="log", yscale="log")
    size_ticks(ax, sizes)
    distance_ticks(ax.yaxis)
    return ax


def plot_gaussians(ax: Axes, sides: Mapping[str, np.ndarray]) -> Axes:
    """Two features of each side as dots, with the Gaussian fitted to them: its mean, and the ellipse at two deviations.

    `sides`: label to features `[N, 2]`.
    """
    angles = np.linspace(0, 2 * np.pi, 100)
    for index, (label, points) in enumerate(sides.items()):
        values, vectors = np.linalg.eigh(np.cov(points.T))
        circle = 2 * np.stack([np.cos(angles), np.sin(angles)])                          # [2, 100]
        ellipse = points.mean(0)[:, None] + vectors @ (np.sqrt(values.clip(0))[:, None] * circle)
        ax.plot(*points.T, ".", color=colour(index), alpha=0.4, mec="none")
        ax.plot(*ellipse, label=label, **dashed(index))
        ax.plot(*points.mean(0), "P", color=colour(index), mec="white", ms=9)
    ax.set(xlabel="first component of the features", ylabel="second")
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=2)
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
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2)
    return ax
