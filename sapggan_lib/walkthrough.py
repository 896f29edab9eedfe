"""Preprocessing step by step, for notebook 01: what was kept, what told the view, one file on its way."""

import io
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sapggan_lib.config import PreprocessConfig
from sapggan_lib.store import Store, open_store, write_store

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
