"""A folder of synthetic chest radiographs as DICOM, in the variety that hospitals send; the same bytes by seed."""

import csv
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydicom import uid
from pydicom.dataset import Dataset, FileMetaDataset

from sapggan_lib.base.errors import SapgganError
from sapggan_lib.base.files import ROOT, atomic_path, write_json
from sapggan_lib.phantoms.chest import FINDINGS
from sapggan_lib.phantoms.image import View, finding_boxes, phantom_image

VISITS: tuple[tuple[View, ...], ...] = (                  # what one patient has; 64 % of all images are PA
    ("PA",), ("PA",), ("PA", "lateral"), ("PA", "lateral"), ("PA", "PA"), ("PA", "PA", "lateral"), ("PA", "AP"),
    ("AP",),
)  # fmt: skip
SYNTAXES = ("ExplicitVRLittleEndian", "RLELossless", "JPEG2000Lossless")
DRAWING = 2    # goes up when the same arguments give other pixels


@dataclass(frozen=True)
class Shot:
    """One image to write."""

    path: str               # below the output folder
    patient: int
    number: int             # of the patient's images
    view: View
    bits: int               # stored: 12 or 16
    photometric: str        # MONOCHROME1 or MONOCHROME2
    window: bool            # WindowCenter and WindowWidth are present
    syntax: str             # one of `SYNTAXES`
    finding: str = ""       # one of `FINDINGS` that it shows


def plan_phantoms(n: int, seed: int = 0, findings: float = 0.0) -> list[Shot]:
    """What `write_phantoms` writes: `n` images of about `0.58 * n` patients, every combination of formats.

    A finding changes nothing else of the plan, and who has one at a low rate has the same one at a higher rate.
    """
    rng, chance, patient = np.random.default_rng([seed, n]), np.random.default_rng([seed, n, 1]), 0
    shots: list[Shot] = []
    while len(shots) < n:
        patient += 1
        ill, finding = chance.random() < findings, str(chance.choice(FINDINGS))
        for number, view in enumerate(VISITS[rng.integers(len(VISITS))], 1):
            bits, photometric = int(rng.choice((12, 16))), str(rng.choice(("MONOCHROME1", "MONOCHROME2")))
            window, syntax = bool(rng.random() < 0.6), str(rng.choice(SYNTAXES))
            shown = finding if ill and view != "lateral" else ""
            path = f"study{patient:05d}/image{number}.dcm"
            shots.append(Shot(path, patient, number, view, bits, photometric, window, syntax, shown))
    return shots[:n]


