"""Trainings side by side, for notebooks 03 to 06: variants, equal images or equal time, their scores."""

import contextlib
import functools
import io
import json
import math
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd

from sapggan_lib import evaluation
from sapggan_lib.base.config import from_mapping, to_mapping
from sapggan_lib.base.errors import SapgganError
from sapggan_lib.base.files import write_json
from sapggan_lib.base.images import read_image
from sapggan_lib.base.progress import progress_bar
from sapggan_lib.evaluation import Features
from sapggan_lib.models import Generator, generate
from sapggan_lib.notebook import Notebook
from sapggan_lib.preprocessing import resize, to_channels
from sapggan_lib.training import CHECKPOINT, TrainConfig, spread, train

FACTS = "comparison.json"    # beside each training: what it was made of


def colour_images(folder: Path | str, size: int, n: int) -> np.ndarray:
    """The first `n` PNG or JPEG files under `folder` by path, as uint8 `[n, size, size, 3]`.

    The middle square of each, averaged down. Unreadable files and those smaller than `size` are left out, and their
    number is printed. Raises `SapgganError` when nothing is left.
    """
    images: list[np.ndarray] = []
    tried = 0
    for path in sorted(Path(folder).rglob("*")):
        if len(images) < n and path.suffix.lower() in (".png", ".jpg", ".jpeg"):
            tried += 1
            with contextlib.suppress(SapgganError, OSError):
                image = read_image(io.BytesIO(path.read_bytes()), path.name)
                side = min(image.shape[:2])
                if side >= size and image.dtype == np.uint8:
                    top, left = (image.shape[0] - side) // 2, (image.shape[1] - side) // 2
                    images.append(to_channels(resize(image[top:top + side, left:left + side], size), 3))
    print(f"{len(images):,} colour images, {tried - len(images):,} files left out")
    if not images:
        raise SapgganError(f"{folder}: no PNG or JPEG of {size} pixels or more; name a folder of colour images")
    return np.stack(images)


def variant(
    images: np.ndarray,               # the training images
    epochs: Sequence[float],          # when scores are made; the last one ends the training
    batch: int = 16,
    widths: Sequence[int] = (),       # feature maps at 4x4, 8x8, ...; empty: the reference plan
    seed: int = 0,
    loss: str = "",                   # empty: the model's own
    **model: str,                     # further fields of `ModelConfig`, such as name="dcgan" or attention="none"
) -> TrainConfig:
    """One training of a comparison, its length in epochs. Raises `SapgganError` for a name that does not exist."""
    kimg = [epoch * len(images) / 1000 for epoch in epochs]
    plan = {"resolution": images.shape[1], "channels": 1 if images.ndim == 3 else 3, "widths": widths or None}
    settings = {"kimg": kimg[-1], "snapshot_kimg": kimg, "batch": batch, "loss": loss or None, "seed": seed}
    return from_mapping(TrainConfig, settings | {"model": plan | model}, "variant")


