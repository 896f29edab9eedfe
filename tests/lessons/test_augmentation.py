"""Notebook 07's experiment: tasks without a patient on both sides, generators made once, and sentences by rule."""

import numpy as np
import pandas as pd
import pytest

from sapggan_lib.base.errors import SapgganError
from sapggan_lib.lessons import augmentation as lesson
from sapggan_lib.store import open_store, write_store
from sapggan_lib.uses import REAL

SETTINGS = {"kimg": 0.032, "batch": 8, "model": {"widths": [8, 8, 8], "latent": 8}}


@pytest.fixture(scope="module")
def drawn():
    return lesson.phantom_task("effusion", 16, negatives=8, positives=4, tests=3, extra=8)


@pytest.fixture
def store(tmp_path):
    """A store of 40 images of 20 patients, every fourth image with a mass, and the table that says so."""
    rows = [{"path": f"{i}.png", "status": "kept", "index": i, "patient": f"patient{i // 2}"} for i in range(40)]
    images = np.arange(40, dtype=np.uint8)[:, None, None] * np.ones((1, 16, 16), np.uint8)
    write_store(tmp_path / "store", images, rows)
    lines = [f"{i}.png,{'Mass' if i % 4 == 0 else 'Nodule' if i % 4 == 1 else 'No Finding'}" for i in range(40)]
    (tmp_path / "labels.csv").write_text("\n".join(["Image Index,Finding Labels", *lines]))
    return open_store(tmp_path / "store"), tmp_path / "labels.csv"


def test_a_drawn_task_has_the_asked_numbers_and_no_body_twice(drawn):
    counts = {(positive, test): len(drawn.part(positive, test)) for positive in (False, True) for test in (False, True)}
    assert counts == {(False, False): 8, (True, False): 4, (False, True): 3, (True, True): 3}
    assert [len(part) for part in drawn.drawn] == [8, 8]
    everything = np.concatenate([drawn.images, *drawn.drawn])
    assert everything.shape == (34, 16, 16) and len(np.unique(everything, axis=0)) == len(everything)


def test_a_task_of_a_store_keeps_patients_apart_and_other_findings_out(store):
    task = lesson.store_task(*store, "Finding Labels", "Mass")
    assert not set(task.patients[task.test]) & set(task.patients[~task.test])
    numbers = task.images[:, 0, 0]
    assert len(numbers) == 30 and np.array_equal(task.positive, numbers % 4 == 0) and not (numbers % 4 == 1).any()


def test_too_few_images_of_a_class_are_one_sentence(store):
    whole, labels = store
    labels.write_text(labels.read_text().replace("Mass", "Nodule").replace("0.png,Nodule", "0.png,Mass", 1))
    with pytest.raises(SapgganError, match=r"fewer than 2 images of Mass or No Finding to train or to test on"):
        lesson.store_task(whole, labels, "Finding Labels", "Mass")


def test_an_experiment_has_all_arms_and_the_same_one_again_trains_nothing(drawn, tmp_path):
    options = ([2, 0], 1, SETTINGS, tmp_path, "pixels", [1.0])
    table, consistency, generator = lesson.experiment(drawn, *options)
    assert set(table["positives"]) == {2, 4} and consistency["positives"].tolist() == [2, 4]
    assert {REAL, "duplicated x 1", "generated x 1", "generated alone", "drawn x 1"} <= set(table["arm"])
    assert generator.config["classes"] == ["clear", "effusion"]
    made = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("generator.safetensors")}
    again, _, _ = lesson.experiment(drawn, *options)
    pd.testing.assert_frame_equal(table, again)
    assert len(made) == 2 and all(path.stat().st_mtime_ns == time for path, time in made.items())


def rows(**values):
    """Differences of AUROC from as many duplicates, `arm=(low, high)`, and of "generated alone" from real ones."""
    found = [(arm.replace("_", " x "), "AUROC", "duplicated x 5", (low + high) / 2, low, high, 10)
             for arm, (low, high) in values.items()]  # fmt: skip
    found.append(("generated alone", "AUROC", REAL, -0.2, -0.3, -0.1, 10))
    return pd.DataFrame(found, columns=["arm", "metric", "against", "value", "low", "high", "positives"])


def told(*lows):
    return pd.DataFrame([(10, seed, low + 0.1, low, low + 0.2) for seed, low in enumerate(lows)],
                        columns=["positives", "seed", "AUROC", "low", "high"])  # fmt: skip


def test_findings_follow_the_intervals():
    said = " ".join(lesson.findings(rows(drawn_5=(0.02, 0.2), generated_5=(-0.1, 0.1)), told(0.6, 0.4)))
    assert "perfect source beat as many duplicates in 1 of 1" in said and "can show a gain where there is one" in said
    assert "Generated images beat as many duplicates in 0 of 1 comparisons of AUROC and lost in 0" in said
    assert "for 1 of 2 generators (interval above .5); the others ignore the class" in said
    assert "worse than on the real ones in 1 of 1" in said


def test_without_a_gain_of_the_perfect_source_nothing_is_said_against_the_generator():
    said = " ".join(lesson.findings(rows(drawn_5=(-0.1, 0.2), generated_5=(-0.3, -0.1)), told(0.6, 0.6)))
    assert "cannot show a gain even from perfect images" in said and "lost in 1" in said
    assert "for 2 of 2 generators" in said and "ignore the class" not in said
