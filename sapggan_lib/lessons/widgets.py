"""Explorers for JupyterLab: sliders over a picture, and a quiz.

Each is a function from settings to a picture, `draw(ax, **settings)`, which a notebook also calls once by itself: a
widget is lost on GitHub, in a PDF and in a headless run, that drawing is not. Headless runs make a note in its place.
"""

import functools
import io
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import ipywidgets
import numpy as np
from IPython.display import Markdown
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sapggan_lib import figures
from sapggan_lib.base.config import PreprocessConfig
from sapggan_lib.base.progress import HEADLESS_VARIABLE
from sapggan_lib.lessons import architecture, preprocessing, samples
from sapggan_lib.models import Generator, latents

NOTE = Markdown("*Open this notebook in JupyterLab to move it.*")
Shown: TypeAlias = ipywidgets.VBox | Markdown
ROW = ipywidgets.Layout(flex_flow="row wrap", align_items="center")


def picture(draw: Callable[..., Any], size: tuple[float, float], **settings: Any) -> bytes:
    """What `draw(ax, **settings)` draws, as PNG. `size`: width and height in inches."""
    figure = Figure(figsize=size, layout="constrained")  # not pyplot's, which would show it a second time
    draw(figure.subplots(), **settings)
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=100)
    return stream.getvalue()


def explore(draw: Callable[..., Any], size: tuple[float, float], **controls: ipywidgets.ValueWidget) -> Shown:
    """`controls` over the picture that `draw(ax, **their values)` makes, drawn anew when one changes.

    A note in a headless run. Controls must offer no setting that cannot be drawn: nobody sees the error of a slider.
    """
    if os.environ.get(HEADLESS_VARIABLE):
        return NOTE
    shown = _image(size)

    def update(_: object = None) -> None:
        shown.value = picture(draw, size, **{name: control.value for name, control in controls.items()})

    for control in controls.values():
        control.style.description_width = "initial"
        control.observe(update, "value")
    update()
    return ipywidgets.VBox([ipywidgets.Box(list(controls.values()), layout=ROW), shown])


def draw_preprocessing(
    ax: Axes,
    pixels: np.ndarray,                          # as `preprocessing.read_pixels` gives them
    config: PreprocessConfig,
    window: tuple[float, float] = (0.0, 100.0),  # percentiles that become black and white
    **changes: Any,                              # of `config`
) -> Axes:
    """One radiograph after each step of preprocessing, side by side."""
    steps = preprocessing.preprocessing_steps(pixels, replace(config, **changes), window)
    return figures.plot_images(ax, list(steps.values()), columns=len(steps), labels=list(steps), side=384)


def explore_preprocessing(pixels: np.ndarray, config: PreprocessConfig) -> Shown:
    """`draw_preprocessing` with sliders for window, CLAHE and crop, which start at `config`."""
    slider = functools.partial(ipywidgets.FloatSlider, continuous_update=False)
    whole = functools.partial(ipywidgets.IntSlider, continuous_update=False)
    return explore(
        functools.partial(draw_preprocessing, pixels=pixels, config=config),
        (11, 3),
        window=ipywidgets.FloatRangeSlider(
            value=(0, 100), step=0.5, description="window (percentiles)", continuous_update=False,
            readout_format=".1f", layout=ipywidgets.Layout(width="26em"),
        ),
        clip_limit=slider(config.clip_limit, min=1, max=max(10, config.clip_limit), step=0.5, description="clip limit"),
        tiles=whole(config.tiles, min=1, max=max(16, config.tiles), description="tiles per side"),
        crop=slider(config.crop, max=max(0.4, config.crop), step=0.01, description="crop"),
        seed=_seed(config.seed, "seed of the crop"),
    )


def draw_scale(ax: Axes, generator: Generator, seed: int = 0, resolution: int = 16) -> Axes:
    """One scale of a SAPGGAN with SE: its image, and its feature maps before and after their gates."""
    z = latents(1, generator.latent, seed)
    before, after = (maps[0].numpy() for maps in architecture.excited_maps(generator, z)[resolution])
    scales = {image.shape[0]: image for image in samples.sample_pyramid(generator, seed)}
    titles = [f"image {resolution}x{resolution}", "largest image"]
    return figures.plot_gated_maps(ax, before, after, [scales[resolution], scales[max(scales)]], titles)


