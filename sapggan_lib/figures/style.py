"""Every plot of the project: data and `ax` in, `ax` out; one style, readable without colour vision."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sapggan_lib.base.files import atomic_path

PALETTE = sns.color_palette("colorblind")
MARKERS = ["o", "s", "^", "D", "v", "P", "X"]


def use_style() -> None:
    """Set the project's matplotlib style; call once at the top of a notebook."""
    sns.set_theme(context="notebook", style="ticks", palette="colorblind")
    plt.rcParams.update(
        {
            "figure.dpi": 110,
            "figure.constrained_layout.use": True,
            "savefig.dpi": 200,
            "savefig.bbox": "tight",
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.titleweight": "bold",
            "axes.titlelocation": "left",
            "legend.frameon": False,
            "image.cmap": "gray",
            "pdf.fonttype": 42,  # text stays text in the PDF
        }
    )


def save_figure(figure: Figure, folder: Path | str, name: str) -> list[Path]:
    """Write `figure` as `folder/name.png` and `.pdf`, the same bytes for the same figure. Returns both paths."""
    paths = []
    for suffix, metadata in (("png", {"Software": None}), ("pdf", {"CreationDate": None, "Creator": None})):
        path = Path(folder) / f"{name}.{suffix}"
        with atomic_path(path) as temporary:
            figure.savefig(temporary, format=suffix, metadata=metadata)  # type: ignore[arg-type]
        paths.append(path)
    return paths


