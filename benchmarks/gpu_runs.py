"""Trainings of equal length in seconds, with a Fréchet curve, for `benchmarks.gpu`."""

import contextlib
import json
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.gpu_data import Budget, OutOfTime, Results, unpack
from sapggan_lib.base.images import write_png
from sapggan_lib.evaluation import (
    Extractor,
    Features,
    build_extractor,
    extract_features,
    frechet_distance,
    jackknife,
    kernel_distance,
)
from sapggan_lib.models import WEIGHTS, ModelConfig, default_widths, generate, load_generator, save_generator
from sapggan_lib.training import CHECKPOINT, TrainConfig, read_log, resolve, shrink, train

ENDLESS = 1e6                        # kimg: the seconds end a training
REHEARSAL, STAGE, LOG = 32, 8, 16    # batches: at full size, for each stage of a growing model, between log lines
WARM_UP = 120.0                      # seconds that compiling may take on CUDA
BLOCKS, T9 = 10, 2.262               # of the jackknife, and Student's t for 9 degrees of freedom at 0.975


@dataclass(frozen=True)
class Run:
    """One training. What it is stands in its name, which is its folder."""

    model: str
    loss: str = ""                   # empty: the model's own
    attention: str = "se"            # sapggan only
    resolution: int = 128
    batch: int = 16
    widest: int = 256
    train_seconds: float = 100.0
    points: int = 4                  # scores, at equal distances, the last one at the end

    @property
    def name(self) -> str:
        loss = resolve(self.config()).loss
        attention = f"-{self.attention}" if self.model == "sapggan" else ""
        size = f"{self.resolution}-b{self.batch}-w{self.widest}"
        return f"{self.model}-{loss}{attention}-{size}-{self.train_seconds:g}s"

    def config(self, **options: Any) -> TrainConfig:
        """Widths are each model's reference plan, cut at `widest`."""
        widths = tuple(min(self.widest, width) for width in default_widths(self.resolution, self.model))
        model = ModelConfig(self.model, self.resolution, 1, self.widest, widths, self.attention)  # type: ignore[arg-type]
        return TrainConfig(model, self.loss or None, batch=self.batch, **options)


@dataclass
class Bench:
    """What the trainings of a call share."""

    pack: Path
    work: Path
    archive_size: int
    results: Results
    budget: Budget
    device: torch.device
    samples: int                     # for the last score of a training
    samples_along: int               # for those before it
    share: float                     # of the images held out

    def __post_init__(self) -> None:
        self.store = unpack(self.pack / f"images-{self.archive_size}.zip", self.work / f"store-{self.archive_size}")
        train, held = self.store.split(self.share)
        self.images, self.held = self.store.images[train], self.store.images[held]

    @cached_property
    def extractor(self) -> Extractor:
        sys.path.append(str(self.pack / "packages"))   # an installed one comes first
        return build_extractor(device=self.device)

    def features(self, part: str, resolution: int) -> Features:
        """Features of the "train" or the "held" images, made once."""
        path = self.work / f"features-{part}-{self.store.hash[:12]}-{self.share:g}-{resolution}.npz"
        if not path.exists():
            self.budget.need()
            images = shrink(self.images if part == "train" else self.held, resolution)
            extract_features(images, self.extractor, batch=64).save(path)
        return Features.load(path)


def train_run(run: Run, bench: Bench, facts: dict[str, Any]) -> None:
    """Train `run` from point to point and add a line of results for each; `OutOfTime` when the call's time is up."""
    folder = bench.work / run.name
    warm_up: float | None = None
    known = {"run": run.name, "data": bench.store.hash, "held_out": bench.share}
    for number in range(1, run.points + 1):
        target = run.train_seconds * number / run.points
        n = bench.samples if number == run.points else bench.samples_along
        if line := bench.results.find(target=target, samples=n, **known):
            if not bench.results.find(target=target, samples=n, step=facts["step"], **known):
                bench.results.add(line | {"step": facts["step"]})    # made by another step
            continue
        real = bench.features("train", run.resolution).array
        resume = (folder / CHECKPOINT).exists()
        trained = read_log(folder)[-1]["seconds"] if resume else 0.0
        if trained < target:
            options: dict[str, Any] = {"log_kimg": run.batch * LOG / 1000, "device": bench.device.type}
            if warm_up is None:
                warm_up, rate = rehearse(run, bench, options)
                # growing then takes about half of the seconds or less, since small stages are faster
                options["grow_kimg"] = None if resume else rate * run.train_seconds / 1000 / 20
            bench.budget.need(1)
            trained = go_on(run, bench, options, trained + min(target - trained, bench.budget.left()), resume)
        if trained < target:
            raise OutOfTime
        bench.budget.need()
        generator = load_generator(folder).to(bench.device)
        last = read_log(folder)[-1]
        bench.results.add(facts | asdict(run) | known | {
            "target": target, "trained_seconds": last["seconds"], "kimg": last["kimg"],
            "images_per_s": round(1000 * last["kimg"] / last["seconds"], 1), "samples": n,
            "warm_up": None if warm_up is None else round(warm_up, 1),
        } | score(generator, real, n, bench))  # fmt: skip
        line = bench.results.lines[-1]
        print(f"{run.name}: {line['kimg']:.1f} kimg in {line['trained_seconds']:.0f} s, {line['images_per_s']:,.0f} "
              f"images/s, FD {line['fd']:.1f}", file=sys.stderr, flush=True)