def progress_of(folder: Path, steps: int = 8) -> tuple[list[float], list[np.ndarray]]:
    """One sample of a training as it went on: kimg, and uint8 `[H, W]` or `[H, W, 3]`, at up to `steps` points.

    From the sample sheets of the training in `folder` (four images in a row), its first image.
    """
    paths = sorted((folder / "samples").glob("*.png"))
    chosen = [paths[round(i)] for i in np.linspace(0, len(paths) - 1, min(steps, len(paths)))]
    sheets = {float(path.stem): sheet for path in chosen if (sheet := cv2.imread(str(path))) is not None}
    return list(sheets), [sheet[: sheet.shape[0] // 4, : sheet.shape[1] // 4, ::-1] for sheet in sheets.values()]


def real_images(images: np.ndarray, samples: int, seed: int = 0) -> np.ndarray:
    """Twice `samples` of `images` or as many as there are, in random order: every score's real side and its floor.

    A score is made against the first `samples`; the floor needs two sides of as many.
    """
    return images[np.random.default_rng(seed).permutation(len(images))[:2 * samples]]


def place_of(folder: Path, label: str, seed: int = 0) -> Path:
    """Where `compare` keeps the training `label`: that of the comparison's own seed under its method's name alone."""
    return folder / label.removesuffix(f", seed {seed}")


def compare(
    variants: Mapping[str, TrainConfig],   # label -> training; "method" or "method, seed N"
    images: np.ndarray,                    # uint8 [N, H, W] or [N, H, W, 3]
    folder: Path,                          # each training gets a folder in it, `place_of`
    extractor: str = "efficientnet-lite0",
    samples: int = 1000,                   # generated and real images per score
    seed: int = 0,
    data_hash: str = "",
    begun: Path | None = None,             # folder of an earlier comparison whose trainings go on here, as copies
) -> pd.DataFrame:
    """Train each variant, or go on with it, or take it as it is when it is finished; its scores over the training.

    Scores come from the averaged generator, on `samples` images against as many `real_images`, with the floor at the
    same number where the images suffice, and printed warning where not; they are rows of `evaluation.score_frame`.
    A training that `begun` holds with the same settings is taken from there. What trainings say goes into `train.txt`.
    """
    network = evaluation.build_extractor(extractor)
    chosen = real_images(images, samples, seed)
    sides = {"n": min(samples, len(images)), "floor_n": min(len(images) // 2, samples)}
    protocol = {"metric": network.metric_name, "extractor": network.name} | sides
    if sides["floor_n"] < sides["n"]:
        print(f"warning: {len(images):,} images give a floor at N = {sides['floor_n']:,}, higher than at the scores' "
              f"N = {sides['n']:,}; lower samples to {len(images) // 2:,}")

    @functools.cache                       # finished trainings need no features
    def real() -> tuple[Features, float]:
        return evaluation.extract_features(chosen, network, progress=False), spread(chosen[:samples])

    def on_snapshot(kimg: float, generator: Generator) -> dict[str, float]:
        images, (features, spread_data) = generate(generator, samples, seed=seed), real()
        fake = evaluation.extract_features(images, network, progress=False)
        scores = evaluation.evaluate(features, fake, seed=seed, n_real=samples).scores
        score = scores[network.metric_name.lower()]
        variety = round(spread(images) / spread_data, 4) if spread_data else math.nan
        return {"score": score.value, "low": score.low, "high": score.high, "floor": score.floor, "variety": variety}

    rows: list[dict[str, Any]] = []
    total = round(sum(config.kimg for config in variants.values()) * 1000)
    with progress_bar(total, f"{len(variants)} trainings", "images") as bar:
        for label, config in variants.items():
            facts = {"train": to_mapping(config), "data": data_hash} | protocol | {"seed": seed}
            out = _prepare(label, facts, folder, begun)
            resume = (out / CHECKPOINT).exists()
            with (out / "train.txt").open("a", encoding="utf-8") as said, contextlib.redirect_stderr(said):
                result = train(images, out, config, resume=resume, on_snapshot=on_snapshot, data_hash=data_hash,
                               progress_fn=lambda *_: None)
            bar.update(round(config.kimg * 1000))
            for line in (line for line in result.log if "score" in line):
                asked = min(config.snapshot_kimg, key=lambda kimg: abs(kimg - line["kimg"]))  # batches overshoot
                score = {key: line[key] for key in ("low", "high", "floor", "variety", "kimg")}
                scale = {"epoch": round(asked * 1000 / len(images), 3), "hours": round(line["seconds"] / 3600, 7)}
                rows.append({"method": label, "value": line["score"]} | score | scale | protocol)
    return evaluation.score_frame(rows)


def _prepare(label: str, facts: dict[str, Any], folder: Path, begun: Path | None) -> Path:
    """The folder in which the training of `facts` stands or may begin; one of other facts that is in the way goes."""
    out, before = (place_of(place, label, facts["seed"]) for place in (folder, begun or folder))
    now, earlier = (json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
                    for path in (out / FACTS, before / FACTS))  # fmt: skip
    if earlier == facts:
        return before
    if now != facts:
        shutil.rmtree(out, ignore_errors=True)
        if begun and earlier | {"train": facts["train"]} == facts:
            shutil.copytree(before, out)
        write_json(out / FACTS, facts)
    return out


def equal_time_variants(variants: Mapping[str, TrainConfig], scores: pd.DataFrame) -> dict[str, TrainConfig]:
    """The same trainings, the quicker methods' so much longer that each method takes the hours of the slowest.

    `scores` are what `compare` gave for `variants`: from them comes each method's speed, the mean over its seeds. What
    is added is scored at each quarter of the slowest's hours that lies in it. A method within a tenth of the slowest
    stays as it is. Made by `compare(..., begun=...)`.
    """
    hours = evaluation.last_scores(scores).groupby("method")["hours"].mean()
    longer = dict(variants)
    for label, config in variants.items():
        own = hours[label.split(", seed ")[0]]
        factor = hours.max() / own if own else 1.0  # 0: too short for the clock
        if factor >= 1.1:
            quarters = (factor * part for part in (0.25, 0.5, 0.75, 1.0))
            more = tuple(round(config.kimg * quarter, 3) for quarter in quarters if quarter > 1)
            longer[label] = replace(config, kimg=more[-1], snapshot_kimg=config.snapshot_kimg + more)
    return longer


def scores_of_run(
    nb: Notebook, images: np.ndarray, extractor: str, samples: int, equal_time: bool = False
) -> pd.DataFrame:
    """The scores that `04_model_comparison` left in this run; without them, those of a small SAPGGAN trained now.

    Either way `nb.work / "models" / "sapggan"` then holds a generator. `equal_time`: those of equal hours, not images;
    empty when 04 made none.
    """
    results = nb.folder / "results"
    if (results / "04_scores.json").exists():
        path = results / ("04_scores_equal_time.json" if equal_time else "04_scores.json")
        return evaluation.score_frame(json.loads(path.read_text(encoding="utf-8")) if path.exists() else [])
    scales = images.shape[1].bit_length() - 2
    config = variant(images, epochs=[1, 2], widths=[32] * scales, seed=nb.parameters["seed"])
    return compare({"sapggan": config}, images, nb.work / "models", extractor, samples, nb.parameters["seed"])
