import numpy as np

from sapggan_lib import figures


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


def test_gated_maps_keep_their_scale_so_that_a_gate_is_contrast_lost(ax):
    before = np.stack([np.full((8, 8), value) for value in (1.0, -2.0)])
    figures.plot_gated_maps(ax, before, before * np.array([0.25, 0.75])[:, None, None], shown=1)
    assert [text.get_text() for text in ax.texts] == ["map 1", "map 0", "times 0.75", "times 0.25"]
    canvas = np.asarray(ax.images[0].get_array())
    assert [canvas[80, 60], canvas[80, 200], canvas[226, 60], canvas[226, 200]] == [0, 255, 31, 159]


def test_histograms_are_shares_of_the_pixels(ax):
    figures.plot_histograms(ax, {"all black": np.zeros((5, 5), np.uint8)}, bins=4)
    assert ax.patches[0].get_data().values.tolist() == [100, 0, 0, 0]


def test_counts_are_drawn_largest_on_top_with_their_numbers(ax):
    figures.plot_counts(ax, {"lateral": 71, "kept": 6900}, highlight="kept")
    assert [label.get_text() for label in ax.get_yticklabels()] == ["lateral", "kept"]
    assert [text.get_text() for text in ax.texts] == ["71", "6,900"]
