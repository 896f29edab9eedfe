from types import SimpleNamespace

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pytest

from sapggan_lib.figures import scores as score_figures


@pytest.fixture
def ax():
    figure, ax = plt.subplots()
    yield ax
    plt.close(figure)


def test_frechet_curves_sort_by_the_axis_and_show_interval_and_floor(ax):
    row = {"method": "SAPGGAN", "kimg": 1.0, "hours": 0.1, "low": 90.0, "high": 110.0, "floor": 5.0}
    scores = [SimpleNamespace(epoch=50, value=80.0, **row), SimpleNamespace(epoch=10, value=100.0, **row)]
    score_figures.plot_frechet_curves(ax, scores)
    assert ax.lines[0].get_xdata().tolist() == [10, 50] and ax.lines[0].get_ydata().tolist() == [100.0, 80.0]
    assert ax.lines[1].get_ydata()[0] == 5.0 and ax.get_yscale() == "log" and len(ax.collections) == 1


def test_the_floor_is_drawn_at_every_size(ax):
    score_figures.plot_floor(ax, {64: [2.0, 4.0], 16: [8.0]})
    assert ax.lines[-1].get_xdata().tolist() == [16, 64] and ax.lines[-1].get_ydata().tolist() == [8.0, 3.0]


def test_groups(ax):
    score_figures.plot_groups(ax, {"hinge": [200.0, 220.0], "minmax": [250.0]}, "FD")
    assert [label.get_text() for label in ax.get_xticklabels()] == ["hinge", "minmax"]
    assert ax.collections[0].get_segments()[0][:, 1].tolist() == [210, 210]


def test_losses_skip_rows_without_losses(ax):
    score_figures.plot_losses(ax, [{"kimg": 0.5, "loss_d": 1.0, "loss_g": 2.0}, {"kimg": 1.0, "fd": 300.0}])
    assert [line.get_ydata().tolist() for line in ax.lines] == [[1.0], [2.0]]


def test_spread_is_drawn_beside_the_generators_own_and_the_datas(ax):
    row = {"spread_raw": 9.0, "spread_data": 40.0}
    score_figures.plot_spread(ax, {"dcgan": [{"kimg": 1, "spread": 8.0} | row, {"kimg": 2, "loss_d": 0.0}], "old": []})
    assert [list(line.get_ydata()) for line in ax.lines] == [[8.0], [9.0], [], [], [40.0, 40.0]]
    assert ax.patches[0].get_height() == 10.0 and ax.get_ylim()[0] == 0


def test_dead_steps(ax):
    score_figures.plot_dead_steps(ax, {"hinge": [{"kimg": 1, "dead_d": 0.25}, {"kimg": 2, "dead_d": 1.0}]})
    assert ax.lines[0].get_xydata().tolist() == [[1, 0.25], [2, 1.0]]


def test_gradients_by_scale_first_and_last(ax):
    log = [{"kimg": k, "logit_gradient": {"4": 0.5, "8": value}} for k, value in enumerate([0.1, 0.2, 0.3])]
    score_figures.plot_logit_gradients(ax, {"sapggan": log, "old": []})
    assert [line.get_xydata().tolist() for line in ax.lines] == [[[4, 0.5], [8, 0.1]], [[4, 0.5], [8, 0.3]]]
    assert [line.get_label() for line in ax.lines][1] == "sapggan"
    assert [label.get_text() for label in ax.get_xticklabels()] == ["4", "8"]


def test_seed_curves_show_every_seed_their_mean_and_their_range(ax):
    rows = [SimpleNamespace(method=f"hinge, seed {seed}", kimg=kimg, value=value)
            for seed, values in enumerate([(4.0, 2.0), (8.0, 6.0)]) for kimg, value in enumerate(values, 1)]
    score_figures.plot_seed_curves(ax, rows)
    assert [line.get_ydata().tolist() for line in ax.lines] == [[4, 2], [8, 6], [6, 4]]
    band = ax.collections[0].get_paths()[0].vertices
    assert {tuple(point) for point in band} >= {(1, 4), (1, 8), (2, 2), (2, 6)}


def test_changes_are_drawn_first_on_top_with_their_intervals(ax):
    score_figures.plot_changes(ax, {"unchanged": (2.0, 1.0, 3.0), "mirrored": (5.0, 4.0, 7.0)})
    assert [label.get_text() for label in ax.get_yticklabels()] == ["mirrored", "unchanged"]
    assert [segment[:, 0].tolist() for segment in ax.collections[0].get_segments()] == [[4, 7], [1, 3]]
    assert [line.get_xdata()[0] for line in ax.lines if line.get_linestyle() == ":"] == [2.0]


def test_neighbour_distances_are_cumulative(ax):
    score_figures.plot_neighbours(ax, {"train": np.array([3.0, 1.0]), "held out": np.array([2.0, 2.0])})
    x, y = ax.lines[0].get_data()
    assert y[x <= 1].max() == 0.5 and y[x <= 3].max() == 1
