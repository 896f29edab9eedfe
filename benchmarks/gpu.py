"""Everything to be measured on a GPU: one command a step, each under 9 minutes, each going on where it stopped.

On the machine with the images (no GPU needed):

    python -m benchmarks.gpu pack nih rsna --size 128 --pack build/pack          # about 46 MiB, to be carried along
    python -m benchmarks.gpu pack nih --size 512 --pack build/pack512            # for 256 and 512 pixels

On the machine with the GPU (torch, numpy, OpenCV, Pillow and safetensors are enough), one after the other:

    python -m benchmarks.gpu speed --out OUT                                     # images/s against plain, memory
    python -m benchmarks.gpu models --out OUT --pack build/pack                  # four models, equal seconds
    python -m benchmarks.gpu losses --out OUT --pack build/pack                  # SAPGGAN with four losses
    python -m benchmarks.gpu attention --out OUT --pack build/pack               # se, sagan, none
    python -m benchmarks.gpu long --train-seconds 900 --out OUT --pack build/pack            # the model to publish
    python -m benchmarks.gpu score --train-seconds 900 --out OUT --pack build/pack           # its scores and card
    python -m benchmarks.gpu long --resolution 512 --out OUT512 --pack build/pack512         # or 256
    python -m benchmarks.gpu table --out OUT                                     # all results as Markdown

Exit status 3: time is up, call the same command again. `--work` (build/gpu) keeps stores, checkpoints and results
between the calls on one machine; OUT gets what is worth taking home: results.jsonl, sheets of samples, the generator in
half precision and its card, 8 files at most. On another machine results.jsonl in OUT is enough for finished work not to
be done again; a training in progress starts anew there.
"""

import argparse
import importlib.util
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu_data import Budget, OutOfTime, Results, check_limits, markdown, pack
from benchmarks.gpu_runs import Bench, Run, export, sheet, train_run
from benchmarks.gpu_score import score_generator
from benchmarks.train_speed import measure
from sapggan_lib.base.errors import SapgganError
from sapggan_lib.training import choose_device

AGAIN = 3                                            # exit status: call again
MODELS = ("sapggan", "pggan", "stylegan", "dcgan")
SPEED = ("model", "resolution", "batch", "loss", "images_per_s", "float32", "plain", "ratio", "r1_step", "warm_up",
         "gigabytes", "paths", "device")  # fmt: skip
RUN = ("run", "trained_seconds", "kimg", "images_per_s", "warm_up", "fd", "fd_low", "fd_high", "kid", "n_fake",
       "n_real", "floor", "device")  # fmt: skip
SCORE = ("generator", "kimg", "fd", "fd_low", "fd_high", "fd_floor", "kid", "kid_low", "kid_high", "precision",
         "recall", "closer_to_train", "n_fake", "n_real", "device")  # fmt: skip


def speed(options: argparse.Namespace, budget: Budget, results: Results) -> None:
    """Each model and resolution, then the tests that need CUDA, where pytest is installed."""
    device = choose_device(options.device)
    name = device_name(device)
    for side in options.resolutions:
        for model in options.models:
            facts = {"step": "speed", "model": model, "resolution": side, "batch": options.batch,
                     "widest": options.widest, "device": name}  # fmt: skip
            if not results.find(**facts):
                budget.need(120 if device.type == "cuda" else 0)    # a 512-pixel network compiles for minutes
                config = Run(model, resolution=side, batch=options.batch, widest=options.widest).config()
                line = measure(config, options.measure_seconds, device)
                results.add(facts | line | {"command": command(options), "torch": torch.__version__})
    if device.type == "cuda" and importlib.util.find_spec("pytest") and not results.find(step="tests", device=name):
        budget.need(60)
        call = [sys.executable, "-m", "pytest", "-q", "tests/training/test_accelerate.py"]
        try:
            status = subprocess.run(call, check=False, timeout=budget.left()).returncode
        except subprocess.TimeoutExpired:
            raise OutOfTime from None
        results.add({"step": "tests", "device": name, "command": " ".join(call[1:]), "status": status})


def train_all(options: argparse.Namespace, budget: Budget, results: Results) -> None:
    """Train and score the runs of a step; `long` also exports its generator, unfinished or not."""
    bench = Bench(options.pack, options.work, options.archive_size, results, budget, choose_device(options.device),
                  options.samples, options.samples_along, options.held_out)  # fmt: skip
    runs = runs_of(options)
    try:
        for run in runs:
            facts = {"step": options.step, "command": command(options), "device": device_name(bench.device)}
            train_run(run, bench, facts | {"torch": torch.__version__})
    finally:
        sheet(runs, bench, options.out / f"{options.step}.png")
        if options.step == "long":
            export(runs[0], bench, options.out / "generator.safetensors")


