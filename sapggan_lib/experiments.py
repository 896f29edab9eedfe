"""Trainings side by side, for notebooks 03 to 06: variants, equal budgets, their scores over the training."""

import contextlib
import io
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sapggan_lib import evaluation
from sapggan_lib.base.config import from_mapping, to_mapping
from sapggan_lib.base.errors import SapgganError
from sapggan_lib.base.files import write_json
from sapggan_lib.evaluation import Score
from sapggan_lib.losses import LOSSES
from sapggan_lib.models import Generator, ModelConfig, generate
from sapggan_lib.notebook import Notebook
from sapggan_lib.store import Store
from sapggan_lib.training import CHECKPOINT, TrainConfig, train


def split_images(store: Store, held_out: float = 0.1, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Training and held-out images of a store, uint8 `[N, H, W]` or `[N, H, W, 3]`; no patient is on both sides."""
    train, held = store.split(held_out, seed)
    return store.images[train], store.images[held]


def colour_images(folder: Path | str, size: int, n: int) -> np.ndarray:
    """The first `n` PNG or JPEG files under `folder` by path, as uint8 `[n, size, size, 3]`.

    The middle square of each, averaged down. Unreadable files and those smaller than `size` are left out, and their
    number is printed. Raises `SapgganError` when nothing is left.
    """
    import cv2

    from sapggan_lib.base.images import read_image

    files = sorted(path for path in Path(folder).rglob("*") if path.suffix.lower() in (".png", ".jpg", ".jpeg"))
    images: list[np.ndarray] = []
    for index, path in enumerate(files):
        if len(images) == n:
            files = files[:index]
            break
        with contextlib.suppress(SapgganError, OSError):
            image = read_image(io.BytesIO(path.read_bytes()), path.name)
            side = min(image.shape[:2])
            top, left = (image.shape[0] - side) // 2, (image.shape[1] - side) // 2
            if side >= size and image.dtype == np.uint8:
                square = cv2.resize(image[top:top + side, left:left + side], (size, size), interpolation=cv2.INTER_AREA)
                images.append(square if square.ndim == 3 else np.repeat(square[..., None], 3, axis=2))
    print(f"{len(images):,} colour images, {len(files) - len(images):,} files left out")
    if not images:
        raise SapgganError(f"{folder}: no PNG or JPEG of {size} pixels or more; name a folder of colour images")
    return np.stack(images)


def model_variants(
    names: Sequence[str],             # models
    images: np.ndarray,               # the training images
    epochs: Sequence[float],          # when scores are made; the last one ends the training
    batch: int = 16,
    widths: Sequence[int] = (),       # feature maps at 4x4, 8x8, ...; empty: the reference plan
    loss: str = "",                   # empty: each model's own
    seed: int = 0,
) -> dict[str, TrainConfig]:
    """A training for each model, equal in images shown."""
    kimg = tuple(epoch * len(images) / 1000 for epoch in epochs)
    base = ModelConfig(
        resolution=images.shape[1], channels=1 if images.ndim == 3 else 3, widths=tuple(widths) or None
    )
    config = TrainConfig(kimg=kimg[-1], snapshot_kimg=kimg, batch=batch, seed=seed)
    if loss:
        config = from_mapping(TrainConfig, to_mapping(config) | {"loss": loss}, "loss")
    models = {name: from_mapping(ModelConfig, to_mapping(base) | {"name": name}, "models") for name in names}
    return {name: replace(config, model=model) for name, model in models.items()}


def loss_variants(
    losses: Sequence[str], seeds: int, images: np.ndarray, epochs: Sequence[float], batch: int = 16,
    widths: Sequence[int] = (), seed: int = 0,
) -> dict[str, TrainConfig]:  # fmt: skip
    """A SAPGGAN training for each loss and seed, labelled "loss, seed N"; the rest as in `model_variants`."""
    return {
        f"{loss}, seed {number}": model_variants(["sapggan"], images, epochs, batch, widths, loss, number)["sapggan"]
        for loss in losses
        for number in range(seed, seed + seeds)
    }


def attention_variants(
    attentions: Sequence[str], seeds: int, images: np.ndarray, epochs: Sequence[float], batch: int = 16,
    widths: Sequence[int] = (), seed: int = 0,
) -> dict[str, TrainConfig]:  # fmt: skip
    """A SAPGGAN training for each attention ("se", "sagan", "none") and seed, labelled "attention, seed N"."""
    variants = {}
    for attention in attentions:
        for config in loss_variants(["ra-hinge"], seeds, images, epochs, batch, widths, seed).values():
            model = from_mapping(ModelConfig, to_mapping(config.model) | {"attention": attention}, "attentions")
            variants[f"{attention}, seed {config.seed}"] = replace(config, model=model)
    return variants


def progress_of(folder: Path, steps: int = 8) -> tuple[list[float], list[np.ndarray]]:
    """One sample of a training as it went on: kimg, and uint8 `[H, W]` or `[H, W, 3]`, at up to `steps` points.

    From the sample sheets of the training in `folder` (four images in a row), its first image.
    """
    import cv2

    paths = sorted((folder / "samples").glob("*.png"))
    chosen = [paths[round(i)] for i in np.linspace(0, len(paths) - 1, min(steps, len(paths)))]
    sheets = [cv2.imread(str(path)) for path in chosen]
    images = [sheet[: sheet.shape[0] // 4, : sheet.shape[1] // 4, ::-1] for sheet in sheets if sheet is not None]
    return [float(path.stem) for path in chosen], images


def loss_shapes(losses: Sequence[str], logits: Tensor, side: str) -> dict[str, np.ndarray]:
    """Each loss over one side's `logits` `[N]` while the other side's stay at 0: the discriminator's over real ones,
    or the generator's over generated ones."""

    def value(name: str, logit: Tensor) -> float:
        zero = torch.zeros(1)
        if side == "discriminator":
            return float(LOSSES[name].discriminator(logit[None], zero))
        return float(LOSSES[name].generator(zero, logit[None]))

    return {name: np.array([value(name, logit) for logit in logits]) for name in losses}


def compare(
    variants: Mapping[str, TrainConfig],   # label -> training
    images: np.ndarray,                    # uint8 [N, H, W] or [N, H, W, 3]
    folder: Path,                          # each training gets a folder of its label in it
    extractor: str = "efficientnet-lite0",
    samples: int = 1000,                   # generated and real images per score
    seed: int = 0,
    data_hash: str = "",
) -> list[Score]:
    """Train each variant, or go on with it, or take it as it is when it is finished; its scores over the training.

    Scores come from the averaged generator, on `samples` images against as many real ones chosen by `seed`.
    """
    network = evaluation.build_extractor(extractor)
    chosen = np.random.default_rng(seed).permutation(len(images))[:samples]
    real = evaluation.extract_features(images[np.sort(chosen)], network)

    def on_snapshot(kimg: float, generator: Generator) -> dict[str, float]:
        fake = evaluation.extract_features(generate(generator, samples, seed=seed), network)
        score = evaluation.evaluate(real, fake, seed=seed).scores[network.metric_name.lower()]
        return {"score": score.value, "low": score.low, "high": score.high, "floor": score.floor}

    scores = []
    protocol: dict[str, Any] = {"metric": network.metric_name, "extractor": network.name, "n": len(chosen)}
    for label, config in variants.items():
        out = folder / label
        facts = {"train": to_mapping(config), "data": data_hash} | protocol | {"seed": seed}
        remembered = out / "comparison.json"
        if out.exists() and not (remembered.exists() and json.loads(remembered.read_text()) == facts):
            shutil.rmtree(out)  # of other parameters
        write_json(remembered, facts)
        resume = (out / CHECKPOINT).exists()
        result = train(images, out, config, resume=resume, on_snapshot=on_snapshot, data_hash=data_hash)
        for line in (line for line in result.log if "score" in line):
            interval = {key: line[key] for key in ("low", "high", "floor")}
            asked = min(config.snapshot_kimg, key=lambda kimg: abs(kimg - line["kimg"]))  # batches overshoot by a few
            epoch = round(asked * 1000 / len(images), 3)
            hours = round(line["seconds"] / 3600, 7)
            scale = {"epoch": epoch, "kimg": line["kimg"], "hours": hours}
            scores.append(Score(label, line["score"], **interval, **scale, **protocol))
    return scores


def compare_at_equal_time(
    variants: Mapping[str, TrainConfig], scores: Sequence[Score], images: np.ndarray, finished: Path, folder: Path,
    **options: Any,
) -> list[Score]:  # fmt: skip
    """Let every variant train for the hours of the slowest: the quicker ones go on from where `compare` left them.

    `scores` are what `compare` gave for `variants` in the folder `finished`, `options` its further arguments. The
    longer trainings are made in copies below `folder`; what they need is worked out from each one's measured speed,
    and scored twice on the way. A variant that is within a tenth of the slowest is taken as it is.
    """
    hours = {label: max(score.hours or 0.0 for score in scores if score.method == label) for label in variants}
    longer = {}
    for label, config in variants.items():
        factor = max(hours.values()) / hours[label] if hours[label] else 1.0  # too short for the clock
        if factor < 1.1:
            continue
        more = tuple(round(config.kimg * (1 + (factor - 1) * part), 3) for part in (0.5, 1.0))
        longer[label] = replace(config, kimg=more[-1], snapshot_kimg=config.snapshot_kimg + more)
        facts = json.loads((finished / label / "comparison.json").read_text()) | {"train": to_mapping(longer[label])}
        remembered = folder / label / "comparison.json"
        if not (remembered.exists() and json.loads(remembered.read_text()) == facts):
            shutil.rmtree(folder / label, ignore_errors=True)
            shutil.copytree(finished / label, folder / label)
            write_json(remembered, facts)
    taken = [score for score in scores if score.method not in longer]
    labels = list(variants)
    return sorted(taken + compare(longer, images, folder, **options), key=lambda score: labels.index(score.method))


def scores_of_run(
    nb: Notebook, images: np.ndarray, extractor: str, samples: int, equal_time: bool = False
) -> list[Score]:
    """The scores that `04_model_comparison` left in this run; without them, those of a small SAPGGAN trained now.

    Either way `nb.work / "models" / "sapggan"` then holds a generator. `equal_time`: those of equal hours, not images;
    empty when 04 made none.
    """
    results = nb.folder / "results"
    if (results / "04_scores.json").exists():
        path = results / ("04_scores_equal_time.json" if equal_time else "04_scores.json")
        return [Score(**row) for row in json.loads(path.read_text(encoding="utf-8"))] if path.exists() else []
    scales = images.shape[1].bit_length() - 2
    variants = model_variants(["sapggan"], images, epochs=[1, 2], widths=[32] * scales, seed=nb.parameters["seed"])
    return compare(variants, images, nb.work / "models", extractor, samples, nb.parameters["seed"])
