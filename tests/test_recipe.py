"""The script that compares trainings: each variant differs from the base in what it names; and a card's scores."""

import json
import sys

import cv2
import numpy as np
import pytest
import torch

from benchmarks import card, recipe
from sapggan_lib.base.config import to_mapping
from sapggan_lib.base.files import sha256_file
from sapggan_lib.evaluation import Extractor, coverage_scores, extract_features, frechet_distance
from sapggan_lib.models import build_generator, generate, save_generator
from sapggan_lib.training.config import resolve


@pytest.fixture
def configuration():
    """A variant's configuration, from the command's own options."""
    options = recipe.build_parser().parse_args(["images", "--out", "out"])
    return lambda variant: to_mapping(resolve(recipe.configuration(options, variant, 0)))


@pytest.mark.parametrize("variant", sorted(set(recipe.VARIANTS) - {"base"}))
def test_a_variant_differs_in_what_it_names(configuration, variant):
    base, changed = configuration("base"), configuration(variant)
    assert {key for key in base if base[key] != changed[key]} == set(recipe.VARIANTS[variant])
    assert changed["kimg"] == 40 and changed["seed"] == 0


def test_the_table_has_a_line_for_each_training(tmp_path):
    folder = tmp_path / "base, seed 1"
    folder.mkdir()
    rows = [{"kimg": 1.0, "loss_d": 0.5}, {"kimg": 20.0, "fd": 114.12, "seconds": 100.0, "spread": 40.0},
            {"kimg": 40.0, "fd": 57.35, "seconds": 200.4, "spread": 41.06}]  # fmt: skip
    (folder / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    line = "base, seed 1             20: 114.1  40: 57.4  (200 s, spread 41.1)"
    assert recipe.table(tmp_path) == line


def test_each_distance_has_precision_and_recall_beside_it():
    pixels = Extractor("corner", "FD", lambda batch: batch[:, 0, :2, :2].flatten(1), "none", 16, torch.device("cpu"))
    images = np.random.default_rng(0).integers(0, 256, (80, 16, 16), dtype=np.uint8)
    real = extract_features(images, pixels, progress=False)
    torch.manual_seed(0)
    generator = build_generator("sapggan", resolution=16, latent=8, widths=(8, 8, 8))
    row = recipe.Score(real, pixels, 40, seed=1)(0.5, generator)
    samples = extract_features(generate(generator, 40, seed=1), pixels, progress=False)
    expected = coverage_scores(real, samples) | {"fd": frechet_distance(real, samples)}
    assert {key: row[key] for key in expected} == expected and row["spread"] > 0


def test_a_card_scores_all_images_and_the_first_samples_against_a_quarter(tmp_path, monkeypatch, capsys):
    weights, images = tmp_path / "tiny.safetensors", tmp_path / "images"
    torch.manual_seed(0)
    save_generator(weights, build_generator("sapggan", resolution=16, latent=8, widths=(8, 8, 8)), {})
    images.mkdir()
    for number, image in enumerate(np.random.default_rng(0).integers(0, 256, (80, 16, 16), dtype=np.uint8)):
        cv2.imwrite(str(images / f"{number:02}.png"), image)
    pixels = Extractor("corner", "FD", lambda batch: batch[:, 0, :2, :2].flatten(1), "none", 16, torch.device("cpu"))
    monkeypatch.setattr(card, "build_extractor", lambda: pixels)
    monkeypatch.setattr(sys, "argv", ["card", str(weights), str(images), "--n", "40"])
    card.main()
    found = json.loads((tmp_path / "tiny.scores.json").read_text(encoding="utf-8"))
    assert found["weights_sha256"] == sha256_file(weights) and found["images"] == 80
    scores = found["scores"]
    assert (scores["n_real"], scores["n_fake"], scores["n_floor"]) == (80, 40, 40)
    assert found["short"]["n"] == 40 and found["short_floor"]["n"] == 10
    assert 0 < scores["fd"]["floor"] < scores["fd"]["value"] and found["short"]["fd"] > found["short_floor"]["fd"] > 0
    assert f"FD {scores['fd']['value']:.1f}" in capsys.readouterr().out
