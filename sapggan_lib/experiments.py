"""What the notebooks measure: preprocessing step by step, models trained side by side, the floor of a distance."""

import io
import json
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from sapggan_lib import evaluation
from sapggan_lib.checkpoint import CHECKPOINT
from sapggan_lib.config import ModelConfig, PreprocessConfig, TrainConfig, from_mapping, to_mapping
from sapggan_lib.evaluation import Features, Score
from sapggan_lib.files import write_json
from sapggan_lib.losses import LOSSES
from sapggan_lib.models import generate
from sapggan_lib.notebook import Notebook
from sapggan_lib.store import Store, open_store, write_store
from sapggan_lib.training import train

if TYPE_CHECKING:
    import pandas as pd


def outcomes(store: Store) -> "pd.DataFrame":
    """What became of the input files: columns `outcome` (kept, "dropped: reason", failed) and `files`."""
    manifest = store.manifest
    outcome = manifest["status"].where(manifest["status"] != "dropped", "dropped: " + manifest["reason"])
    return outcome.rename("outcome").value_counts().rename("files").reset_index()


def views(store: Store) -> "pd.DataFrame":
    """How the view of each input file was decided: counts by `view` and `evidence`."""
    return store.manifest.groupby(["view", "evidence"]).size().rename("files").reset_index()


def header_views(path: Path | str) -> "pd.DataFrame":
    """The same for a table of DICOM headers alone, a CSV as OpenI publishes: no pixels are needed to decide a view.

    Columns: `Modality`, `Body Part Examined`, `View Position`, `Patient Orientation` (a list in brackets).
    """
    import pandas as pd
    from pydicom import Dataset

    from sapggan_lib.dicom import decide_view

    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    names = ["Modality", "Body Part Examined", "View Position", "Patient Orientation"]
    rows = []
    for modality, body_part, view_position, orientation in table[names].itertuples(index=False):
        dataset = Dataset()
        dataset.Modality, dataset.BodyPartExamined, dataset.ViewPosition = modality, body_part, view_position
        sides = orientation.strip("[]").replace("'", "").split(", ")
        dataset.PatientOrientation = sides if len(sides) == 2 else ""
        decision = decide_view(dataset)
        rows.append((decision.view, decision.evidence))
    return pd.DataFrame(rows, columns=["view", "evidence"]).value_counts().rename("files").reset_index()


def example_steps(path: Path, config: PreprocessConfig) -> dict[str, np.ndarray]:
    """One input file after each step of preprocessing, uint8, in order: a DICOM file, a PNG or a JPEG."""
    from sapggan_lib import preprocess
    from sapggan_lib.dicom import read_radiograph
    from sapggan_lib.image_files import read_image

    data = path.read_bytes()
    pixels = read_image(io.BytesIO(data), path.name) if preprocess.is_image(data) else read_radiograph(path).pixels
    after_clahe = preprocess.apply_clahe(pixels, config.clip_limit, config.tiles)
    cropped = preprocess.random_crop(after_clahe, config.crop, preprocess.crop_generator(pixels, config.seed))
    resized = preprocess.resize(cropped, config.size)
    steps = {"as a viewer shows it": pixels, "CLAHE": after_clahe, "random crop": cropped, "resized": resized}
    return {label: preprocess.to_uint8(image) for label, image in steps.items()}


def reading_times(store: Store, folder: Path, n: int = 16) -> "pd.DataFrame":
    """Seconds to open each store format and read `n` images from it, and the file's size in MB."""
    import pandas as pd

    rows = []
    for form, file in (("npy", "images.npy"), ("pickle", "images.pkl")):
        copy = write_store(folder / f"format-{form}", np.asarray(store.images), format=form)
        start = time.perf_counter()
        opened = open_store(copy.path)
        np.array(opened.images[:n])
        seconds = time.perf_counter() - start
        megabytes = (copy.path / file).stat().st_size / 1e6
        rows.append({"format": form, "MB": round(megabytes, 2), f"seconds to {n} images": round(seconds, 5)})
    return pd.DataFrame(rows)


def split_images(store: Store, held_out: float = 0.1, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Training and held-out images of a store, uint8 `[N, H, W]` or `[N, H, W, 3]`; no patient is on both sides."""
    train, held = store.split(held_out, seed)
    return store.images[train], store.images[held]


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


def final_by_group(scores: Sequence[Score]) -> dict[str, list[float]]:
    """The last score of each training, grouped by what stands before the comma of its label."""
    last = {score.method: score.value for score in sorted(scores, key=lambda score: score.kimg or 0)}
    groups: dict[str, list[float]] = {}
    for label in dict.fromkeys(score.method for score in scores):
        groups.setdefault(label.split(",")[0], []).append(last[label])
    return groups


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

    def on_snapshot(kimg: float, generator: nn.Module) -> dict[str, float]:
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
            hours = round(line["seconds"] / 3600, 5)
            scale = {"epoch": epoch, "kimg": line["kimg"], "hours": hours}
            scores.append(Score(label, line["score"], **interval, **scale, **protocol))
    return scores


def scores_of_run(nb: Notebook, images: np.ndarray, extractor: str, samples: int) -> list[Score]:
    """The scores that `04_model_comparison` left in this run; without them, those of a small SAPGGAN trained now.

    Either way `nb.work / "models" / "sapggan"` then holds a generator.
    """
    path = nb.folder / "results" / "04_scores.json"
    if path.exists():
        return [Score(**row) for row in json.loads(path.read_text(encoding="utf-8"))]
    scales = images.shape[1].bit_length() - 2
    variants = model_variants(["sapggan"], images, epochs=[1, 2], widths=[32] * scales, seed=nb.parameters["seed"])
    return compare(variants, images, nb.work / "models", extractor, samples, nb.parameters["seed"])


def floor_by_size(real: Features, sizes: Sequence[int], repeats: int = 5, seed: int = 0) -> dict[int, list[float]]:
    """Fréchet distance between two random disjoint sets of `size` real images each, `repeats` times per size.

    Sizes that need more images than there are become the largest that they allow.
    """
    random = np.random.default_rng(seed)
    floors: dict[int, list[float]] = {}
    for size in sorted({min(size, len(real.array) // 2) for size in sizes}):
        draws = [real.array[random.permutation(len(real.array))[: 2 * size]] for _ in range(repeats)]
        floors[size] = [evaluation.frechet_distance(draw[:size], draw[size:]) for draw in draws]
    return floors
