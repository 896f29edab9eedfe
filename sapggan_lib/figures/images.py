"""Pictures: grids of images, scales, feature maps, and what their gray levels are."""

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from matplotlib.axes import Axes

from sapggan_lib.figures.style import PALETTE


def plot_images(
    ax: Axes, images: Sequence[np.ndarray] | np.ndarray, columns: int = 8, labels: Sequence[str] | None = None,
    side: int | None = None,
) -> Axes:  # fmt: skip
    """A grid of images, row by row. `images`: uint8 [H, W] or [H, W, 3]; each is fitted into a square cell.

    `labels` stand above their images. `side` is a cell's side in pixels (the largest image's when None).
    """
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