def rehearse(run: Run, bench: Bench, options: dict[str, Any]) -> tuple[float, float]:
    """Go through all stages once, so that compiling is not counted: seconds that it took, images/s at full size."""
    bench.budget.need(WARM_UP if bench.device.type == "cuda" else 0)
    folder = bench.work / "rehearsal"
    shutil.rmtree(folder, ignore_errors=True)
    stages = 2 * (run.resolution.bit_length() - 2) - 1 if run.model in ("pggan", "stylegan") else 0
    batches = -(-STAGE * stages // LOG) * LOG + REHEARSAL
    kimg = run.batch / 1000
    config = run.config(kimg=batches * kimg, grow_kimg=STAGE * kimg, **options)
    with quiet(bench):
        result = train(bench.images, folder, config)
    shutil.rmtree(folder)
    rate = result.log[-1]["images_per_s"]
    return max(result.seconds - batches * run.batch / rate, 0.0), rate


def go_on(run: Run, bench: Bench, options: dict[str, Any], seconds: float, resume: bool) -> float:
    """Train until the run has `seconds`; returns what it has then."""
    config = run.config(kimg=ENDLESS, sample_kimg=ENDLESS, checkpoint_kimg=ENDLESS, **options)
    with quiet(bench):
        result = train(bench.images, bench.work / run.name, config, resume=resume, data_hash=bench.store.hash,
                       seconds=seconds)  # fmt: skip
    return result.seconds


@contextlib.contextmanager
def quiet(bench: Bench) -> Iterator[None]:
    """What a training says goes into a file: its time left would count to `ENDLESS`."""
    with (bench.work / "log.txt").open("a", encoding="utf-8") as stream, contextlib.redirect_stderr(stream):
        yield


def score(generator: nn.Module, real: np.ndarray, n: int, bench: Bench) -> dict[str, Any]:
    """FD with its 95 % interval and floor, KID with its standard error, of `n` samples of one seed."""
    fake = extract_features(generate(generator, n, seed=1, batch=64), bench.extractor, batch=64, progress=False).array

    def distance(i: np.ndarray, j: np.ndarray) -> dict[str, float]:
        return {"fd": frechet_distance(real[i], fake[j])}

    value = frechet_distance(real, fake)
    margin = T9 * jackknife(distance, len(real), len(fake), 0, BLOCKS)["fd"]
    kid, error = kernel_distance(real, fake)
    order = np.random.default_rng(0).permutation(len(real))
    half = len(order) // 2
    return {
        "fd": value, "fd_low": max(value - margin, 0.0), "fd_high": value + margin, "kid": kid, "kid_error": error,
        "floor": frechet_distance(real[order[:half]], real[order[half:]]), "n_floor": half,
        "n_real": len(real), "n_fake": n, "extractor": bench.extractor.name,
    }  # fmt: skip


def sheet(runs: list[Run], bench: Bench, path: Path, columns: int = 8) -> None:
    """A PNG with a row of samples for each run that has a generator here, in the order of `runs`."""
    folders = [bench.work / run.name for run in runs]
    rows = [np.concatenate(list(generate(load_generator(folder), columns)), axis=1)
            for folder in folders if (folder / WEIGHTS).exists()]  # fmt: skip
    if rows:
        write_png(path, np.concatenate(rows))


def export(run: Run, bench: Bench, path: Path) -> None:
    """The averaged generator as it stands, in half precision."""
    folder = bench.work / run.name
    if (folder / WEIGHTS).exists():
        facts = json.loads((folder / WEIGHTS).with_suffix(".json").read_text(encoding="utf-8"))
        facts |= {"run": run.name, "seconds": read_log(folder)[-1]["seconds"], "held_out": bench.share}
        facts |= {"sources": bench.store.config["sources"]}
        save_generator(path, load_generator(folder).half(), facts)
