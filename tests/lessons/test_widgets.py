import io

import ipywidgets
import matplotlib
import numpy as np
import pytest
import torch

matplotlib.use("Agg")
from matplotlib.figure import Figure

from sapggan_lib.base.config import PreprocessConfig
from sapggan_lib.base.progress import HEADLESS_VARIABLE
from sapggan_lib.lessons import samples, widgets
from sapggan_lib.models import build_generator


@pytest.fixture
def generator():
    return build_generator("sapggan", resolution=16, widths=(8, 8, 8), latent=8).eval()


@pytest.fixture
def pixels():
    noise = np.random.default_rng(0).integers(0, 20, (160, 120))
    return (noise + np.linspace(0, 14, 120) ** 2).astype(np.uint8)


def controls(explorer):
    box, shown = explorer.children
    return {control.description: control for control in box.children}, shown


def change(explorer, description, value):
    """Move one control; the picture's bytes before and after."""
    found, shown = controls(explorer)
    before = shown.value
    found[description].value = value
    return before, shown.value


def drawn(draw, **settings):
    ax = Figure().subplots()
    return np.asarray(draw(ax, **settings).images[0].get_array()), [text.get_text() for text in ax.texts]


@pytest.mark.parametrize(
    ("description", "value"),
    [("window (percentiles)", (10, 60)), ("clip limit", 8), ("tiles per side", 2), ("crop", 0.3),
     ("seed of the crop", 5)],
)
def test_every_setting_of_preprocessing_changes_the_picture(pixels, description, value):
    before, after = change(widgets.explore_preprocessing(pixels, PreprocessConfig(size=16)), description, value)
    assert bytes(before).startswith(b"\x89PNG") and before != after


def test_an_explorer_starts_at_the_settings_of_the_notebook_even_beyond_its_range(pixels):
    found, _ = controls(widgets.explore_preprocessing(pixels, PreprocessConfig(clip_limit=40.0, tiles=32)))
    assert found["clip limit"].value == 40 and found["tiles per side"].value == 32


@pytest.mark.parametrize(("description", "value"), [("scale", 4), ("seed", 7)])
def test_a_scale_is_picked(generator, description, value):
    before, after = change(widgets.explore_scales(generator), description, value)
    assert before != after


@pytest.mark.parametrize(("description", "value"), [("position", 0.9), ("scale", 4), ("from seed", 5), ("to seed", 5)])
def test_a_walk_follows_its_controls(generator, description, value):
    before, after = change(widgets.explore_walk(generator), description, value)
    assert before != after


def test_a_walk_works_for_a_generator_of_one_scale():
    single = build_generator("dcgan", resolution=16, widths=(8, 8, 8), latent=8).eval()
    assert controls(widgets.explore_walk(single))[0]["scale"].value == 16


def test_the_picture_of_a_walk_is_the_walk(generator):
    canvas, labels = drawn(widgets.draw_walk, generator=generator, first=2, second=3, position=0.25, resolution=8)
    assert labels == ["seed 2", "position 0.25", "seed 3"]
    middle = samples.walk(generator, 2, 3, [0.25])[1][0]
    np.testing.assert_array_equal(canvas[32:288:32, 260:516:32], middle)


def test_the_picture_of_a_scale_shows_the_strongest_and_weakest_maps_with_their_gates(generator):
    for block in generator.blocks:
        torch.nn.init.normal_(block.attention.excite.bias)  # as if trained: new gates are all 1
    _, labels = drawn(widgets.draw_scale, generator=generator, seed=1, resolution=8)
    gates = [float(label.split()[1]) for label in labels if label.startswith("times")]
    assert len(gates) == 6 and gates == sorted(gates, reverse=True) and 0 < gates[-1] < 1 < gates[0] < 2
    assert labels[0] == "image 8x8" and labels[7] == "largest image"


def test_the_quiz_tells_at_the_end_what_was_wrong_and_starts_again(generator):
    images = [np.full((8, 8), value, np.uint8) for value in (0, 250)]
    message, shown, row = widgets.play(images, [True, False]).children
    real, generated, again = row.children
    first = shown.value
    assert shown.layout.width == "320px"  # a box would stretch it, and push the buttons off the screen
    assert message.value == "0 of 2 images judged: real or generated?"
    real.click()
    assert message.value == "1 of 2 images judged: real or generated?" and shown.value != first
    real.click()
    over = "1 of 2 right; wrong: 2. Who cannot tell gets as many or more in at most 100% of games."
    assert message.value == over
    assert real.disabled and generated.disabled
    real.click()
    assert message.value == over
    again.click()
    assert message.value == "0 of 2 images judged: real or generated?" and shown.value == first and not real.disabled
    real.click()
    generated.click()
    assert message.value == "2 of 2 right. Who cannot tell gets as many or more in at most 50% of games."


def test_a_headless_run_makes_a_note_in_place_of_a_widget(generator, pixels, monkeypatch):
    monkeypatch.setenv(HEADLESS_VARIABLE, "1")
    notes = [widgets.explore_preprocessing(pixels, PreprocessConfig()), widgets.explore_scales(generator),
             widgets.explore_walk(generator), widgets.play([np.zeros((8, 8), np.uint8)], [True])]  # fmt: skip
    assert all("JupyterLab" in note.data for note in notes)


def test_a_picture_has_the_size_asked_for_and_leaves_no_figure_behind():
    import matplotlib.pyplot as plt
    from PIL import Image

    data = widgets.picture(lambda ax: ax.plot([1, 2]), (3, 2))
    assert Image.open(io.BytesIO(data)).size == (300, 200) and plt.get_fignums() == []
    assert isinstance(widgets.explore(lambda ax: ax, (1, 1)), ipywidgets.VBox)
