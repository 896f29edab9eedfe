import numpy as np
import pytest

from sapggan_lib import figures
from sapggan_lib.evaluation import improvement, score_frame


def words(ax):
    legend = ax.get_legend()
    return " ".join(text.get_text() for text in [legend.get_title(), *legend.get_texts()])


def test_frechet_curves_sort_by_the_axis_and_show_interval_and_floor(ax):
    row = {"hours": 0.1, "floor": 50.0, "floor_n": 9, "n": 9, "metric": "FD"}
    rows = [row | {"method": f"sapggan, seed {seed}", "epoch": epoch, "kimg": epoch, "value": value + seed}
            for seed in (0, 2) for epoch, value in ((50, 80.0), (10, 100.0))]  # fmt: skip
    figures.plot_frechet_curves(ax, score_frame(rows))
    assert ax.lines[0].get_xdata().tolist() == [10, 50] and ax.lines[0].get_ydata().tolist() == [101.0, 81.0]
    assert ax.get_yscale() == "log" and ax.get_ylabel() == "FD"
    bar = ax.collections[0].get_segments()[0][:, 1]
    assert bar.mean() == pytest.approx(101) and np.ptp(bar) == pytest.approx(2 * 12.706, rel=1e-3)  # t of 1, error 1
    assert [line.get_ydata()[0] for line in ax.lines if line.get_linestyle() == ":"] == [50.0]
    assert "real against real, N = 9" in words(ax) and "mean of 2 seeds, 95 % intervals" in words(ax)


def test_curves_of_one_seed_have_no_bars_and_say_so(ax):
    rows = [{"method": "dcgan", "epoch": e, "kimg": e, "value": 9.0 / e, "low": 1.0, "high": 9.0} for e in (1, 2)]
    figures.plot_frechet_curves(ax, score_frame(rows))
    bars = [segment for line in ax.collections for segment in line.get_segments()]
    assert not any(np.isfinite(bar).all() and len(bar) for bar in bars)
    assert "one seed: no interval over seeds" in words(ax)


def test_a_floor_far_below_does_not_squeeze_the_curves_and_one_of_other_images_says_so(ax):
    row = {"method": "dcgan", "kimg": 1.0, "value": 90.0, "floor": 5.0, "floor_n": 4, "n": 9, "metric": "FD"}
    figures.plot_frechet_curves(ax, score_frame([row | {"epoch": e, "value": 80.0 + 10 * e} for e in (1, 2)]))
    assert ax.get_ylim()[0] > 10 and "N = 4 and so higher than at N = 9" in words(ax) and "5, far below" in words(ax)


def test_methods_stand_beside_each_other(ax):
    rows = [{"method": m, "epoch": e, "kimg": e, "value": 9.0 / e} for m in ("dcgan", "pggan") for e in (1, 2)]
    figures.plot_frechet_curves(ax, score_frame(rows))
    first, second = (container[0].get_xdata() for container in ax.containers)
    assert (first < second).all()


def test_improvement_is_a_row_for_each_pair_in_their_order(ax):
    rows = [{"method": f"{m}, seed {s}", "kimg": 1, "value": v + s, "metric": "FD", "extractor": "lite"}
            for m, v in (("hinge", 1.0), ("minmax", 1.5), ("ra-hinge", 9.0)) for s in (0, 1)]  # fmt: skip
    figures.plot_improvement(ax, improvement(score_frame(rows)))
    assert [label.get_text() for label in ax.get_yticklabels()][-1] == "hinge below minmax"
    assert ax.containers[0][0].get_xdata().tolist() == [1, 1, 0.75] and "2 trainings of each" in ax.get_xlabel()


def test_gaussians_are_drawn_at_their_means_with_ellipses_at_two_deviations(ax):
    points = np.array([[0.0, 0.0], [2.0, 0.0], [0.0, 4.0], [2.0, 4.0]])
    figures.plot_gaussians(ax, {"real": points, "generated": points + 1})
    dots, ellipse, cross = ax.lines[:3]
    assert dots.get_xdata().tolist() == [0, 2, 0, 2] and cross.get_xdata()[0] == 1 and cross.get_ydata()[0] == 2
    assert np.ptp(ellipse.get_xdata()) == pytest.approx(4 * points[:, 0].std(ddof=1), rel=1e-2)


def test_the_floor_is_drawn_at_every_size(ax):
    figures.plot_floor(ax, {64: [2.0, 4.0], 16: [8.0]})
    assert ax.lines[-1].get_xdata().tolist() == [16, 64] and ax.lines[-1].get_ydata().tolist() == [8.0, 3.0]


def test_groups(ax):
    rows = [("hinge, seed 0", 200.0), ("hinge, seed 1", 220.0), ("minmax, seed 0", 250.0)]
    figures.plot_groups(ax, score_frame({"method": method, "value": value, "metric": "FD"} for method, value in rows))
    assert [label.get_text() for label in ax.get_xticklabels()] == ["hinge", "minmax"]
    assert ax.collections[0].get_segments()[0][:, 1].tolist() == [210, 210]


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
