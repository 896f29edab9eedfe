
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from sapggan_lib.figures import style as figures


@pytest.fixture
def ax():
    figure, ax = plt.subplots()
    yield ax
    plt.close(figure)


def test_image_grid_places_every_pixel_of_every_image(ax):
    images = [np.full((8, 8), value, np.uint8) for value in (10, 20, 30)]
    figures.plot_images(ax, images, columns=2)
    canvas = ax.images[0].get_array()
    assert [int((canvas == value).sum()) for value in (10, 20, 30)] == [64, 64, 64]
    assert canvas[0, 0] == 10 and canvas[0, 10] == 20 and canvas[10, 0] == 30


def test_image_grid_keeps_the_aspect_of_images_that_are_not_square(ax):
    figures.plot_images(ax, [np.zeros((8, 4), np.uint8), np.full((8, 8), 9, np.uint8)])
    canvas = np.asarray(ax.images[0].get_array())
    assert (canvas == 0).sum() == 8 * 4
    assert (canvas[:, :2] == 255).all() and (canvas[0:8, 2:6] == 0).all()


def test_colour_and_gray_share_a_grid(ax):
    figures.plot_images(ax, [np.zeros((4, 4), np.uint8), np.full((4, 4, 3), (1, 2, 3), np.uint8)])
    canvas = np.asarray(ax.images[0].get_array())
    assert canvas.shape[2] == 3 and canvas[0, 0].tolist() == [0, 0, 0] and canvas[0, 6].tolist() == [1, 2, 3]


def test_histograms_are_shares_of_the_pixels(ax):
    figures.plot_histograms(ax, {"all black": np.zeros((5, 5), np.uint8)}, bins=4)
    assert ax.patches[0].get_data().values.tolist() == [100, 0, 0, 0]


def test_counts_are_drawn_largest_on_top_with_their_numbers(ax):
    figures.plot_counts(ax, {"lateral": 71, "kept": 6900}, highlight="kept")
    assert [label.get_text() for label in ax.get_yticklabels()] == ["lateral", "kept"]
    assert [text.get_text() for text in ax.texts] == ["71", "6,900"]


def test_lines_by_resolution_and_gates(ax):
    figures.plot_by_resolution(ax, {"all": {4: 1.0, 8: 0.1}, "one": {4: 0.01}}, "gradient")
    assert [line.get_ydata().tolist() for line in ax.lines] == [[1.0, 0.1], [0.01]]
    ax.clear()
    figures.plot_gates(ax, {4: np.array([[0.2, 0.6], [0.4, 0.8]])})
    np.testing.assert_allclose(ax.lines[0].get_ydata(), [0.3, 0.7])


def test_loss_shapes(ax):
    figures.plot_loss_shapes(ax, {"hinge": np.array([2.0, 0.0])}, np.array([-1.0, 1.0]), "logit")
    assert ax.lines[0].get_xydata().tolist() == [[-1, 2], [1, 0]]


def test_the_architecture_names_every_block(ax):
    figures.plot_architecture(ax, pd.DataFrame([(4, 64, 1000, 10, 900), (8, 32, 500, 0, 400)]))
    texts = [text.get_text() for text in ax.texts]
    assert "4x4 · 64 maps · SE\n1,000 parameters" in texts and "8x8 · 32 maps\n400 parameters" in texts
    assert sum(text.startswith("1x1 · image") for text in texts) == 2


def test_saving_a_figure_twice_gives_the_same_bytes(ax, tmp_path):
    ax.plot([1, 2])
    first = [path.read_bytes() for path in figures.save_figure(ax.figure, tmp_path, "a")]
    second = [path.read_bytes() for path in figures.save_figure(ax.figure, tmp_path, "b")]
    assert first == second and (tmp_path / "a.png").exists() and (tmp_path / "a.pdf").exists()


def test_gated_maps_keep_their_scale_so_that_a_gate_is_contrast_lost(ax):
    before = np.stack([np.full((8, 8), value) for value in (1.0, -2.0)])
    figures.plot_gated_maps(ax, before, before * np.array([0.25, 0.75])[:, None, None], shown=1)
    assert [text.get_text() for text in ax.texts] == ["map 1", "map 0", "times 0.75", "times 0.25"]
    canvas = np.asarray(ax.images[0].get_array())
    assert [canvas[80, 60], canvas[80, 200], canvas[226, 60], canvas[226, 200]] == [0, 255, 31, 159]
