"""Runs on a user's own images: publishable ones show no pixel of them, and the same seed gives the same tables."""

import re

import cv2
import numpy as np
import pandas as pd
import pytest

from sapggan_lib.notebook.workspace import SHIPPED
from sapggan_lib.runs.jobs import plan
from sapggan_lib.runs.runner import run

QUICK = {
    "n_phantom": 20, "size": 16, "samples": 8, "04.models": ["dcgan", "sapggan"], "04.widths": [8, 8, 8],
    "04.epochs": [1, 2], "04.equal_time": False, "05.floor_sizes": [4], "06.generator": str(SHIPPED),
}  # fmt: skip
# what these show comes from the inputs as they are, not from a network that has learned them
OF_INPUTS = {"01_steps.png", "01_histograms.png", "01_clip_limits.png", "01_store.png", "05_changes.png", "06_quiz.png"}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Folders of three runs: on dark images publishable and not, and on light images publishable."""
    root = tmp_path_factory.mktemp("own")
    folders = {}
    for name, level, publishable in (("dark", 60, True), ("light", 180, True), ("shown", 60, False)):
        source, random = root / f"images-{level}", np.random.default_rng(level)
        source.mkdir(exist_ok=True)
        for index in range(40):
            noise = random.integers(level, level + 60, (64, 64), np.uint8)
            cv2.imwrite(str(source / f"{index}.png"), noise)
        (source / "views.csv").write_text("filename,view\n" + "".join(f"{index}.png,PA\n" for index in range(40)))
        folders[name] = root / name
        run(plan(["05", "06"], "smoke", QUICK, data=str(source), publishable=publishable), folders[name], "smoke")
    return folders


def test_figures_of_a_publishable_run_do_not_depend_on_the_input_pixels(runs):
    dark, light, shown = (
        {path.name: path.read_bytes() for path in (runs[name] / "figures").glob("*.png")}
        for name in ("dark", "light", "shown")
    )
    assert dark.keys() >= OF_INPUTS
    assert not {name for name in dark if (name in OF_INPUTS or name[:2] == "01") and dark[name] != light[name]}
    assert {name for name in OF_INPUTS if shown[name] == dark[name]} == set()


def test_the_same_seed_gives_the_same_tables(runs):
    def tables(folder):
        found = {}
        for path in sorted((folder / "results").glob("*")):
            if path.suffix == ".csv":
                table = pd.read_csv(path)
                times = [name for name in table if name == "hours" or name.startswith("seconds")]
                found[path.name] = table.drop(columns=times).to_csv()
            else:
                found[path.name] = re.sub(r'"hours": [^,]*', "", path.read_text())
        return found

    first, second = tables(runs["dark"]), tables(runs["shown"])
    assert first == second
    assert {"04_scores.json", "05_metrics.json", "05_table_1.csv", "05_table_1.tex"} <= first.keys()
    assert tables(runs["light"])["04_scores.json"] != first["04_scores.json"]
