"""SAPGGAN on a laptop's two cores: 64x64 chest radiographs, widths up to 64, and its Fréchet distance as it learns.

    OMP_NUM_THREADS=1 python -m torch.distributed.run --standalone --nproc-per-node 2 \\
        benchmarks/cpu_experiment.py FOLDER_OF_IMAGES ... --out OUT

One process a core. Run it again with the same arguments to go on after an interruption. The distance is FD
(EfficientNet-Lite0) of 1,000 samples of the averaged generator against a quarter of the images; `seconds` is training
time alone.
"""

import argparse
import csv
import os
from pathlib import Path

import cv2
import numpy as np
import torch

from sapggan_lib.checkpoint import CHECKPOINT
from sapggan_lib.config import ModelConfig, TrainConfig
from sapggan_lib.evaluation import FrechetCallback, build_extractor, extract_features
from sapggan_lib.training import train

SIDE = 64
WIDTHS = (64, 64, 64, 64, 32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", nargs="+", type=Path, help="folders of images, with a CSV beside them: PA only")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--kimg", type=float, default=60.0)
    parser.add_argument("--every", type=float, default=10.0, help="kimg between distances; 0: at the end alone")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--lr", type=float, default=None)
    parser.add_argument("--ema", type=float, default=2.0, help="half-life in kimg")
    parser.add_argument("--samples", type=int, default=1000)
    arguments = parser.parse_args()

    images = load(arguments.images)
    first = os.environ.get("RANK", "0") == "0"
    print(f"{len(images):,} images of {SIDE}x{SIDE}, {torch.get_num_threads()} threads", flush=True)
    extractor = build_extractor()
    score = Score(extract_features(images[::4], extractor), extractor, arguments.samples, seed=1) if first else None
    every = arguments.every
    config = TrainConfig(
        ModelConfig("sapggan", resolution=SIDE, latent=64, widths=WIDTHS),
        kimg=arguments.kimg, batch=arguments.batch, lr=arguments.lr, ema_half_life=arguments.ema, device="cpu",
        snapshot_kimg=tuple(np.arange(every, arguments.kimg, every).tolist()) if every else (),
        log_kimg=0.5, sample_kimg=5.0, checkpoint_kimg=5.0,
    )
    result = train(images, arguments.out, config, resume=(arguments.out / CHECKPOINT).exists(), on_snapshot=score)
    if not first:
        return
    print(f"{'kimg':>8} {'seconds':>9} {'FD (EfficientNet-Lite0)':>25}")
    for line in result.log:
        if "fd" in line:
            print(f"{line['kimg']:8.2f} {line['seconds']:9.0f} {line['fd']:25.1f}")
    print(f"{result.kimg * 1000 / result.seconds:.1f} images/s over {result.seconds:.0f} s of training")


def load(folders: list[Path]) -> np.ndarray:
    """uint8 `[N, 64, 64]`; of a folder with a table named Data_Entry.csv above it, the PA images alone."""
    images = []
    for folder in folders:
        table, views = folder.parent / "Data_Entry.csv", {}
        if table.is_file():
            with table.open(newline="") as stream:
                views = {Path(row["Image Index"]).stem: row["View Position"] for row in csv.DictReader(stream)}
        for path in sorted(folder.iterdir()):
            if views.get(path.stem, "PA") == "PA":
                image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
                images.append(cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA))
    return np.stack(images)


class Score(FrechetCallback):
    """As its base, on all cores: the other processes wait meanwhile."""

    def __call__(self, kimg: float, generator: torch.nn.Module) -> dict[str, float]:
        threads = torch.get_num_threads()
        torch.set_num_threads(os.cpu_count() or 1)
        scores = super().__call__(kimg, generator)
        torch.set_num_threads(threads)
        print(f"{kimg:.2f} kimg: FD (EfficientNet-Lite0) {scores['fd']:.1f}", flush=True)
        return scores


if __name__ == "__main__":
    main()
