"""Preprocessing step by step, for notebook 01: what tells the view, one file on its way, formats timed."""

import io
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from pydicom import Dataset

from sapggan_lib.base.config import PreprocessConfig
from sapggan_lib.base.images import is_image, read_image
from sapggan_lib.dicom import decide_view, read_radiograph
from sapggan_lib.phantoms import Shot, phantom_dataset
from sapggan_lib.preprocessing import Item, apply_clahe, crop_generator, process_item, random_crop, resize, to_uint8
from sapggan_lib.store import IMAGE_FILES, open_store, write_store

ODD_FILES: dict[str, dict[str, str]] = {        # what is changed in a synthetic file's header
    "a PA radiograph": {}, "a lateral one": {"ViewPosition": "LL"}, "a hip": {"BodyPartExamined": "HIP"},
    "a header without a view": {"ViewPosition": "", "PatientOrientation": "", "SeriesDescription": ""},
    "text burned in": {"BurnedInAnnotation": "YES"}, "a file cut short": {},
}  # fmt: skip


def synthetic_file(photometric: str, header: Mapping[str, str] | None = None, size: int = 512) -> Dataset:
    """A synthetic PA radiograph as DICOM, taller than wide, of 12 bit, stored as `photometric` says; `header` added."""
    dataset = phantom_dataset(Shot("", 3, 1, "PA", 12, photometric, True, "ExplicitVRLittleEndian"), 0, size)
    for name, value in (header or {}).items():
        setattr(dataset, name, value)
    return dataset


def odd_file_rows() -> pd.DataFrame:
    """What the manifest says of each of `ODD_FILES`. Columns: `file`, `status`, `reason`, `view`, `evidence`."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file.dcm"
        for name, header in ODD_FILES.items():
            synthetic_file("MONOCHROME2", header, size=64).save_as(path, enforce_file_format=True)
            if name == "a file cut short":
                path.write_bytes(path.read_bytes()[:-1000])
            rows.append({"file": name, **process_item(Item(name, str(path)), PreprocessConfig(), b"")[0]})
    return pd.DataFrame(rows).fillna("")[["file", "status", "reason", "view", "evidence"]]


def what_was_found(manifest: pd.DataFrame) -> list[str]:
    """A store's manifest in sentences: what was kept, dropped and failed and why, views, sizes, inverted files."""

    def listed(names: pd.Series) -> str:
        return ", ".join(f"{count:,} {name}" for name, count in names.value_counts().head(5).items())

    kept = manifest[manifest["status"] == "kept"]
    sentences = [f"Of {len(manifest):,} files {len(kept):,} were kept."]
    for status in ("dropped", "failed"):
        why = manifest["reason"][manifest["status"] == status]
        sentences += [f"{len(why):,} {status}: {listed(why)}." if len(why) else f"None {status}."]
    rows, columns = kept["rows"].astype(int), kept["columns"].astype(int)
    return [
        *sentences,
        f"Views: {listed(manifest['view'].replace('', 'not read'))}.",
        f"Kept images: {rows.min():,} to {rows.max():,} rows, {columns.min():,} to {columns.max():,} columns; "
        f"made square, the width of one changes by up to {(rows / columns - 1).abs().max():.0%} against its height.",
        f"{(kept['photometric'] == 'MONOCHROME1').sum():,} of those kept are MONOCHROME1, and were inverted.",
    ]


def header_views(path: Path | str) -> pd.DataFrame:
    """`view` and `evidence` for each row of a table of DICOM headers, a CSV as OpenI publishes.

    No pixels are needed to decide a view. Columns of the table: `Modality`, `Body Part Examined`, `View Position`,
    `Patient Orientation` (a list in brackets).
    """
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
    return pd.DataFrame(rows, columns=["view", "evidence"])


def read_pixels(path: Path, side: int = 1024) -> np.ndarray:
    """The image of a DICOM file, PNG or JPEG as a viewer shows it, shrunk to at most `side` so that it draws at once.

    uint8 or uint16 `[H, W]`, or uint8 `[H, W, 3]`. Raises `OSError` when it cannot be opened, `SapgganError` when it
    holds no image.
    """
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
    images = {"as a viewer shows it": pixels}
    image = pixels
    if tuple(window) != (0.0, 100.0):
        low, high = np.percentile(pixels, window)
        top = np.iinfo(pixels.dtype).max
        image = ((pixels - low) / max(high - low, 1) * top).clip(0, top).astype(pixels.dtype)
        images["window"] = image
    image = images["CLAHE"] = apply_clahe(image, config.clip_limit, config.tiles)
    image = images["random crop"] = random_crop(image, config.crop, crop_generator(pixels, config.seed))
    images["resized"] = resize(image, config.size)
    return {label: to_uint8(image) for label, image in images.items()}


def reading_growth(images: np.ndarray, megabytes: Sequence[float], n: int = 16) -> pd.DataFrame:
    """Seconds to open a store and read `n` images, for both formats and stores of several sizes.

    `images`, uint8 [N, H, W], are repeated to fill each size. Columns: `format`, `images`, `MB`, `seconds`.
    """
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
