import numpy as np

from sapggan_lib import figures
from sapggan_lib.evaluation import score_frame


def test_frechet_curves_sort_by_the_axis_and_show_interval_and_floor(ax):
    row = {"method": "SAPGGAN", "kimg": 1.0, "hours": 0.1, "low": 90.0, "high": 110.0, "floor": 5.0, "metric": "FD"}
    rows = [row | {"epoch": 50, "value": 80.0}, row | {"epoch": 10, "value": 100.0}]
    figures.plot_frechet_curves(ax, score_frame(rows))
    assert ax.lines[0].get_xdata().tolist() == [10, 50] and ax.lines[0].get_ydata().tolist() == [100.0, 80.0]
    assert ax.lines[1].get_ydata()[0] == 5.0 and ax.get_yscale() == "log" and len(ax.collections) == 1
    assert ax.get_ylabel() == "FD"


def test_curves_without_intervals_or_floor_are_lines_alone(ax):
    figures.plot_frechet_curves(ax, score_frame({"method": "dcgan", "epoch": e, "value": 9.0 / e} for e in (1, 2)))
    assert len(ax.lines) == 1 and not ax.collections[0].get_paths()


def test_the_floor_is_drawn_at_every_size(ax):
    figures.plot_floor(ax, {64: [2.0, 4.0], 16: [8.0]})
    assert ax.lines[-1].get_xdata().tolist() == [16, 64] and ax.lines[-1].get_ydata().tolist() == [8.0, 3.0]


def test_groups(ax):
    rows = [("hinge, seed 0", 200.0), ("hinge, seed 1", 220.0), ("minmax, seed 0", 250.0)]
    figures.plot_groups(ax, score_frame({"method": method, "value": value, "metric": "FD"} for method, value in rows))
    assert [label.get_text() for label in ax.get_xticklabels()] == ["hinge", "minmax"]
    assert ax.collections[0].get_segments()[0][:, 1].tolist() == [210, 210]


def test_seed_curves_show_every_seed_their_mean_and_their_range(ax):
    rows = [{"method": f"hinge, seed {seed}", "kimg": kimg, "value": value, "metric": "FD"}
            for seed, values in enumerate([(4.0, 2.0), (8.0, 6.0)]) for kimg, value in enumerate(values, 1)]
    figures.plot_seed_curves(ax, score_frame(rows))
    assert [line.get_ydata().tolist() for line in ax.lines] == [[4, 2], [8, 6], [6, 4]]
    band = ax.collections[0].get_paths()[0].vertices
    assert {tuple(point) for point in band} >= {(1, 4), (1, 8), (2, 2), (2, 6)}


def test_changes_are_drawn_first_on_top_with_their_intervals(ax):
    rows = [("unchanged", 2.0, 1.0, 3.0), ("mirrored", 5.0, 4.0, 7.0)]
    names = ("method", "value", "low", "high", "metric")
    figures.plot_changes(ax, score_frame(dict(zip(names, (*row, "FD"), strict=True)) for row in rows))
    assert [label.get_text() for label in ax.get_yticklabels()] == ["mirrored", "unchanged"]
    assert [segment[:, 0].tolist() for segment in ax.collections[0].get_segments()] == [[4, 7], [1, 3]]
    assert [line.get_xdata()[0] for line in ax.lines if line.get_linestyle() == ":"] == [2.0]


def test_neighbour_distances_are_cumulative(ax):
    figures.plot_neighbours(ax, {"train": np.array([3.0, 1.0]), "held out": np.array([2.0, 2.0])})
    x, y = ax.lines[0].get_data()
    assert y[x <= 1].max() == 0.5 and y[x <= 3].max() == 1