def plot_images(
    ax: Axes,
    images: Sequence[np.ndarray] | np.ndarray,
    columns: int = 8,
    labels: Sequence[str] | None = None,
    side: int | None = None,
) -> Axes:
    """A grid of images, row by row. `images`: uint8 [H, W] or [H, W, 3]; each is fitted into a square cell.

    `labels` stand above their images. `side` is a cell's side in pixels (the largest image's when None).
    """
    import cv2

    images = [np.asarray(image) for image in images]
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    side = side or max(max(image.shape[:2]) for image in images)
    gap, head = max(2, side // 64), side // 8 if labels else 0
    colour = any(image.ndim == 3 for image in images)
    shape = (rows * (side + gap + head), columns * (side + gap)) + ((3,) if colour else ())
    canvas = np.full(shape, 255, np.uint8)
    for index, image in enumerate(images):
        scale = side / max(image.shape[:2])
        height, width = (max(1, round(extent * scale)) for extent in image.shape[:2])
        method = cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST
        cell = cv2.resize(image, (width, height), interpolation=method)
        if colour and cell.ndim == 2:
            cell = np.repeat(cell[..., None], 3, axis=2)
        cell_top, cell_left = (index // columns) * (side + gap + head) + head, (index % columns) * (side + gap)
        top, left = cell_top + (side - height) // 2, cell_left + (side - width) // 2
        canvas[top : top + height, left : left + width] = cell
        if labels:
            where = (cell_left + side / 2, cell_top - head / 4)
            ax.text(*where, labels[index], ha="center", va="bottom", fontsize="small")
    ax.imshow(canvas, vmin=0, vmax=255, interpolation="none")
    ax.set_axis_off()
    return ax


def plot_histograms(ax: Axes, images: Mapping[str, np.ndarray], bins: int = 64) -> Axes:
    """Gray-level histograms, one step line per label. `images`: uint8 [H, W], or floats scaled to [0, 1]."""
    for label, image in images.items():
        values = image.astype(float).ravel() / (255 if image.dtype == np.uint8 else 1)
        counts, edges = np.histogram(values, bins=bins, range=(0, 1))
        ax.stairs(counts / counts.sum() * 100, edges, label=label, linewidth=1.6)
    ax.set(xlabel="gray level (0 black, 1 white)", ylabel="pixels (%)", xlim=(0, 1))
    ax.legend()
    return ax


def plot_counts(ax: Axes, counts: Mapping[str, int], highlight: str = "") -> Axes:
    """Horizontal bars with their numbers, largest on top; the bar named `highlight` in a colour of its own."""
    items = sorted(counts.items(), key=lambda item: item[1])
    names, values = [name for name, _ in items], [value for _, value in items]
    colours = [PALETTE[1] if name == highlight else PALETTE[0] for name in names]
    bars = ax.barh(names, values, color=colours)
    ax.bar_label(bars, labels=[f"{value:,}" for value in values], padding=4)
    ax.set(xlabel="files", xlim=(0, max(values, default=1) * 1.15))
    return ax


def plot_pyramid(ax: Axes, pyramid: Sequence[np.ndarray]) -> Axes:
    """One sample at every scale, 4x4 first, each drawn at the same size. `pyramid`: uint8 [r, r] or [r, r, 3]."""
    labels = [f"{image.shape[0]}x{image.shape[1]}" for image in pyramid]
    return plot_images(ax, pyramid, columns=len(pyramid), labels=labels)


def plot_by_resolution(ax: Axes, series: Mapping[str, Mapping[int, float]], ylabel: str) -> Axes:
    """One line per label over resolutions (4, 8, ...), on log axes. `series` maps label to value by resolution."""
    for index, (label, values) in enumerate(series.items()):
        ax.plot(list(values), list(values.values()), marker=MARKERS[index], color=PALETTE[index], label=label)
    resolutions = sorted({resolution for values in series.values() for resolution in values})
    ax.set(xlabel="resolution of the block", ylabel=ylabel, xscale="log", yscale="log")
    ax.set_xticks(resolutions, [str(resolution) for resolution in resolutions])
    ax.minorticks_off()
    ax.legend()
    return ax


def plot_loss_shapes(ax: Axes, shapes: Mapping[str, np.ndarray], logits: np.ndarray, xlabel: str) -> Axes:
    """A loss over one logit, one line per loss. `shapes`: label to values `[N]` at `logits` `[N]`."""
    styles = ["-", "--", "-.", ":"]
    for index, (label, values) in enumerate(shapes.items()):
        ax.plot(logits, values, label=label, linestyle=styles[index % len(styles)], color=PALETTE[index])
    ax.set(xlabel=xlabel, ylabel="loss")
    ax.legend()
    return ax


def plot_gates(ax: Axes, gates: Mapping[int, np.ndarray]) -> Axes:
    """SE gates by resolution: a dot per feature map (its mean over samples). `gates`: `[N, C]` in (0, 2)."""
    random = np.random.default_rng(0)
    for place, values in enumerate(gates.values()):
        means = values.mean(0)
        ax.plot(place + random.uniform(-0.3, 0.3, len(means)), means, ".", color=PALETTE[0], alpha=0.6)
    ax.axhline(1.0, color="0.4", linestyle=":")  # an untrained gate
    ax.set_xticks(range(len(gates)), [f"{resolution}" for resolution in gates])
    ax.set(xlabel="resolution of the block", ylabel="gate (1 keeps a map, 0 drops it)", ylim=(0, 2))
    return ax


def plot_architecture(ax: Axes, table: Any) -> Axes:
    """The paper's Figure 1 from real modules. `table`: rows of `inspection.parameter_table`, smallest scale first."""
    rows = len(table)
    arrow = {"arrowstyle": "-|>", "color": "0.3", "lw": 1.2}
    for index, row in enumerate(table.itertuples(index=False)):
        resolution, maps, generator, gates, discriminator = row
        y = rows - 1 - index
        attention = " · SE" if gates else ""
        for x, colour, parameters in ((0, PALETTE[0], generator), (6, PALETTE[1], discriminator)):
            ax.add_patch(plt.Rectangle((x, y + 0.15), 3, 0.7, facecolor=(*colour, 0.2), edgecolor=colour))
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


def plot_gated_maps(
    ax: Axes,
    before: np.ndarray,                   # feature maps [C, r, r]
    after: np.ndarray,                    # the same, each times its gate
    images: Sequence[np.ndarray] = (),    # up to two uint8 images to stand left of the two rows
    titles: Sequence[str] = (),           # of the images
    shown: int = 3,
) -> Axes:
    """The `shown` most and least gated feature maps of one image: before their SE gate above, after it below.

    Middle gray is 0. A map keeps its own scale in both rows, so a gate shows as contrast lost or gained.
    """
    peaks = [np.abs(maps).max((1, 2)).clip(1e-12) for maps in (before, after)]
    gates, peak = peaks[1] / peaks[0], np.maximum(*peaks)
    order = np.argsort(-gates)
    chosen = [*order[:shown], *order[-shown:]]
    cells, labels = [], []
    for row, maps in enumerate((before, after)):
        cells += list(images[row : row + 1])
        labels += list(titles[row : row + 1])
        cells += [(127.5 * (1 + maps[index] / peak[index])).astype(np.uint8) for index in chosen]
        labels += [f"times {gates[index]:.2f}" if row else f"map {index}" for index in chosen]
    plot_images(ax, cells, columns=len(cells) // 2, labels=labels, side=128)
    for text in ax.texts:
        text.set_fontsize("x-small")  # two rows: a larger label would reach into the row above
    return ax
