"""Plots of trainings and of their scores, in the manner of `figures`: data and `ax` in, `ax` out."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from sapggan_lib.figures.style import MARKERS, PALETTE
from sapggan_lib.training import COLLAPSE, Log, curve


def plot_losses(ax: Axes, log: Sequence[Mapping[str, Any]]) -> Axes:
    """Losses of both networks over thousands of images shown. `log`: rows of a training run's log.jsonl."""
    rows = [row for row in log if "loss_d" in row]
    kimg = [row["kimg"] for row in rows]
    ax.plot(kimg, [row["loss_d"] for row in rows], label="discriminator")
    ax.plot(kimg, [row["loss_g"] for row in rows], label="generator", linestyle="--")
    ax.set(xlabel="kimg", ylabel="loss")
    ax.legend()
    return ax


def plot_spread(ax: Axes, logs: Mapping[str, Log]) -> Axes:
    """Spread of each training's samples over kimg, the raw generator's dashed; the data's spread dotted, collapse gray.

    `logs`: label to rows of log.jsonl, all of the same data.
    """
    for index, (label, log) in enumerate(logs.items()):
        style = {"color": PALETTE[index % len(PALETTE)], "marker": MARKERS[index % len(MARKERS)], "markersize": 4}
        ax.plot(*curve(log, "spread"), label=label, **style)
        ax.plot(*curve(log, "spread_raw"), linestyle="--", alpha=0.5, **style)
    for data in [value for log in logs.values() for value in curve(log, "spread_data")[1]][:1]:
        ax.axhline(data, color="0.4", linestyle=":", label="data")
        ax.axhspan(0, COLLAPSE * data, color="0.9", lw=0, label="collapse")
    ax.set(xlabel="kimg", ylabel="spread of samples (gray levels)", ylim=(0, 1.4 * ax.get_ylim()[1]))
    ax.legend(fontsize="small", ncols=2, loc="upper left")  # above the curves
    return ax


def plot_dead_steps(ax: Axes, logs: Mapping[str, Log]) -> Axes:
    """Share of steps in which the discriminator's loss is exactly 0, over kimg, one line per training."""
    for index, (label, log) in enumerate(logs.items()):
        ax.plot(*curve(log, "dead_d"), label=label, color=PALETTE[index % len(PALETTE)], ls=["-", "--", ":"][index % 3])
    ax.set(xlabel="kimg", ylabel="dead steps of the discriminator (share)", ylim=(-0.03, 1.03))
    ax.legend(fontsize="small")
    return ax


def plot_logit_gradients(ax: Axes, logs: Mapping[str, Log]) -> Axes:
    """Norm of the logit's gradient over the side of its image: each training's first dashed, its last solid."""
    sides = set()
    lines: list[dict[str, Any]] = [{"linestyle": "--", "markerfacecolor": "none"}, {}]
    for index, (label, log) in enumerate(logs.items()):
        lines[1]["label"] = label
        gradients = curve(log, "logit_gradient")[1]
        for gradient, line in zip(gradients[:1] + gradients[-1:], lines, strict=False):
            x = [int(side) for side in gradient]
            sides.update(x)
            style = {"color": PALETTE[index % len(PALETTE)], "marker": MARKERS[index % len(MARKERS)]}
            ax.plot(x, list(gradient.values()), **style, **line)
    ax.set(xlabel="side of the image (pixels)", ylabel="gradient of the logit", xscale="log", yscale="log")
    ax.set_xticks(sorted(sides), [str(side) for side in sorted(sides)])
    ax.xaxis.set_minor_locator(NullLocator())
    ax.legend(fontsize="small")
    return ax


def plot_frechet_curves(ax: Axes, scores: Sequence[Any], metric: str = "FD", by: str = "epoch") -> Axes:
    """Distance over `by` (epoch, kimg or hours), one line per method with its interval; the floor dotted.

    `scores`: `evaluation.tables.Score`, lower is better; log scale, since distances fall by orders of magnitude.
    """
    methods = list(dict.fromkeys(score.method for score in scores))
    for index, method in enumerate(methods):
        rows = sorted((score for score in scores if score.method == method), key=lambda score: getattr(score, by))
        x = [getattr(score, by) for score in rows]
        colour = PALETTE[index % len(PALETTE)]
        ax.plot(x, [score.value for score in rows], marker=MARKERS[index % len(MARKERS)], color=colour, label=method)
        if all(score.low is not None for score in rows):
            low, high = [score.low for score in rows], [score.high for score in rows]
            ax.fill_between(x, low, high, color=colour, alpha=0.2, lw=0)
    floors = [score.floor for score in scores if score.floor is not None]
    if floors:
        ax.axhline(float(np.mean(floors)), color="0.4", linestyle=":", label="real against real, same N")
    ax.set(xlabel={"hours": "device hours"}.get(by, by), ylabel=metric, yscale="log")
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.yaxis.set_major_formatter("{x:g}")
    ax.yaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_locator(MaxNLocator(4))
    ax.legend()
    return ax


