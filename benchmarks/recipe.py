"""What keeps SAPGGAN alive: trainings on real radiographs that differ in one thing, by their Fréchet distance.

    python -m benchmarks.recipe FOLDER_OF_IMAGES ... --out OUT [--side 32] [--kimg 40] [--seeds 0 1 2] \\
        [--variants r1-.1 r1-10 ...] [--widths 64 64 64 32] [--batch 8] [--minutes 20] [--start-from RUN_OR_WEIGHTS]

Run it again with the same arguments to go on after an interruption; it prints all that `OUT` holds. The distance is FD
(EfficientNet-Lite0) of `--samples` samples of the averaged generator against a quarter of the images; `spread` is the
mean over pixels of the standard deviation over samples, in gray levels; `seconds` is training time alone. The
log of each training has precision, recall, density and coverage beside each distance.
"""

import argparse
import csv
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from torch import nn

from sapggan_lib.base.config import from_mapping, to_mapping
from sapggan_lib.evaluation import (
    FrechetCallback,
    build_extractor,
    coverage_scores,
    extract_features,
    frechet_distance,
)
from sapggan_lib.models import ModelConfig, generate, load_generator
from sapggan_lib.training import CHECKPOINT, TrainConfig, read_log, spread, train

VARIANTS: dict[str, dict[str, Any]] = {  # what each changes in BASE
    "base": {},
    "no-r1": {"r1_gamma": 0.0},
    "r1-.1": {"r1_gamma": 0.1},
    "r1-10": {"r1_gamma": 10.0},
    "no-se": {"model": {"attention": "none"}},
    "betas-.9": {"betas": [0.0, 0.9]},
    "lr-.001": {"lr": 0.001},
    "lr-.002": {"lr": 0.002},
    "lr-.004": {"lr": 0.004},
    "batch-4": {"batch": 4},
    "batch-16": {"batch": 16},
    "ema-1": {"ema_half_life": 1.0},
    "ema-4": {"ema_half_life": 4.0},
    "pairing": {"loss": "relativistic-pairing", "r2_gamma": 1.0},
    "minmax": {"loss": "minmax"},
    "hinge": {"loss": "hinge"},
    "wide": {"model": {"widths": [128, 128, 64, 32]}},
    "crop": {"augment": ["crop"]},
    "translation": {"augment": ["translation"]},
}
BASE = {"loss": "ra-hinge", "lr": 0.003, "betas": [0.0, 0.99], "r1_gamma": 1.0, "ema_half_life": 2.0}


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", nargs="+", type=Path, help="folders of images, with a CSV beside them: PA only")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=["base"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--side", type=int, default=32)
    parser.add_argument("--widths", nargs="+", type=int, default=[64, 64, 64, 32])
    parser.add_argument("--latent", type=int, default=64)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--kimg", type=float, default=40.0)
    parser.add_argument("--every", type=float, default=20.0, help="kimg between distances")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="of training, for each")
    parser.add_argument("--start-from", type=Path, help="a run's folder or a generator's file, as of `sapggan train`")
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="fields of TrainConfig, as JSON")
    return parser


def main() -> None:
    arguments = build_parser().parse_args()

    images = load(arguments.images, arguments.side)
    extractor = build_extractor()
    score = Score(extract_features(images[::4], extractor), extractor, arguments.samples, seed=1)
    print(f"{len(images):,} images of {arguments.side}x{arguments.side}; their spread {spread(images):.1f}", flush=True)
    for seed in arguments.seeds:
        for variant in arguments.variants:
            folder = arguments.out / f"{variant}, seed {seed}"
            result = train(
                images, folder, configuration(arguments, variant, seed), resume=(folder / CHECKPOINT).exists(),
                on_snapshot=score, seconds=60 * arguments.minutes, start_from=arguments.start_from,
            )
            if not result.finished:  # out of time: score what is there
                write_last(folder, result.kimg, result.seconds, score)
            print(table(arguments.out), flush=True)


def configuration(arguments: argparse.Namespace, variant: str, seed: int) -> TrainConfig:
    model = ModelConfig("sapggan", arguments.side, latent=arguments.latent, widths=tuple(arguments.widths))
    points = tuple(np.arange(arguments.every, arguments.kimg, arguments.every).round(3).tolist())
    config = TrainConfig(
        model, kimg=arguments.kimg, batch=arguments.batch, seed=seed, snapshot_kimg=points, log_kimg=1.0,
        sample_kimg=arguments.every, checkpoint_kimg=arguments.every / 2,
    )
    changes = dict(VARIANTS[variant])
    for setting in arguments.set:
        key, value = setting.split("=", 1)
        changes[key] = json.loads(value)
    changed = to_mapping(config) | BASE | changes
    changed["model"] = to_mapping(config.model) | changes.get("model", {})
    return from_mapping(TrainConfig, changed, variant)


def load(folders: list[Path], side: int) -> np.ndarray:
    """uint8 `[N, side, side]`; of a folder with a table named Data_Entry.csv above it, the PA images alone."""
    images = []
    for folder in folders:
        table, views = folder.parent / "Data_Entry.csv", {}
        if table.is_file():
            with table.open(newline="") as stream:
                views = {Path(row["Image Index"]).stem: row["View Position"] for row in csv.DictReader(stream)}
        for path in sorted(folder.iterdir()):
            if views.get(path.stem, "PA") == "PA":
                image = np.asarray(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE))
                images.append(cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA))
    return np.stack(images)


class Score(FrechetCallback):
    """FD with precision, recall, density and coverage beside it, and the spread of 256 samples."""

    def __call__(self, kimg: float, generator: nn.Module) -> dict[str, float]:
        fake = extract_features(generate(generator, self.n, seed=self.seed), self.extractor, progress=False)
        scores = {"fd": frechet_distance(self.real, fake), **coverage_scores(self.real, fake)}
        return scores | {"spread": round(spread(generate(generator, 256, seed=1)), 2)}


def write_last(folder: Path, kimg: float, seconds: float, score: Score) -> None:
    """Score a training that ran out of time, as one that reached its end is."""
    step = read_log(folder)[-1]["step"]
    line = {"kimg": kimg, "step": step, "seconds": round(seconds, 2)} | score(kimg, load_generator(folder))
    with (folder / "log.jsonl").open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(line) + "\n")


def table(out: Path) -> str:
    """All scores below `out`, a line each training: FD at each point, then seconds and spread at the last."""
    lines = []
    for log in sorted(out.glob("*/log.jsonl")):
        points = [row for row in map(json.loads, log.read_text().splitlines()) if "fd" in row]
        if points:
            distances = "  ".join(f"{row['kimg']:g}: {row['fd']:.1f}" for row in points)
            lines.append(f"{log.parent.name:24} {distances}  ({points[-1]['seconds']:.0f} s, spread "
                         f"{points[-1]['spread']:.1f})")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
