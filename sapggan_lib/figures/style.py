"""The style that all figures share, readable without colour vision, and their files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from sapggan_lib.base.files import atomic_path

STYLE = mpl.rc_params_from_file(Path(__file__).with_name("sapggan.mplstyle"), use_default_template=False)
PALETTE = STYLE["axes.prop_cycle"].by_key()["color"]
MARKERS = ["o", "s", "^", "D", "v", "P", "X"]
DASHES = ["-", "--", "-.", ":"]


def use_style() -> None:
    """Set the project's matplotlib style, sapggan.mplstyle; call once at the top of a notebook."""
    mpl.rcParams.update(STYLE)


def save_figure(figure: Figure, folder: Path | str, name: str) -> list[Path]:
    """Write `figure` as `folder/name.png` and `.pdf`, the same bytes for the same figure. Returns both paths."""
    paths = []
    for suffix, metadata in (("png", {"Software": None}), ("pdf", {"CreationDate": None, "Creator": None})):
        path = Path(folder) / f"{name}.{suffix}"
        with atomic_path(path) as temporary:
            figure.savefig(temporary, format=suffix, metadata=metadata)  # type: ignore[arg-type]
        paths.append(path)
    return paths


def colour(index: int) -> Any:
    """The colour of a plot's `index`-th line."""
    return PALETTE[index % len(PALETTE)]


def marked(index: int) -> dict[str, Any]:
    """Colour and marker of a plot's `index`-th line."""
    return {"color": colour(index), "marker": MARKERS[index % len(MARKERS)]}


def dashed(index: int) -> dict[str, Any]:
    """Colour and dashes of a plot's `index`-th line, where it has too many points for markers."""
    return {"color": colour(index), "linestyle": DASHES[index % len(DASHES)]}


def distance_ticks(axis: Axis) -> None:
    """On a logarithmic axis of distances, which rarely span a decade: ticks at 1, 1.5, 2, 3, 5, 7, 10, ..."""
    axis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 5, 7)))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_locator(NullLocator())


def size_ticks(ax: Axes, sizes: Sequence[int]) -> None:
    """On a logarithmic x axis: a tick at each of `sizes` and nowhere else."""
    ax.set_xticks(sizes, [f"{size:,}" for size in sizes])
    ax.xaxis.set_minor_locator(NullLocator())
