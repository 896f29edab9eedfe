import numpy as np
import pandas as pd

from sapggan_lib import figures


def test_the_architecture_names_every_block(ax):
    figures.plot_architecture(ax, pd.DataFrame([(4, 64, 1000, 10, 900), (8, 32, 500, 0, 400)]))
    texts = [text.get_text() for text in ax.texts]
    assert "4x4 · 64 maps · SE\n1,000 parameters" in texts and "8x8 · 32 maps\n400 parameters" in texts
    assert sum(text.startswith("1x1 · image") for text in texts) == 2


def test_lines_by_resolution_and_gates(ax):
    figures.plot_by_resolution(ax, {"all": {4: 1.0, 8: 0.1}, "one": {4: 0.01}}, "gradient")
    assert [line.get_ydata().tolist() for line in ax.lines] == [[1.0, 0.1], [0.01]]
    ax.clear()
    figures.plot_gates(ax, {4: np.array([[0.2, 0.6], [0.4, 0.6]])})
    np.testing.assert_allclose(ax.lines[0].get_ydata(), [0.2 / 2**0.5, 0])
    np.testing.assert_allclose(ax.collections[0].get_segments()[0][:, 1], 0.3 / 2**0.5)


def test_loss_shapes(ax):
    figures.plot_loss_shapes(ax, {"hinge": np.array([2.0, 0.0])}, np.array([-1.0, 1.0]), "logit")
    assert ax.lines[0].get_xydata().tolist() == [[-1, 2], [1, 0]]


def test_losses_skip_rows_without_losses(ax):
    figures.plot_losses(ax, [{"kimg": 0.5, "loss_d": 1.0, "loss_g": 2.0}, {"kimg": 1.0, "fd": 300.0}])
    assert [line.get_ydata().tolist() for line in ax.lines] == [[1.0], [2.0]]


def test_spread_is_drawn_beside_the_generators_own_and_the_datas(ax):
    row = {"spread_raw": 9.0, "spread_data": 40.0}
    figures.plot_spread(ax, {"dcgan": [{"kimg": 1, "spread": 8.0} | row, {"kimg": 2, "loss_d": 0.0}], "old": []})
    assert [list(line.get_ydata()) for line in ax.lines] == [[8.0], [9.0], [], [], [40.0, 40.0]]
    assert ax.patches[0].get_height() == 10.0 and ax.get_ylim()[0] == 0


def test_dead_steps(ax):
    figures.plot_dead_steps(ax, {"hinge": [{"kimg": 1, "dead_d": 0.25}, {"kimg": 2, "dead_d": 1.0}]})
    assert ax.lines[0].get_xydata().tolist() == [[1, 0.25], [2, 1.0]]


def test_gradients_by_scale_first_and_last(ax):
    log = [{"kimg": k, "logit_gradient": {"4": 0.5, "8": value}} for k, value in enumerate([0.1, 0.2, 0.3])]
    figures.plot_logit_gradients(ax, {"sapggan": log, "old": []})
    assert [line.get_xydata().tolist() for line in ax.lines] == [[[4, 0.5], [8, 0.1]], [[4, 0.5], [8, 0.3]]]
    assert [line.get_label() for line in ax.lines][1] == "sapggan"
    assert [label.get_text() for label in ax.get_xticklabels()] == ["4", "8"]
