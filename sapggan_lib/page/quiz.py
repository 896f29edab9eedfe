"""The quiz's images that are not generated: radiographs that a program drew, and never anything else."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sapggan_lib.store import open_store, read_facts

QUESTIONS = 6


def draw(n: int, resolution: int, channels: int) -> np.ndarray:
    """`n` phantoms, written as DICOM and preprocessed by the defaults: uint8 `[n, R, R]` or `[n, R, R, 3]`."""
    from sapggan_lib.base.config import PreprocessConfig, from_mapping
    from sapggan_lib.phantoms import write_phantoms
    from sapggan_lib.preprocessing import preprocess

    config = from_mapping(PreprocessConfig, {"size": resolution, "channels": channels}, "page")
    with tempfile.TemporaryDirectory() as folder:
        scans, store = Path(folder) / "scans", Path(folder) / "store"
        write_phantoms(scans, n=3 * n + 8, workers=1)        # two in three are posteroanterior, the others dropped
        preprocess(scans, store, config, workers=1)
        return open_store(store).images[:n].copy()


def of_store(work: Path, data: Mapping[str, Any]) -> np.ndarray | None:
    """A few images of the store in a run's `work` that `data` says are drawn; None where the store is gone."""
    for path in sorted(work.glob("store-*/store.json")):
        if read_facts(path.parent)["hash"] == data.get("store"):
            images = open_store(path.parent).images
            chosen = np.random.default_rng(0).choice(len(images), min(QUESTIONS, len(images)), replace=False)
            return images[np.sort(chosen)]
    return None
