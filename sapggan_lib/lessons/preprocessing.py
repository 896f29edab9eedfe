"""Preprocessing step by step, for notebook 01: what was kept, what told the view, one file on its way."""

import io
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sapggan_lib.base.config import PreprocessConfig
from sapggan_lib.store import IMAGE_FILES, Store, open_store, write_store

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


def read_pixels(path: Path, side: int = 1024) -> np.ndarray:
    """The image of a DICOM file, PNG or JPEG as a viewer shows it, shrunk to at most `side` so that it draws at once.

    uint8 or uint16 `[H, W]`, or uint8 `[H, W, 3]`. Raises `SapgganError` when the file cannot be read.
    """
    import cv2

    from sapggan_lib.base.images import is_image, read_image
    from sapggan_lib.dicom import read_radiograph

    data = path.read_bytes()
    pixels = read_image(io.BytesIO(data), path.name) if is_image(data) else read_radiograph(path).pixels
    scale = min(1.0, side / max(pixels.shape[:2]))
    return cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else pixels


def preprocessing_steps(
    pixels: np.ndarray,                          # uint8 or uint16 [H, W], or uint8 [H, W, 3]
    config: PreprocessConfig,
    window: tuple[float, float] = (0.0, 100.0),  # percentiles that become black and white
) -> dict[str, np.ndarray]:
    """One image after each step of preprocessing, uint8, in order; a `window` narrower than all adds its own step."""
    from sapggan_lib.preprocessing import steps

    images = {"as a viewer shows it": pixels}
    image = pixels
    if tuple(window) != (0.0, 100.0):
        low, high = np.percentile(pixels, window)
        top = np.iinfo(pixels.dtype).max
        image = ((pixels - low) / max(high - low, 1) * top).clip(0, top).astype(pixels.dtype)
        images["window"] = image
    image = images["CLAHE"] = steps.apply_clahe(image, config.clip_limit, config.tiles)
    image = images["random crop"] = steps.random_crop(image, config.crop, steps.crop_generator(pixels, config.seed))
    images["resized"] = steps.resize(image, config.size)
    return {label: steps.to_uint8(image) for label, image in images.items()}


def reading_growth(images: np.ndarray, megabytes: Sequence[float], n: int = 16) -> "pd.DataFrame":
    """Seconds to open a store and read `n` images, for both formats and stores of several sizes.

    `images`, uint8 [N, H, W], are repeated to fill each size. Columns: `format`, `images`, `MB`, `seconds`.
    """
    import pandas as pd

    rows = []
    for size in megabytes:
        count = max(n, round(size * 1e6 / images[0].size))
        many = images[np.arange(count) % len(images)]
        for form, file in IMAGE_FILES.items():
            with tempfile.TemporaryDirectory() as folder:
                store = write_store(Path(folder) / form, many, format=form)
                start = time.perf_counter()
                np.array(open_store(store.path).images[:n])
                seconds = time.perf_counter() - start
                rows.append((form, count, round((store.path / file).stat().st_size / 1e6, 1), seconds))
    return pd.DataFrame(rows, columns=["format", "images", "MB", "seconds"])
