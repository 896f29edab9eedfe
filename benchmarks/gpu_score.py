"""The published generator's scores, memorisation audit and model card, for `benchmarks.gpu score`."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.gpu_runs import Bench
from sapggan_lib.base.files import sha256_file, write_text
from sapggan_lib.evaluation import Interval, evaluate, extract_features, frechet_distance, nearest_neighbours
from sapggan_lib.models import generate, load_generator

SOURCES = {
    "nih": "NIH ChestX-ray14 (no restrictions on the use; Wang et al., ChestX-ray8, CVPR 2017; provided by the NIH "
           "Clinical Center, <https://nihcc.app.box.com/v/ChestXray-NIHCC>)",
    "rsna": "RSNA 2018 Pneumonia Detection Challenge, images of normal adults, themselves from NIH (academic and "
            "commercial use with attribution; Shih et al., Radiology: Artificial Intelligence 2019); their view is a "
            "classifier's estimate and their patients are not known",
}  # fmt: skip


def score_generator(path: Path, bench: Bench, facts: dict[str, Any]) -> None:
    """Score the weights as published (half precision on disk), add the line and write MODEL_CARD.md beside them."""
    generator, digest = load_generator(path), sha256_file(path)
    about = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    known = {"step": "score", "weights": digest, "samples": bench.samples, "data": bench.store.hash}
    line = bench.results.find(**known)
    if not line:
        side = about["model"]["resolution"]
        real, held = bench.features("train", side), bench.features("held", side)
        bench.budget.need()
        images = generate(generator.to(bench.device), bench.samples, seed=1, batch=64)
        fake = extract_features(images, bench.extractor, batch=64)
        scores = evaluate(real, fake)
        near = nearest_neighbours(real.array, held.array, fake.array)
        margin = 1.96 * math.sqrt(0.25 / len(images))
        line = facts | known | {
            "generator": about.get("run", path.name), "kimg": about["kimg"], "seconds": about.get("seconds"),
            **flat(scores.scores), "n_real": scores.n_real, "n_fake": scores.n_fake,
            "n_floor": scores.n_floor, "extractor": scores.extractor, "extractor_weights": scores.weights[:8],
            "resize": scores.resize, "warnings": list(scores.warnings),
            "fd_of_held_out": frechet_distance(real.array, held.array), "n_held_out": len(held.array),
            "closer_to_train": near.closer_to_train, "closer_margin": margin,
            "authenticity": near.authenticity, "held_out_authenticity": near.held_out_authenticity,
            "to_train": float(np.median(near.to_train)), "to_held_out": float(np.median(near.to_held_out)),
            "nearest_of_all": float(near.to_train.min()),
        }  # fmt: skip
        bench.results.add(line)
    write_text(path.with_name("MODEL_CARD.md"), model_card(line, about, path.stat().st_size))


def flat(scores: dict[str, Interval]) -> dict[str, float]:
    """`fd`, `fd_low`, `fd_high`, `fd_floor`, and so on."""
    return {name if key == "value" else f"{name}_{key}": value
            for name, score in scores.items() for key, value in vars(score).items()}  # fmt: skip


def model_card(line: dict[str, Any], about: dict[str, Any], size: int) -> str:
    """Markdown from measured numbers alone."""
    model, training = about["model"], about["train"]
    sources = "\n".join(f"- {n:,} images: {SOURCES.get(name, f'{name} (ask its owner for the terms)')}"
                        for name, n in about.get("sources", {}).items())  # fmt: skip

    def row(name: str, label: str) -> str:
        low, high, floor = (line[f"{name}_{key}"] for key in ("low", "high", "floor"))
        return f"| {label} | {line[name]:.4g} | {low:.4g} to {high:.4g} | {floor:.4g} |"

    rows = "\n".join(row(name, label) for name, label in (
        ("fd", f"FD ({line['extractor']})"), ("kid", "KID"), ("precision", "precision"), ("recall", "recall"),
        ("density", "density"), ("coverage", "coverage")))  # fmt: skip
    low, high = (line["closer_to_train"] + sign * line["closer_margin"] for sign in (-1, 1))
    closer = f"{line['closer_to_train']:.3f} ({low:.3f} to {high:.3f})"
    verdict = ("no sign of copying by this measure" if low <= 0.5 else
               "nearer to the training images than to others: look at the nearest pairs before publishing")  # fmt: skip
    attention = f", attention `{model['attention']}`" if "attention" in model else ""
    seconds = f" in {line['seconds']:,.0f} s of training" if line["seconds"] else ""
    warnings = "".join(f"\n- {warning}" for warning in line["warnings"])
    return f"""# Model card: {model["name"]} at {model["resolution"]}x{model["resolution"]}

A generator of synthetic PA chest radiographs, {model["channels"]} channel, trained with the `sapggan` package.
`generator.safetensors` ({size / 1e6:.1f} MB, half precision, sha256 `{line["weights"][:16]}`) holds the averaged (EMA)
weights, `generator.json` what builds the network. Read them with `sapggan_lib.models.load_generator`.

## Data and terms
{sources}

Packed as JPEG (quality 90) after area averaging, without CLAHE and crop. {line["n_held_out"]:,} images
({about.get("held_out", 0):.0%} of the images, no patient on both sides where the patients are known) were held out of
training; {line["n_real"]:,} were trained on. No radiograph is distributed with the weights.

## Licence
Weights and code: Apache-2.0. Whoever uses them should cite the data sets above and acknowledge the NIH Clinical Center
where they name it.

## Training
Loss `{training["loss"]}`{attention}, widths {", ".join(map(str, model["widths"]))}, latent {model["latent"]},
batch {training["batch"]}, lr {training["lr"]:g}, {line["kimg"]:,.1f} kimg{seconds}, EMA half-life
{training["ema_half_life"]:g} kimg, seed {training["seed"]}. Scored on {line["device"]}, torch {line["torch"]}.

## Scores
{line["n_fake"]:,} samples of the published weights against all {line["n_real"]:,} training images; features of
{line["extractor"]} (weights {line["extractor_weights"]}; {line["resize"]}). Not FID: that needs the Inception network.

| score | value | 95 % interval | real against real, N = {line["n_floor"]:,} |
|---|---|---|---|
{rows}

FD of the {line["n_held_out"]:,} held-out images against the training images: {line["fd_of_held_out"]:.4g}.{warnings}

## Memorisation audit
| measure | generated | without copying |
|---|---|---|
| share nearer to training than to as many held-out images | {closer} | 0.5 |
| authenticity | {line["authenticity"]:.3f} | {line["held_out_authenticity"]:.3f} (held-out images) |
| median distance to the nearest training image | {line["to_train"]:.4g} | |
| median distance to the nearest held-out image | {line["to_held_out"]:.4g} (of {line["n_held_out"]:,}) | |
| smallest distance to a training image | {line["nearest_of_all"]:.4g} | |

Result: {verdict}. No metric finds every copy (arXiv 2306.04675). The interval counts the samples alone, not the choice
of the held-out images.

## Intended use
Teaching, method development, and tests of software that handles chest radiographs.

## Limits
Not for diagnosis, nor for training or testing a device without real images. The samples have the biases of their
sources: age, sex, disease and equipment are not balanced and cannot be chosen. Anatomy can be wrong, side markers and
text need not be legible, and no image has a label. {model["resolution"]} pixels a side hide fine findings.

Made by `{line["command"]}`.
"""
