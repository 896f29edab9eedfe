"""Runs that may leave the hospital: no pixel of the input images in any output."""

import numpy as np

from sapggan_lib.plan import plan
from sapggan_lib.runs import run


def figures_of_own_images(root, brightness, publishable):
    """Notebook 01 on a folder of 20 images of one gray level; its figures' bytes by name."""
    import cv2

    source, folder = root / f"own-{brightness}", root / f"run-{brightness}-{publishable}"
    source.mkdir(exist_ok=True)
    for index in range(20):
        cv2.imwrite(str(source / f"{index}.png"), np.full((64, 64), brightness, np.uint8))
    (source / "views.csv").write_text("filename,view\n" + "".join(f"{index}.png,PA\n" for index in range(20)))
    jobs = plan(["01"], "smoke", {"n_phantom": 20}, data=str(source), publishable=publishable)
    run(jobs, folder, "smoke")
    return {path.name: path.read_bytes() for path in (folder / "figures").glob("*.png")}


def test_figures_of_a_publishable_run_do_not_depend_on_the_input_pixels(tmp_path):
    dark, light = (figures_of_own_images(tmp_path, level, publishable=True) for level in (60, 180))
    assert dark == light and "01_steps.png" in dark
    shown = figures_of_own_images(tmp_path, 60, publishable=False)
    differing = {name for name in shown if shown[name] != dark[name]}
    assert differing == {"01_steps.png", "01_histograms.png", "01_clip_limits.png", "01_store.png"}