def explore_scales(generator: Generator) -> Shown:
    """`draw_scale` with a slider over the generator's scales and a seed."""
    draw = functools.partial(draw_scale, generator=generator)
    return explore(draw, (11, 3.6), resolution=_scales(generator, place=1), seed=_seed(0))


def draw_walk(
    ax: Axes,
    generator: Generator,
    first: int = 0,         # seed at position 0
    second: int = 1,        # seed at position 1
    position: float = 0.5,
    resolution: int = 0,    # which of the generator's scales; 0: the largest
) -> Axes:
    """A place on the way between two samples, with the samples beside it."""
    scales = {images.shape[1]: images for images in samples.walk(generator, first, second, [0, position, 1])}
    labels = [f"seed {first}", f"position {position:.2f}", f"seed {second}"]
    return figures.plot_images(ax, scales[resolution or max(scales)], columns=3, labels=labels, side=256)


def explore_walk(generator: Generator) -> Shown:
    """`draw_walk` with controls for both seeds, the position and the scale."""
    return explore(
        functools.partial(draw_walk, generator=generator),
        (8.4, 3.2),
        position=ipywidgets.FloatSlider(value=0.5, min=0, max=1, step=0.05, description="position"),
        resolution=_scales(generator, place=-1),
        first=_seed(0, "from seed"),
        second=_seed(1, "to seed"),
    )


def quiz_result(answers: Sequence[bool], guesses: Sequence[bool]) -> str:
    """What the quiz says after `guesses`, of which there may be fewer than `answers` so far. True stands for real.

    Which were wrong it tells at the end: who hears it before can count what is left.
    """
    if len(guesses) < len(answers):
        return f"{len(guesses)} of {len(answers)} images judged: real or generated?"
    wrong = [str(number) for number, pair in enumerate(zip(answers, guesses, strict=True), 1) if pair[0] != pair[1]]
    right = len(answers) - len(wrong)
    chance = f"Who cannot tell gets as many or more in at most {samples.luck(len(answers), right):.0%} of games."
    return f"{right} of {len(answers)} right{'; wrong: ' if wrong else ''}{', '.join(wrong)}. {chance}"


def play(images: Sequence[np.ndarray], answers: Sequence[bool]) -> Shown:
    """A quiz over `images` (uint8 [H, W] or [H, W, 3]), one by one, with two buttons and the score. A note headless."""
    if os.environ.get(HEADLESS_VARIABLE):
        return NOTE
    guesses: list[bool] = []
    message = ipywidgets.HTML()
    shown = _image((3.2, 3.2))
    buttons = [ipywidgets.Button(description=text) for text in ("real", "generated", "play again")]

    def update() -> None:
        over = len(guesses) == len(answers)
        message.value = quiz_result(answers, guesses)
        index = min(len(guesses), len(answers) - 1)
        label = f"image {index + 1} of {len(images)}"
        shown.value = picture(figures.plot_images, (3.2, 3.2), images=[images[index]], labels=[label], side=256)
        for button in buttons[:2]:
            button.disabled = over

    def press(button: ipywidgets.Button) -> None:
        if button is buttons[2]:
            guesses.clear()
        elif len(guesses) < len(answers):  # a click may still be on its way when the last image is judged
            guesses.append(button is buttons[0])
        update()

    for button in buttons:
        button.on_click(press)
    update()
    return ipywidgets.VBox([message, shown, ipywidgets.Box(buttons, layout=ROW)])


def _image(size: tuple[float, float]) -> ipywidgets.Image:
    """An image widget for a `picture` of that size; without a width a box would stretch it to its own."""
    layout = ipywidgets.Layout(width=f"{100 * size[0]:.0f}px", max_width="100%", align_self="flex-start")
    return ipywidgets.Image(format="png", layout=layout)


def _seed(value: int, description: str = "seed") -> ipywidgets.BoundedIntText:
    layout = ipywidgets.Layout(width=f"{6 + len(description) // 2}em")
    return ipywidgets.BoundedIntText(value=value, min=0, max=9999, description=description, layout=layout)


def _scales(generator: Generator, place: int) -> ipywidgets.SelectionSlider:
    """A slider over the sides of the generator's images, which starts at the one in `place`."""
    sides = [image.shape[0] for image in samples.sample_pyramid(generator)]
    options = [(f"{side}x{side}", side) for side in sides]
    return ipywidgets.SelectionSlider(options=options, value=sides[place], description="scale", continuous_update=False)
