"""Trainings of equal length in seconds, with scores along the way, for `benchmarks.gpu`."""

import contextlib
import json
import shutil
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sapggan_lib.base.files import write_text
from sapggan_lib.base.images import write_png
from sapggan_lib.evaluation import (
    Extractor,
    Features,
    build_extractor,
    evaluate,
    extract_features,
    nearest_neighbours,
)
from sapggan_lib.models import WEIGHTS, ModelConfig, default_widths, generate, load_generator, save_generator
from sapggan_lib.store import Store
from sapggan_lib.training import CHECKPOINT, TrainConfig, TrainResult, read_log, resolve, shrink, train

ENDLESS = 1e6                        # kimg: the seconds end a training
REHEARSAL, STAGE, LOG = 32, 8, 16    # batches: at full size, for each stage of a growing model, between log lines


@dataclass(frozen=True)
class Run:
    """One training. What it is stands in its name, which is its folder."""

    model: str
    loss: str = ""                   # empty: the model's own
    attention: str = "se"            # sapggan only
    resolution: int = 128
    batch: int = 16
    widest: int = 256                # feature maps: each model's reference plan, cut here
    train_seconds: float = 100.0

    @property
    def name(self) -> str:
        loss = resolve(self.config()).loss
        attention = f"-{self.attention}" if self.model == "sapggan" else ""
        size = f"{self.resolution}-b{self.batch}-w{self.widest}"
        return f"{self.model}-{loss}{attention}-{size}-{self.train_seconds:g}s"

    def config(self, **options: Any) -> TrainConfig:
        """The configuration of the training, `options` beside what the run says."""
        widths = tuple(min(self.widest, width) for width in default_widths(self.resolution, self.model))
        model = ModelConfig(self.model, self.resolution, 1, self.widest, widths, self.attention)  # type: ignore[arg-type]
        return TrainConfig(model, self.loss or None, batch=self.batch, **options)


class Results:
    """The lines of a file results.jsonl, each a mapping; what a line says is done is not done again."""

    def __init__(self, path: Path):
        self.path = path
        self.lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.is_file() else []

    def find(self, **facts: Any) -> dict[str, Any] | None:
        """The line that has all `facts`."""
        return next((line for line in self.lines if facts.items() <= line.items()), None)

    def add(self, line: dict[str, Any]) -> None:
        self.lines.append(line)
        write_text(self.path, "".join(json.dumps(line) + "\n" for line in self.lines))


@dataclass
class Bench:
    """What the trainings share: a store, a tenth of it by patient held out, and the features of both parts."""

    store: Store
    out: Path
    results: Results
    samples: int                     # for the last score of a training
    samples_along: int               # for those before it
    held_out: float                  # share of the images

    @cached_property
    def parts(self) -> dict[str, np.ndarray]:
        """Images to train on, and those that no model sees."""
        train, held = self.store.split(self.held_out)
        return {"train": self.store.images[train], "held": self.store.images[held]}

    @cached_property
    def extractor(self) -> Extractor:
        return build_extractor()

    def features(self, part: str, resolution: int) -> Features:
        """Features of one of the `parts` at the models' resolution, made once."""
        path = self.out / f"features-{part}-{self.store.hash[:12]}-{self.held_out:g}-{resolution}.npz"
        if not path.exists():
            extract_features(shrink(self.parts[part], resolution), self.extractor, batch=64).save(path)
        return Features.load(path)


def train_run(run: Run, points: int, bench: Bench, facts: dict[str, Any]) -> None:
    """Train `run` from point to point, at equal distances in seconds, and add a line of results for each."""
    folder = bench.out / run.name
    for number in range(1, points + 1):
        target = run.train_seconds * number / points
        n = bench.samples if number == points else bench.samples_along
        known = {"run": run.name, "data": bench.store.hash, "held_out": bench.held_out, "target": target, "n": n}
        if bench.results.find(**known):
            continue
        resume = (folder / CHECKPOINT).exists()
        if not resume or read_log(folder)[-1]["seconds"] < target:
            # growing takes about half of the seconds or less, since small stages are faster
            grow = None if resume else rehearse(run, bench) * run.train_seconds / 1000 / 20
            train_quietly(run, bench, folder, resume=resume, seconds=target, grow_kimg=grow)
        last = read_log(folder)[-1]
        line = {"trained_seconds": last["seconds"], "kimg": last["kimg"],
                "images_per_s": round(1000 * last["kimg"] / last["seconds"], 1)}  # fmt: skip
        bench.results.add(facts | asdict(run) | known | line | score(folder, run.resolution, n, bench))
        print(f"{run.name}: {last['kimg']:.1f} kimg in {last['seconds']:.0f} s", flush=True)


def rehearse(run: Run, bench: Bench) -> float:
    """Go through all stages once, so that compiling is not counted; returns images/s at full size."""
    folder = bench.out / "rehearsal"
    shutil.rmtree(folder, ignore_errors=True)
    stages = 2 * (run.resolution.bit_length() - 2) - 1 if run.model in ("pggan", "stylegan") else 0
    batches = -(-STAGE * stages // LOG) * LOG + REHEARSAL
    kimg = run.batch / 1000
    result = train_quietly(run, bench, folder, kimg=batches * kimg, grow_kimg=STAGE * kimg)
    shutil.rmtree(folder)
    return result.log[-1]["images_per_s"]


def train_quietly(
    run: Run, bench: Bench, folder: Path, resume: bool = False, seconds: float = np.inf, **options: Any
) -> TrainResult:
    """Train; what it says goes into a file, as its time left would count to `ENDLESS`."""
    options = {"kimg": ENDLESS, "sample_kimg": ENDLESS, "log_kimg": run.batch * LOG / 1000} | options
    with (bench.out / "log.txt").open("a", encoding="utf-8") as stream, contextlib.redirect_stderr(stream):
        return train(bench.parts["train"], folder, run.config(**options), resume=resume, data_hash=bench.store.hash,
                     seconds=seconds)  # fmt: skip


def score(folder: Path, resolution: int, n: int, bench: Bench) -> dict[str, Any]:
    """All scores of `n` samples of one seed, and what they say about memorisation."""
    generator = load_generator(folder).to("cuda" if torch.cuda.is_available() else "cpu")
    real, held = (bench.features(part, resolution) for part in ("train", "held"))
    fake = extract_features(generate(generator, n, seed=1, batch=64), bench.extractor, batch=64, progress=False)
    found = evaluate(real, fake)
    near = nearest_neighbours(real.array, held.array, fake.array)
    scores = {name if key == "value" else f"{name}_{key}": value
              for name, interval in found.scores.items() for key, value in vars(interval).items()}  # fmt: skip
    return scores | {"n_real": found.n_real, "extractor": found.extractor, "closer_to_train": near.closer_to_train,
                     "authenticity": near.authenticity}  # fmt: skip


def sheet(folders: list[Path], path: Path, columns: int = 8) -> None:
    """A PNG with a row of samples of each training."""
    write_png(path, np.concatenate([np.concatenate(list(generate(load_generator(folder), columns)), axis=1)
                                    for folder in folders]))  # fmt: skip


def export(folder: Path, path: Path) -> None:
    """A training's averaged generator in half precision, with what builds it."""
    facts = json.loads((folder / WEIGHTS).with_suffix(".json").read_text(encoding="utf-8"))
    save_generator(path, load_generator(folder).half(), facts)
