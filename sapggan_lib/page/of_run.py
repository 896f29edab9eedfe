"""The page of a run: its own generator's where that may be shown, else the one's that comes with the project."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sapggan_lib.base.errors import SapgganError
from sapggan_lib.models import WEIGHTS
from sapggan_lib.notebook import SHIPPED, record_path
from sapggan_lib.page.write import write_page
from sapggan_lib.store import open_store, read_facts

SYNTHETIC = "synthetic radiographs"    # what notebook.radiographs notes as the source of drawn images
OWN = "This run's generator"           # how a record begins to say that a page is of the run's own
QUESTIONS = 6


def write_run_page(out: Path, private: Path, publishable: bool) -> str:
    """Write the page `out` in a run's folder; returns the sentence that says whose generator it is, "" for none.

    `private` holds the run's trainings and stores. Weights may repeat what they were trained on, so a publishable run
    shows its own generator only when it learned from drawn radiographs; only then, too, there is a quiz. A run whose
    trainings are elsewhere, as in a clone of what is committed, keeps the page that they gave it.
    """
    own = private / "work" / "models" / "sapggan"
    data = trained_on(out.parent)
    drawn = data.get("source") == SYNTHETIC
    why = "this run trained none"
    try:
        if data and publishable and not drawn:
            why = "this run's own was trained on images that may not be shown"
        elif data and not (own / WEIGHTS).is_file():
            if sentence := kept_page(out):
                return sentence
            why = "this run's own is not here"
        elif data:
            try:
                source = SYNTHETIC if drawn else "own files: treat this page as you treat them"
                quiz = drawn_images(private / "work", data) if drawn else None
                write_page(own, out, quiz, f"{data.get('images', 0):,} {source}")
                return OWN if drawn else f"{OWN}, to be treated as its training images"
            except SapgganError as error:
                print(f"this run's generator has no page: {error}")  # a place, so not for the record
                why = "this run's own does not fit into a page"
        write_page(SHIPPED, out)
        return f"The generator that comes with the project, since {why}"
    except SapgganError as error:
        out.unlink(missing_ok=True)                                  # of an earlier run, whose link is gone
        print(f"no page of a generator: {error}")
        return ""


def trained_on(folder: Path) -> dict[str, Any]:
    """What the run's record says about the images that notebook 04 trained on; nothing where it did not run."""
    record = record_path(folder, "04_model_comparison")
    return dict(json.loads(record.read_text(encoding="utf-8")).get("data") or {}) if record.is_file() else {}


def kept_page(out: Path) -> str:
    """What the record says of the page `out` where an earlier execution made it of the run's own generator, else ""."""
    record = out.parent / "record.json"
    if not out.is_file() or not record.is_file():
        return ""
    sentence = str(json.loads(record.read_text(encoding="utf-8")).get("page", ""))
    return sentence if sentence.startswith(OWN) else ""


def drawn_images(work: Path, data: Mapping[str, Any]) -> np.ndarray | None:
    """A few images of the store in a run's `work` that `data` says are drawn; None where the store is gone."""
    for path in sorted(work.glob("store-*/store.json")):
        if read_facts(path.parent)["hash"] == data.get("store"):
            images = open_store(path.parent).images
            chosen = np.random.default_rng(0).choice(len(images), min(QUESTIONS, len(images)), replace=False)
            return images[np.sort(chosen)]
    return None