def runs_of(options: argparse.Namespace) -> list[Run]:
    """The trainings of a step; the one with all defaults belongs to several and is made once."""
    base = {name: getattr(options, name) for name in ("resolution", "batch", "widest", "train_seconds", "points")}
    if options.step == "models":
        return [Run(model, **base) for model in options.models]
    if options.step == "losses":
        return [Run("sapggan", loss, **base) for loss in ("ra-hinge", "hinge", "wgan-gp", "minmax")]
    if options.step == "attention":
        return [Run("sapggan", attention=attention, **base) for attention in ("se", "sagan", "none")]
    return [Run("sapggan", **base)]


def score(options: argparse.Namespace, budget: Budget, results: Results) -> None:
    """The exported generator's scores, memorisation audit and model card."""
    budget.need()
    bench = Bench(options.pack, options.work, options.archive_size, results, budget, choose_device(options.device),
                  options.samples, options.samples_along, options.held_out)  # fmt: skip
    facts = {"step": "score", "command": command(options), "device": device_name(bench.device)}
    score_generator(options.out / "generator.safetensors", bench, facts | {"torch": torch.__version__})


def tables(results: Results) -> str:
    """All results as Markdown, for benchmarks/RESULTS.md."""
    parts = []
    for step in dict.fromkeys(line["step"] for line in results.lines):
        lines = [line for line in results.lines if line["step"] == step]
        columns = {"speed": SPEED, "score": SCORE, "tests": ("command", "status", "device")}.get(step, RUN)
        commands = "\n".join(f"`{text}`" for text in dict.fromkeys(line["command"] for line in lines))
        parts.append(f"### {step}\n\n{commands}\n\n{markdown(lines, columns)}\n")
    return "\n".join(parts)


def command(options: argparse.Namespace) -> str:
    """The command that makes a line, without this machine's folders."""
    words = ["python -m benchmarks.gpu", options.step]
    for name in sorted(options.told):
        value = getattr(options, name)
        text = " ".join(map(str, value)) if isinstance(value, list) else str(value).removesuffix(".0")
        words.append(f"--{name.replace('_', '-')} {text}")
    return " ".join([*words, "--out OUT"])


def device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=["pack", *STEPS, "table"])
    parser.add_argument("sources", nargs="*", type=Path, help="pack: folders with images and a CSV, or with DICOM")
    parser.add_argument("--size", type=int, default=128, help="pack: side of the images in pixels")
    parser.add_argument("--quality", type=int, default=90, help="pack: of the JPEG files")
    parser.add_argument("--pack", type=Path, default=Path("build/pack"), help="what `pack` writes and the rest reads")
    parser.add_argument("--out", type=Path, default=Path("build/out"), help="what is worth taking home")
    parser.add_argument("--work", type=Path, default=Path("build/gpu"), help="what the next call needs")
    parser.add_argument("--seconds", type=float, default=520, help="wall time of this call; 240 or more on CUDA")
    parser.add_argument("--reserve", type=float, default=60, help="of it, for scoring and writing")
    measured = parser.add_argument_group("what is measured")
    numbers: dict[str, tuple[Callable[[str], Any], Any, str]] = {
        "train-seconds": (float, 100.0, "of training, equal for all runs of a step"),
        "points": (int, 4, "scores along a training"),
        "batch": (int, 16, "images of a step"),
        "widest": (int, 256, "feature maps of the widest layer; 512: the paper's, too large to take home"),
        "resolution": (int, 128, "of the models"),
        "archive-size": (int, 0, "images-SIZE.zip to train on; 0: 128 up to 128 pixels, else 512"),
        "samples": (int, 5000, "generated images for the last score"),
        "samples-along": (int, 1000, "generated images for the scores before it"),
        "held-out": (float, 0.1, "share of the images, by patient, that no model sees"),
        "measure-seconds": (float, 5.0, "speed: of measuring, for each way"),
        "device": (str, "auto", "auto, cpu, cuda"),
    }
    for name, (kind, default, text) in numbers.items():
        measured.add_argument(f"--{name}", type=kind, default=default, help=f"{text} ({default})")
    measured.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    measured.add_argument("--resolutions", nargs="+", type=int, default=[128, 512], help="speed")
    options = parser.parse_args(arguments)
    options.told = {name.replace("-", "_") for name in (*numbers, "models", "resolutions")
                    if getattr(options, name.replace("-", "_")) != parser.get_default(name.replace("-", "_"))}
    if options.step == "speed" and "widest" not in options.told:
        options.widest = 512                         # the paper's
    options.archive_size = options.archive_size or (128 if options.resolution <= 128 else 512)
    return options


STEPS: dict[str, Callable[[argparse.Namespace, Budget, Results], None]] = {
    "speed": speed, "models": train_all, "losses": train_all, "attention": train_all, "long": train_all, "score": score,
}  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    """Run a step; returns the exit status."""
    options = parse(arguments)
    budget = Budget(options.seconds, options.reserve)
    try:
        if options.step == "pack":
            print(pack(options.sources, options.pack, options.size, options.quality))
            return 0
        results, status = Results(options.work, options.out), 0
        try:
            if options.step in STEPS:
                STEPS[options.step](options, budget, results)
        except OutOfTime:
            status = AGAIN
        print(tables(results))
        check_limits(options.out)
    except SapgganError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print("time is up: call the same command again" if status else f"{options.step}: done", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
