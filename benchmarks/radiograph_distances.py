"""Distances between sets of real radiographs and phantoms: is the order the one a radiologist would expect?

All images are brought to one square size by area averaging first, so that resolution is not what is measured.
`python -m benchmarks.radiograph_distances DATA --n 250` writes benchmarks/radiograph_distances.csv, too.
"""

import argparse
import csv
import tempfile
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from sapggan_lib.base.config import PreprocessConfig
from sapggan_lib.evaluation import build_extractor, evaluate, extract_features
from sapggan_lib.phantoms import write_phantoms
from sapggan_lib.preprocessing import preprocess
from sapggan_lib.store import open_store

VIEWS = ("PA", "AP")


def read(paths: list[Path], n: int, size: int, seed: int = 0) -> np.ndarray:
    """`n` of the files, chosen by `seed`, as uint8 [n, size, size]."""
    chosen = np.random.default_rng(seed).choice(len(paths), n, replace=False)
    images = (cv2.imread(str(paths[i]), cv2.IMREAD_GRAYSCALE) for i in chosen)
    return np.stack([cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA) for image in images])


def phantoms(n: int, size: int) -> np.ndarray:
    """PA phantoms without CLAHE and crop, since the real images have had neither."""
    with tempfile.TemporaryDirectory() as folder:
        write_phantoms(Path(folder) / "dicom", n=3 * n, size=256)
        config = PreprocessConfig(size=size, crop=0.0, clip_limit=0.0)
        preprocess(Path(folder) / "dicom", Path(folder) / "store", config)
        return np.array(open_store(Path(folder) / "store").images[:n])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder with nih/ and rsna/")
    parser.add_argument("--n", type=int, default=250, help="images in each set")
    parser.add_argument("--size", type=int, default=224, help="side in pixels that all images are brought to")
    options = parser.parse_args()
    n, size = options.n, options.size

    with (options.data / "nih" / "Data_Entry.csv").open() as stream:
        views = {row["Image Index"]: row["View Position"] for row in csv.DictReader(stream)}
    found = {view: [options.data / "nih" / "images" / name for name, v in views.items() if v == view] for view in VIEWS}
    with (options.data / "rsna" / "metadata.csv").open() as stream:
        names = [row["filename"] for row in csv.DictReader(stream) if float(row["p_pa"]) > 0.9]
    rsna = [options.data / "rsna" / "images" / name for name in names]
    extractor = build_extractor()
    both = read(rsna, 2 * n, size)
    sets = {
        "RSNA PA": both[:n], "its other half": both[n:], "NIH PA": read(found["PA"], n, size),
        "NIH AP": read(found["AP"], n, size), "phantom PA": phantoms(n, size),
    }  # fmt: skip
    features = {name: extract_features(images, extractor) for name, images in sets.items()}

    rows = []
    print(f"FD and KID ({extractor.name}), {n} images a side, all at {size} px by area averaging\n")
    print("| sets | FD [95 %] | KID x 1000 [95 %] | precision | coverage |\n|---|---|---|---|---|")
    pairs = [("RSNA PA", name) for name in ("its other half", "NIH PA", "NIH AP", "phantom PA")]
    for one, other in [*pairs, ("NIH PA", "NIH AP")]:
        scores = evaluate(features[one], features[other]).scores
        rows.append({"real": one, "other": other, "n": n, "size": size} | {
            f"{name} {end}".removesuffix(" value"): round(getattr(scores[name], end), 5)
            for name in ("fd", "kid", "precision", "coverage") for end in ("value", "low", "high")
        })  # fmt: skip
        fd, kid = scores["fd"], scores["kid"]
        print(f"| {one} against {other} | {fd.value:.1f} [{fd.low:.1f}, {fd.high:.1f}] | {1000 * kid.value:.2f} "
              f"[{1000 * kid.low:.2f}, {1000 * kid.high:.2f}] | {scores['precision'].value:.2f} "
              f"| {scores['coverage'].value:.2f} |", flush=True)
    pd.DataFrame(rows).to_csv(Path(__file__).with_suffix(".csv"), index=False)


if __name__ == "__main__":
    main()