def write_phantoms(
    out: Path | str, n: int = 240, seed: int = 0, size: int = 512, workers: int | None = None, findings: float = 0.0
) -> list[Shot]:
    """Write `n` phantoms below `out` and return what was written. `size` is the height in pixels.

    About a share `findings` of the patients has one of `FINDINGS`, in all frontal images; `findings.csv` then says
    for each image which one it shows and in which boxes (`x,y,w,h;...` in pixels).
    The same arguments give the same bytes. A folder that holds them already is left alone; another folder with
    something in it raises `SapgganError`.
    """
    out = Path(out).absolute()
    if n < 1 or not 48 <= size <= 4096 or not 0 <= findings <= 1:
        raise SapgganError(f"phantom: n must be at least 1, size 48 to 4096 pixels and findings 0 to 1, "
                           f"not {n}, {size} and {findings}")
    begun, finished = out / ".phantom.partial", out / ".phantom.json"
    wanted: dict[str, Any] = {"n": n, "seed": seed, "size": size, "findings": float(findings), "drawing": DRAWING}
    shots = plan_phantoms(n, seed, findings)
    for marker in (begun, finished):
        if marker.exists() and json.loads(marker.read_text()) != wanted:
            raise SapgganError(f"{out}: holds other phantoms, or such as an older version drew "
                               f"({marker.read_text().strip()}); delete it or choose a new folder")
    if finished.exists():
        return shots
    if not begun.exists() and out.is_dir() and any(not path.name.startswith(".") for path in out.iterdir()):
        raise SapgganError(f"{out}: not empty; choose a new folder for the phantoms")
    write_json(begun, wanted)
    workers = max(min(workers or os.cpu_count() or 1, n // 8), 1)
    command = [sys.executable, "-m", "sapggan_lib.phantoms", str(out)]
    parts = [[*command, json.dumps([wanted, k, workers])] for k in range(1, workers)]
    children = [subprocess.Popen(part, cwd=ROOT, stderr=subprocess.PIPE, text=True) for part in parts]
    try:
        write_part(out, wanted, 0, workers)
        for child in children:
            _, errors = child.communicate()
            if child.returncode:
                raise SapgganError(f"{out}: {(errors.strip() or 'a worker ended early').splitlines()[-1]}")
    finally:
        for child in children:
            child.kill()
            child.wait()
    if findings:
        with atomic_path(out / "findings.csv") as temporary, temporary.open("w", newline="") as stream:
            table = csv.writer(stream, lineterminator="\n")
            table.writerow(("path", "patient", "view", "finding", "boxes"))
            for shot in shots:
                boxes = finding_boxes(*_drawn(shot, seed, size)) if shot.finding else []
                text = ";".join(",".join(map(str, box)) for box in boxes)
                table.writerow((shot.path, shot.patient, shot.view, shot.finding, text))
    begun.replace(finished)
    return shots


def _drawn(shot: Shot, seed: int, size: int) -> tuple[int, int, View, float, int, str]:
    """The arguments of `phantom_image` and `finding_boxes` for a shot."""
    aspect = float(np.random.default_rng([seed, shot.patient, shot.number]).uniform(0.84, 1.0))
    return seed * 100_003 + shot.patient, size, shot.view, aspect, shot.number, shot.finding


def phantom_dataset(shot: Shot, seed: int, size: int) -> Dataset:
    """The pydicom Dataset of one phantom, complete with file meta information."""
    pixels = phantom_image(*_drawn(shot, seed, size))
    levels = 1 << shot.bits
    stored = pixels >> (16 - shot.bits)
    if not shot.window:                      # raw numbers in a part of the range, as detectors give
        stored = (stored * 0.55 + levels * 0.2).astype(np.uint16)
    if shot.photometric == "MONOCHROME1":
        stored = np.uint16(levels - 1) - stored

    def make_uid(*parts: Any) -> uid.UID:
        return uid.generate_uid(entropy_srcs=["sapggan phantom", str(seed), *map(str, parts)])

    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = uid.DigitalXRayImageStorageForPresentation
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = make_uid(shot.patient, shot.number)
    dataset.StudyInstanceUID = make_uid(shot.patient)
    dataset.SeriesInstanceUID = make_uid(shot.patient, shot.view)
    dataset.PatientName = f"Phantom^Number {shot.patient}"
    dataset.PatientID = f"PHANTOM-{seed}-{shot.patient:05d}"
    dataset.PatientBirthDate, dataset.PatientSex = "19000101", "O"
    dataset.StudyDate = dataset.ContentDate = "20000101"
    dataset.StudyTime = dataset.ContentTime = "120000"
    dataset.StudyID, dataset.SeriesNumber, dataset.InstanceNumber = "1", 1, shot.number
    dataset.AccessionNumber, dataset.ReferringPhysicianName = "", ""
    dataset.Manufacturer, dataset.InstitutionName = "sapggan", "Synthetic phantoms, no patient"
    dataset.Modality, dataset.BodyPartExamined = "DX", "CHEST"
    dataset.PresentationIntentType = "FOR PRESENTATION"
    dataset.ImageType = ["DERIVED", "PRIMARY"]
    dataset.ViewPosition = "LL" if shot.view == "lateral" else shot.view
    dataset.PatientOrientation = ["A", "F"] if shot.view == "lateral" else ["L", "F"]
    dataset.SeriesDescription = f"Synthetic phantom {shot.view}"
    dataset.BurnedInAnnotation = "NO"
    dataset.ImagerPixelSpacing = dataset.PixelSpacing = [round(400 / size, 4)] * 2
    dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = 0, 1, "US"
    dataset.PresentationLUTShape = "INVERSE" if shot.photometric == "MONOCHROME1" else "IDENTITY"
    if shot.window:
        dataset.WindowCenter, dataset.WindowWidth = levels // 2, levels
    dataset.set_pixel_data(stored, shot.photometric, shot.bits, generate_instance_uid=False)
    if shot.syntax != "ExplicitVRLittleEndian":
        dataset.compress(getattr(uid, shot.syntax), generate_instance_uid=False)
    return dataset


def write_part(out: Path, wanted: dict[str, Any], part: int, parts: int) -> None:
    """Write every `parts`-th of the wanted phantoms, from number `part` on."""
    for shot in plan_phantoms(wanted["n"], wanted["seed"], wanted["findings"])[part::parts]:
        with atomic_path(out / shot.path) as temporary:
            phantom_dataset(shot, wanted["seed"], wanted["size"]).save_as(temporary, enforce_file_format=True)
