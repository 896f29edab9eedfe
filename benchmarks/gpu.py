"""What a GPU does: fast paths against the plain step, speed and memory, trainings of equal seconds with scores.

    sapggan preprocess SCANS store --size 128
    python -m benchmarks.gpu store --out build/gpu                                # all steps
    python -m benchmarks.gpu store --out build/gpu --steps long --train-seconds 900

exact      every fast path computes what the plain step does, and the tests that need CUDA, where pytest is installed
speed      images/s of each model with, without fast paths and of a textbook's step, memory (benchmarks.train_speed)
models     SAPGGAN, PGGAN, StyleGAN, DCGAN, each trained for `--train-seconds` and scored at `--points`
losses     the same for SAPGGAN with four losses
attention  the same for squeeze and excitation, SAGAN's self-attention, none
long       the same for SAPGGAN alone, with its generator in half precision

Interrupted or killed, the same command goes on: OUT/results.jsonl has a line for each thing measured, and each training
has its checkpoint. At the end all results are printed as Markdown. torch, numpy, OpenCV, Pillow, safetensors and the
two packages of EfficientNet-Lite0 are enough, on a CPU too.
"""

import argparse
import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu_runs import Bench, Results, Run, export, sheet, train_run
from benchmarks.train_speed import measure
from sapggan_lib import doctor
from sapggan_lib.base.errors import SapgganError
from sapggan_lib.store import open_store
from sapggan_lib.training import choose_device

MODELS = ("sapggan", "pggan", "stylegan", "dcgan")
STEPS = ("exact", "speed", "models", "losses", "attention", "long")
COLUMNS = {
    "exact": ("name", "state", "detail"),
    "speed": ("model", "side", "batch", "loss", "images_per_s", "float32", "plain", "ratio", "r1_step", "warm_up",
              "gigabytes", "paths"),
    "train": ("run", "trained_seconds", "kimg", "images_per_s", "fd", "fd_low", "fd_high", "fd_floor", "kid",
              "precision", "recall", "closer_to_train", "authenticity", "n", "n_real"),
}  # fmt: skip


def exact(results: Results, facts: dict[str, Any]) -> None:
    """The doctor's lines about the device, then the tests of the fast paths."""
    if not results.find(step="exact", **facts):
        for check in list(doctor.examine_device()):
            results.add({"step": "exact", **facts, **vars(check)})
    if torch.cuda.is_available() and importlib.util.find_spec("pytest") and not results.find(name="tests", **facts):
        status = subprocess.run([sys.executable, "-m", "pytest", "-q", "tests/training/test_accelerate.py"]).returncode
        results.add({"step": "exact", **facts, "name": "tests", "state": "failed" if status else "ok",
                     "detail": f"tests/training/test_accelerate.py ends with status {status}"})  # fmt: skip


def speed(options: argparse.Namespace, results: Results, facts: dict[str, Any]) -> None:
    """Each model and resolution at the paper's width."""
    for side in options.resolutions:
        for model in options.models:
            known = facts | {"step": "speed", "model": model, "side": side, "batch": options.batch}
            if not results.find(**known):
                config = Run(model, resolution=side, batch=options.batch, widest=options.speed_widest).config()
                results.add(known | measure(config, options.measure_seconds, choose_device("auto")))


def runs_of(step: str, options: argparse.Namespace) -> list[Run]:
    """The trainings of a step; the one with all defaults belongs to several and is made once."""
    base = {name: getattr(options, name) for name in ("resolution", "batch", "widest", "train_seconds")}
    return {
        "models": [Run(model, **base) for model in options.models],
        "losses": [Run("sapggan", loss, **base) for loss in ("ra-hinge", "hinge", "wgan-gp", "minmax")],
        "attention": [Run("sapggan", attention=attention, **base) for attention in ("se", "sagan", "none")],
        "long": [Run("sapggan", **base)],
    }[step]


def train_all(step: str, options: argparse.Namespace, bench: Bench, facts: dict[str, Any]) -> None:
    """Train and score the runs of a step; a sheet of samples, and of `long` the generator."""
    runs = runs_of(step, options)
    for run in runs:
        train_run(run, options.points, bench, facts)
    folders = [bench.out / run.name for run in runs]
    if all(folder.is_dir() for folder in folders):       # else made elsewhere, and only the results were brought along
        sheet(folders, bench.out / f"{step}.png")
        if step == "long":
            export(folders[0], bench.out / "generator.safetensors")


def table(step: str, lines: list[dict[str, Any]]) -> str:
    """A step's results as Markdown, for benchmarks/RESULTS.md."""
    columns = COLUMNS.get(step, COLUMNS["train"])
    rows = [[name.replace("_", " ") for name in columns], ["---"] * len(columns)]
    for line in lines:
        values = (line.get(name) for name in columns)
        rows.append(["" if v is None else f"{v:,.4g}" if isinstance(v, float) else str(v) for v in values])
    return f"### {step}\n\n" + "\n".join("| " + " | ".join(row) + " |" for row in rows) + "\n"


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("store", metavar="STORE", type=Path, help="what `sapggan preprocess` wrote")
    add("--out", type=Path, default=Path("build/gpu"), help="results, trainings, samples (build/gpu)")
    add("--steps", nargs="+", choices=STEPS, default=STEPS)
    add("--models", nargs="+", choices=MODELS, default=MODELS)
    add("--resolution", type=int, help="of the trainings (the store's)")
    add("--batch", type=int, default=16, help="images of a step (16)")
    add("--widest", type=int, default=256, help="feature maps of the trainings' widest layer (256; the paper's: 512)")
    add("--train-seconds", type=float, default=100.0, help="of training, equal for all runs of a step (100)")
    add("--points", type=int, default=4, help="scores along a training (4)")
    add("--samples", type=int, default=5000, help="generated images for the last score (5000)")
    add("--samples-along", type=int, default=1000, help="generated images for the scores before it (1000)")
    add("--held-out", type=float, default=0.1, help="share of the images, by patient, that no model sees (0.1)")
    add("--resolutions", nargs="+", type=int, default=[128, 512], help="speed (128 512)")
    add("--speed-widest", type=int, default=512, help="speed: feature maps of the widest layer (512)")
    add("--measure-seconds", type=float, default=5.0, help="speed: of measuring, for each way (5)")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Run the steps; returns the exit status."""
    options = parse(arguments)
    device = choose_device("auto")
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    facts = {"device": name, "torch": torch.__version__}
    try:
        store = open_store(options.store)
        options.resolution = options.resolution or store.resolution
        options.out.mkdir(parents=True, exist_ok=True)
        results = Results(options.out / "results.jsonl")
        bench = Bench(store, options.out, results, options.samples, options.samples_along, options.held_out)
        for step in options.steps:
            if step == "exact":
                exact(results, facts)
            elif step == "speed":
                speed(options, results, facts)
            else:
                train_all(step, options, bench, facts)
    except SapgganError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{name}, torch {torch.__version__}")
    for step in options.steps:
        runs = {run.name for run in runs_of(step, options)} if step not in ("exact", "speed") else set()
        print(table(step, [line for line in results.lines if line.get("run") in runs or line.get("step") == step]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
