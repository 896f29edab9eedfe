"""Thousands of damaged files through preprocessing; `python -m tests.fuzz_dicom [CASES] [SEED]`, or `make fuzz`.

Every case must give a manifest row with a status and, unless it is kept, a reason, in under 10 seconds, and leave
the process alive. A truncated file must never become another image than the whole one. Cases that fail are written
to `fuzz-failures/`.
"""

import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
from pydicom import uid

from sapggan_lib.base.config import PreprocessConfig
from sapggan_lib.phantoms.files import Shot, phantom_dataset, phantom_image
from sapggan_lib.preprocessing.item import Item
from sapggan_lib.preprocessing.parallel import Guard

CONFIG = PreprocessConfig(size=32, unknown_view="keep")
SHARED = Path(__file__).resolve().parents[2] / "shared" / "data" / "dicom"
SYNTAXES = ("ExplicitVRLittleEndian", "ImplicitVRLittleEndian", "DeflatedExplicitVRLittleEndian", "RLELossless",
            "JPEGLSLossless", "JPEG2000Lossless")
TAGS = [bytes.fromhex(tag) for tag in (   # group 0028's sizes and types, ViewPosition, PixelData, TransferSyntaxUID
    "28001000", "28001100", "28000001", "28000101", "28000201", "28000301", "28000400", "28000800", "28005010",
    "28005110", "28005310", "28002001", "18000151", "e07f1000", "02001000", "10002000")]


def samples(folder: Path, real: bool) -> dict[str, bytes]:
    """Whole files by name: phantoms in each syntax, a PNG, a JPEG, and the real files where there are any."""
    found = {}
    for syntax in SYNTAXES:
        dataset = phantom_dataset(Shot("", 1, 1, "PA", 12, "MONOCHROME1", True, "ExplicitVRLittleEndian"), 0, 48)
        if getattr(uid, syntax).is_encapsulated:
            dataset.compress(getattr(uid, syntax), generate_instance_uid=False)
        dataset.file_meta.TransferSyntaxUID = getattr(uid, syntax)
        dataset.save_as(folder / "sample", enforce_file_format=True)
        found[syntax] = (folder / "sample").read_bytes()
    picture = (phantom_image(0, 64) >> 8).astype(np.uint8)
    for kind in (".png", ".jpg"):
        found[kind] = cv2.imencode(kind, picture)[1].tobytes()
    if real and SHARED.is_dir():
        found |= {file.name: file.read_bytes() for file in sorted(SHARED.rglob("*.dcm"))}
    return found


def mutate(data: bytes, rng: np.random.Generator) -> tuple[bytes, str]:
    """A damaged copy, and what was done to it."""
    changed, kind = bytearray(data), str(rng.choice(("flip", "header", "cut", "tag", "length", "insert", "zero")))
    place = int(rng.integers(len(data)))
    if kind == "flip":
        for spot in rng.integers(len(data), size=rng.integers(1, 8)):
            changed[spot] ^= 1 << int(rng.integers(8))
    elif kind == "header":
        for spot in rng.integers(min(len(data), 1400), size=rng.integers(1, 8)):
            changed[spot] = int(rng.integers(256))
    elif kind == "cut":
        del changed[place:]
    elif kind in ("tag", "length"):
        spot = data.find(TAGS[rng.integers(len(TAGS))])
        spot = place if spot < 0 else spot + (0 if kind == "tag" else int(rng.choice((6, 8))))
        changed[spot : spot + 4] = rng.choice((b"\xff\xff\xff\xff", b"\0\0\0\0", b"\xff\xff\xff\x7f", rng.bytes(4)))
    elif kind == "insert":
        changed[place:place] = rng.bytes(int(rng.integers(1, 64)))
    else:
        changed[place : place + int(rng.integers(1, 512))] = bytes(int(rng.integers(1, 512)))
    return bytes(changed), kind


def fuzz(cases: int, seed: int = 0, real: bool = True) -> tuple[Counter[str], list[str]]:
    """Run the cases; returns how often each outcome was met, and the complaints."""
    outcomes: Counter[str] = Counter()
    complaints: list[str] = []
    with tempfile.TemporaryDirectory() as name, Guard() as guard:
        folder = Path(name)
        files = samples(folder, real)
        item = Item("case", str(folder / "case"))
        whole = {}
        for sample, data in files.items():
            (folder / "case").write_bytes(data)
            whole[sample] = guard(item, CONFIG, b"key")[1]
        small = [sample for sample in files if len(files[sample]) < 1 << 16]
        for case in range(cases):
            rng = np.random.default_rng([seed, case])
            sample = str(rng.choice(list(files) if case % 20 == 0 else small))
            data, kind = mutate(files[sample], rng)
            (folder / "case").write_bytes(data)
            start = time.monotonic()
            row, image = guard(item, CONFIG, b"key")
            seconds, problem = time.monotonic() - start, ""
            outcomes[f"{kind}: {row['status']}"] += 1
            if row["status"] != "kept" and not row.get("reason"):
                problem = "no reason"
            elif "crashed" in row.get("reason", ""):
                outcomes["decoder crashes contained"] += 1
            elif "cannot be processed" in row.get("reason", ""):
                problem = row["reason"]
            elif seconds > 12:
                problem = f"{seconds:.0f} s"
            elif kind == "cut" and image is not None and not np.array_equal(image, whole[sample]):
                problem = "a truncated file became another image"
            if problem:
                complaints.append(f"case {case}, {sample}, {kind}: {problem}")
                Path("fuzz-failures").mkdir(exist_ok=True)
                Path("fuzz-failures", f"{seed}-{case}-{kind}").write_bytes(data)
    return outcomes, complaints


if __name__ == "__main__":
    counts, wrong = fuzz(*(int(argument) for argument in sys.argv[1:3] or ["20000"]))
    print("\n".join(f"{count:7,}  {outcome}" for outcome, count in sorted(counts.items())))
    sys.exit("\n".join(wrong) if wrong else 0)
