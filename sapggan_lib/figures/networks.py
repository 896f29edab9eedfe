"""Networks and their training: blocks, gates, losses, and the signs of health in a log."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from sapggan_lib.figures.style import PALETTE, dashed, marked, size_ticks
from sapggan_lib.training import COLLAPSE, Log, curve


def plot_architecture(ax: Axes, table: pd.DataFrame) -> Axes:
    """The paper's Figure 1 from real modules. `table`: as `lessons.architecture.parameter_table` makes it."""
    rows = len(table)
    arrow = {"arrowstyle": "-|>", "color": "0.3", "lw": 1.2}
    for index, row in enumerate(table.itertuples(index=False)):
        resolution, maps, generator, gates, discriminator = row
        y = rows - 1 - index
        attention = " · SE" if gates else ""
        for x, colour, parameters in ((0, PALETTE[0], generator), (6, PALETTE[1], discriminator)):
            ax.add_patch(plt.Rectangle((x, y + 0.15), 3, 0.7, facecolor=(colour, 0.2), edgecolor=colour))
            text = f"{resolution}x{resolution} · {maps} maps{attention}\n{parameters:,} parameters"
            ax.text(x + 1.5, y + 0.5, text, ha="center", va="center", fontsize="x-small")
            ends = ((x + 1.5, y + 1.15), (x + 1.5, y + 0.85))
            if index:
                ax.annotate("", *(ends[::-1] if x == 0 else ends), arrowprops=arrow)
        ax.annotate("", (6, y + 0.5), (3, y + 0.5), arrowprops=arrow)
        label = f"1x1 · image {resolution}x{resolution} · 1x1"
        ax.text(4.5, y + 0.55, label, ha="center", va="bottom", fontsize="x-small")
    columns = ((1.5, "generator", "latent vector enters above"), (7.5, "discriminator", "logit leaves above"))
    for middle, head, foot in columns:
        ax.text(middle, rows + 0.45, head, ha="center", weight="bold")
        ax.text(middle, rows + 0.12, foot, ha="center", fontsize="x-small")
    ax.text(7.5, -0.25, "real images enter at all scales too", ha="center", fontsize="x-small")
    ax.set(xlim=(-0.2, 9.2), ylim=(-0.4, rows + 0.8))
    ax.set_axis_off()
    return ax


def plot_by_resolution(ax: Axes, series: Mapping[str, Mapping[int, float]], ylabel: str) -> Axes:
    """One line per label over resolutions (4, 8, ...), on log axes. `series` maps label to value by resolution."""
    for index, (label, values) in enumerate(series.items()):
        ax.plot(list(values), list(values.values()), label=label, **marked(index))
    ax.set(xlabel="resolution of the block", ylabel=ylabel, xscale="log", yscale="log")
    size_ticks(ax, sorted({resolution for values in series.values() for resolution in values}))
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2, fontsize="small")  # above: lines may be anywhere
    return ax


def plot_gates(ax: Axes, gates: Mapping[int, np.ndarray]) -> Axes:
    """How much SE gates differ between images and between maps, by resolution. `gates`: `[N, C]` in (0, 2).

    A dot for each map: its gate's standard deviation over images. A bar: that of the maps' mean gates.
    """
    random = np.random.default_rng(0)
    for place, values in enumerate(gates.values()):
        x = place + random.uniform(-0.3, 0.3, values.shape[1])
        (dots,) = ax.plot(x, values.std(0, ddof=1), ".", color=PALETTE[0], alpha=0.6)
        bar = ax.hlines(values.mean(0).std(ddof=1), place - 0.4, place + 0.4, PALETTE[1], lw=3)
    kinds = ["from image to image, a dot for each map", "from map to map"]
    ax.legend([dots, bar], kinds, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2)  # dots may be anywhere
    ax.set_xticks(range(len(gates)), [f"{resolution}" for resolution in gates])
    ax.set(xlabel="resolution of the block", ylabel="standard deviation of the gate", ylim=(-0.02, 1))
    return ax


def draw_lines(ax: Axes, lines: Mapping[str, tuple[Sequence[float], Sequence[float]]], **axes: str) -> Axes:
    """Lines with a legend. `lines`: label to x and y, `[N]` each; `axes`: their names."""
    for index, (label, (x, y)) in enumerate(lines.items()):
        ax.plot(x, y, label=label, **dashed(index))
    ax.set(**axes)
    ax.legend()
    return ax


def plot_loss_shapes(ax: Axes, shapes: Mapping[str, Sequence[float]], logits: Sequence[float], xlabel: str) -> Axes:
    """A loss over one logit, one line per loss. `shapes`: label to values `[N]` at `logits` `[N]`."""
    return draw_lines(ax, {label: (logits, values) for label, values in shapes.items()}, xlabel=xlabel, ylabel="loss")


def plot_losses(ax: Axes, log: Log) -> Axes:
    """Losses of both networks over thousands of images shown. `log`: rows of a training run's log.jsonl."""
    lines = {"discriminator": curve(log, "loss_d"), "generator": curve(log, "loss_g")}
    return draw_lines(ax, lines, xlabel="kimg", ylabel="loss")


def plot_spread(ax: Axes, logs: Mapping[str, Log]) -> Axes:
    """Spread of each training's samples over kimg, the raw generator's dashed; the data's spread dotted, collapse gray.

    `logs`: label to rows of log.jsonl, all of the same data.
    """
    for index, (label, log) in enumerate(logs.items()):
        ax.plot(*curve(log, "spread"), label=label, markersize=4, **marked(index))
        ax.plot(*curve(log, "spread_raw"), linestyle="--", alpha=0.5, markersize=4, **marked(index))
    for data in [value for log in logs.values() for value in curve(log, "spread_data")[1]][:1]:
        ax.axhline(data, color="0.4", linestyle=":", label="data")
        ax.axhspan(0, COLLAPSE * data, color="0.9", lw=0, label="collapse")
    ax.set(xlabel="kimg", ylabel="spread of samples (gray levels)", ylim=(0, 1.4 * ax.get_ylim()[1]))
    ax.legend(fontsize="small", ncols=2, loc="upper left")  # above the curves
    return ax


def plot_dead_steps(ax: Axes, logs: Mapping[str, Log]) -> Axes:
    """Share of steps in which the discriminator's loss is exactly 0, over kimg, one line per training."""
    draw_lines(ax, {label: curve(log, "dead_d") for label, log in logs.items()}, xlabel="kimg")
    ax.set(ylabel="dead steps of the discriminator (share)", ylim=(-0.03, 1.03))
    ax.legend(fontsize="small")
    return ax


def plot_logit_gradients(ax: Axes, logs: Mapping[str, Log]) -> Axes:
    """Norm of the logit's gradient over the side of its image: each training's first dashed, its last solid."""
    sides: set[int] = set()
    for index, (label, log) in enumerate(logs.items()):
        gradients = curve(log, "logit_gradient")[1]
        lines: list[dict[str, Any]] = [{"linestyle": "--", "markerfacecolor": "none"}, {"label": label}]
        for gradient, line in zip(gradients[:1] + gradients[-1:], lines, strict=False):
            by_side = {int(side): norm for side, norm in gradient.items()}
            sides |= by_side.keys()
            ax.plot(list(by_side), list(by_side.values()), **marked(index), **line)
    ax.set(xlabel="side of the image (pixels)", ylabel="gradient of the logit", xscale="log", yscale="log")
    size_ticks(ax, sorted(sides))
    ax.legend(fontsize="small")
    return ax