def plot_seed_curves(ax: Axes, scores: Sequence[Any], ylabel: str = "FD") -> Axes:
    """Distance over kimg, one colour per group: thin lines for the seeds, a thick one at their mean, the range shaded.

    `scores`: `evaluation.tables.Score` of trainings labelled "group, seed N", all scored at the same kimg.
    """
    groups = list(dict.fromkeys(score.method.split(",")[0] for score in scores))
    for index, group in enumerate(groups):
        colour, lines = PALETTE[index % len(PALETTE)], []
        for label in dict.fromkeys(score.method for score in scores if score.method.split(",")[0] == group):
            rows = sorted((score for score in scores if score.method == label), key=lambda score: score.kimg)
            kimg, values = [row.kimg for row in rows], [row.value for row in rows]
            lines.append(values)
            ax.plot(kimg, values, color=colour, lw=0.8, alpha=0.6)
        ax.plot(kimg, np.mean(lines, axis=0), color=colour, lw=2, marker=MARKERS[index % len(MARKERS)], label=group)
        ax.fill_between(kimg, np.min(lines, axis=0), np.max(lines, axis=0), color=colour, alpha=0.15, lw=0)
    ax.set(xlabel="kimg", ylabel=ylabel)
    ax.legend()
    return ax


def plot_groups(ax: Axes, groups: Mapping[str, Sequence[float]], ylabel: str) -> Axes:
    """One dot for each value of a group, and a bar at their mean."""
    for place, values in enumerate(groups.values()):
        ax.plot([place] * len(values), values, "o", color=PALETTE[place % len(PALETTE)], alpha=0.7)
        ax.hlines(np.mean(values), place - 0.25, place + 0.25, color=PALETTE[place % len(PALETTE)], lw=2)
    ax.set_xticks(range(len(groups)), list(groups))
    ax.set(ylabel=ylabel, xlim=(-0.6, len(groups) - 0.4))
    return ax


def plot_floor(ax: Axes, floors: Mapping[int, Sequence[float]], metric: str = "FD") -> Axes:
    """Distances between halves of the same real images, over the images per half; dots, and a line at the means."""
    sizes = sorted(floors)
    for size in sizes:
        ax.plot([size] * len(floors[size]), floors[size], "o", color=PALETTE[0], alpha=0.6, mec="none")
    ax.plot(sizes, [np.mean(floors[size]) for size in sizes], color=PALETTE[0])
    ax.set(xlabel="images per side", ylabel=f"{metric}, real against real", xscale="log", ylim=(0, None))
    ax.set_xticks(sizes, [f"{size:,}" for size in sizes])
    ax.minorticks_off()
    return ax


def plot_changes(ax: Axes, changes: Mapping[str, tuple[float, float, float]], metric: str = "FD") -> Axes:
    """A dot with its interval for each change, the first one's value dotted. Values: (value, low, high)."""
    names = list(changes)[::-1]
    values = np.array([changes[name] for name in names])
    errors = np.abs(values[:, 1:] - values[:, :1]).T
    ax.errorbar(values[:, 0], range(len(names)), xerr=errors, fmt="o", color=PALETTE[0], capsize=2)
    ax.axvline(changes[names[-1]][0], color="0.4", linestyle=":")
    ax.set_yticks(range(len(names)), names)
    ax.set(xlabel=metric, xscale="log")
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.xaxis.set_major_formatter("{x:g}")
    ax.xaxis.set_minor_locator(NullLocator())
    return ax


def plot_neighbours(ax: Axes, distances: Mapping[str, np.ndarray]) -> Axes:
    """Cumulative distances to the nearest image of a set, one line per label. `distances`: label to `[N]`."""
    for index, (label, values) in enumerate(distances.items()):
        style = ["-", "--", ":"][index % 3]
        ax.ecdf(values, label=label, color=PALETTE[index], linestyle=style)
    ax.set(xlabel="distance to the nearest image (features)", ylabel="share of images", ylim=(0, 1))
    ax.legend()
    return ax
