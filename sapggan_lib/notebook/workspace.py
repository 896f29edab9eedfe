"""What every notebook works with: its folders, its radiographs, its figures and tables, its record."""

import hashlib
import json
import random
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sapggan_lib.base.config import PreprocessConfig, to_mapping
from sapggan_lib.base.errors import SapgganError
from sapggan_lib.base.files import ROOT, sha256_file, write_json, write_text
from sapggan_lib.notebook.parameters import injected_names, parameter_names, resolve_parameters
from sapggan_lib.notebook.places import Hider, given, hide, is_publishable, private_folder, reveal
from sapggan_lib.notebook.record import environment, record_path

if TYPE_CHECKING:
    import pandas as pd
    from IPython.display import Markdown
    from matplotlib.figure import Figure

    from sapggan_lib.evaluation import Table
    from sapggan_lib.store import Store

NOTEBOOKS = ROOT / "notebooks"
RUNS = ROOT / "papermill_runs"
SHIPPED = ROOT / "weights" / "sapggan_64.safetensors"  # for a reader without time to train
INTERACTIVE = RUNS / "interactive"  # where a notebook opened by hand leaves its figures


def shipped(size: int, folder: Path = SHIPPED.parent) -> Path:
    """The shipped generator for images of `size` pixels: the largest that is not above, or else `SHIPPED`."""
    sides = [side for side in (64, 128, 256, 512) if side <= size]
    found = (folder / f"sapggan_{side}.safetensors" for side in reversed(sides))
    return next((path for path in found if path.is_file()), SHIPPED)


@dataclass
class Notebook:
    """A running notebook; make it with `start`."""

    name: str                        # "04_model_comparison"
    folder: Path                     # the run's folder
    work: Path                       # what the run's notebooks share: store, trainings; a publishable run's elsewhere
    parameters: dict[str, Any]
    hider: Hider                     # keeps places of input files out of what the notebook leaves
    started: float = field(default_factory=time.time)
    alt: dict[str, str] = field(default_factory=dict)  # of each figure's file: its alternative text
    results: list[str] = field(default_factory=list)
    data: dict[str, Any] = field(default_factory=dict)

    def radiographs(self) -> "Store":
        """The store of the notebook's `data` (synthetic DICOM without it) at its `size`, made on first use, and noted
        in the record.

        Preprocessing parameters are the notebook's own, or those of this run's `01_preprocessing` where it ran on the
        same data, so that every notebook of a run trains on the same images.
        """
        settings = self.parameters
        remembered = self.work / "preprocessing.json"
        if self.name == "01_preprocessing":
            write_json(remembered, settings)
        elif remembered.exists():
            made = json.loads(remembered.read_text(encoding="utf-8"))
            if all(made.get(key) == settings.get(key) for key in ("data", "table", "size", "n_phantom", "seed")):
                settings = made
        own = self.parameters.get("data")
        store = self._preprocess(Path(own) if own else self._phantoms(), settings)
        self.data = {
            "source": "own files" if own else "synthetic radiographs",
            "images": len(store),
            "manifest_sha256": sha256_file(store.path / "manifest.csv"),
            "store": store.hash,
        }
        return store

    def shown_radiographs(self, store: "Store") -> "Store":
        """`store`, or in a publishable run on own files a store of synthetic radiographs in its place."""
        if self.parameters.get("publishable") and self.parameters.get("data"):
            print("publishable run: synthetic radiographs are shown in place of the input images")
            return self._synthetic()
        return store

    def example_file(self, store: "Store") -> Path:
        """The first kept input file of `store`; a synthetic one in a publishable run on own files, and where a file
        holds many images."""
        from sapggan_lib.privacy import original_path

        path = original_path(self.shown_radiographs(store).path, 0)
        return original_path(self._synthetic().path, 0) if path.suffix == ".npz" else path

    def generator(self) -> Path:
        """The SAPGGAN that `04_model_comparison` trained in this run, or without one what ships for its `size`."""
        trained = (self.folder / "results" / "04_scores.json").exists()
        return self.work / "models" / "sapggan" if trained else shipped(self.parameters["size"])

    def figure(self, figure: "Figure", name: str, alt: str = "") -> None:
        """Show `figure` and save it as PNG and PDF in the run's `figures` folder, named after the notebook's number.

        `alt` tells a reader who does not see it what it shows: pages carry it as the picture's alternative text.
        """
        import matplotlib.pyplot as plt
        from IPython.display import display

        from sapggan_lib import figures

        png, _ = figures.save_figure(figure, self.folder / "figures", f"{self.name[:2]}_{name}")
        self.alt[png.name] = alt
        display(figure, metadata={"image/png": {"alt": alt}})
        plt.close(figure)                                  # or Jupyter shows it again, without its text

    def table(self, frame: "pd.DataFrame", name: str) -> "pd.DataFrame":
        """Save `frame` as CSV in the run's `results` folder and return it, to be shown."""
        write_text(self._result(f"{name}.csv"), self.hider.text(frame.to_csv(index=False), "table"))
        return frame

    def scores(self, table: "Table", name: str) -> str:
        """Save a table of scores as CSV, Markdown and LaTeX, and return its Markdown, to be shown."""
        for path in table.save(self.folder / "results" / f"{self.name[:2]}_{name}"):
            write_text(self._result(name + path.suffix), self.hider.text(path.read_text(encoding="utf-8"), "table"))
        return table.markdown()

    def result(self, value: Any, name: str) -> None:
        """Save `value` as JSON in the run's `results` folder."""
        write_json(self._result(f"{name}.json"), self.hider.walk(value, "table"))

    def findings(self, sentences: list[str]) -> "Markdown":
        """Save what this run found, and return it as a list to be shown."""
        from IPython.display import Markdown

        self.result(sentences, "findings")
        return Markdown("\n".join(f"- {sentence}" for sentence in sentences))

    def finish(self) -> dict[str, Any]:
        """Write the notebook's record; the last cell shows it. A run without it counts as failed."""
        record: dict[str, Any] = {
            "notebook": self.name,
            "parameters": hide(self.parameters)[0],
            "data": self.data,
            "figures": list(self.alt),
            "alt": self.alt,
            "results": self.results,
            "started": datetime.fromtimestamp(self.started, UTC).isoformat(timespec="seconds"),
            "seconds": round(time.time() - self.started, 1),
            **environment(),
        }
        record = self.hider.walk(record, "table")
        write_json(record_path(self.folder, self.name), record)
        return record

    def _phantoms(self) -> Path:
        """Synthetic DICOM for this run, `n_phantom` files from `seed`, written on first use."""
        from sapggan_lib.phantoms import write_phantoms

        n, seed = self.parameters["n_phantom"], self.parameters["seed"]
        folder = self.work / f"phantom-{n}-{seed}"
        write_phantoms(folder, n=n, seed=seed)
        return folder

    def _synthetic(self) -> "Store":
        """A store of this run's synthetic radiographs."""
        return self._preprocess(self._phantoms(), {**self.parameters, "table": ""})

    def _preprocess(self, source: Path, settings: Mapping[str, Any]) -> "Store":
        """Preprocess `source` with those of `settings` that `PreprocessConfig` knows, into the run's work folder."""
        from sapggan_lib.preprocessing import preprocess
        from sapggan_lib.store import open_store

        known = PreprocessConfig.__dataclass_fields__
        config = PreprocessConfig(**{key: settings[key] for key in known if key in settings})
        made_of = json.dumps([str(source), settings.get("table"), to_mapping(config)], sort_keys=True)
        folder = self.work / f"store-{hashlib.sha256(made_of.encode()).hexdigest()[:8]}"
        summary = preprocess(source, folder, config, table=settings.get("table") or None, renew=True)
        print(f"{summary.kept:,} of {summary.files:,} files kept, {summary.failed:,} failed")
        return open_store(folder)

    def _result(self, name: str) -> Path:
        """The file `name` of the run's results, listed in the record, once however often it is saved."""
        path = self.folder / "results" / f"{self.name[:2]}_{name}"
        if path.name not in self.results:
            self.results.append(path.name)
        return path


def start(name: str, variables: dict[str, Any]) -> Notebook:
    """Begin notebook `name`: check its parameters, seed everything, set the figure style.

    `variables` is the notebook's `globals()`, from which the values of its `parameters` cell are taken. Where a run
    wrote `private:data` and the like, for paths, they get the real one. A name that papermill was given (`-p epoch 3`)
    and that the cell does not have is refused: papermill itself would run on with the defaults.
    Uses the parameters `run_dir` (below the project, or absolute; empty: `papermill_runs/interactive`) and `seed`.
    """
    import numpy as np  # not at the top: a run that only looks for changes need not wait for torch and matplotlib
    import torch

    from sapggan_lib import figures

    path = NOTEBOOKS / f"{name}.ipynb"
    known = parameter_names(path) | injected_names(variables.get("In", []))
    shown = resolve_parameters(path, {key: variables[key] for key in known if key in variables}, name)
    parameters = reveal(shown, name)
    variables.update({key: value for key, value in parameters.items() if value != shown[key]})
    seed = parameters.get("seed", 0)
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - libraries that use the global generator
    torch.manual_seed(seed)
    figures.use_style()
    folder = ROOT / (parameters.pop("run_dir", "") or INTERACTIVE)
    publishable = bool(parameters.get("publishable"))
    if parameters.get("publishable") is False and is_publishable(folder):
        raise SapgganError(f"{name}: run_dir is a publishable run; write another, or publishable = True")
    work = Path(given().get("work") or (private_folder(folder) if publishable else folder) / "work")
    return Notebook(name, folder, work, parameters, Hider(parameters, folder, work.parent, strict=publishable))


def catalogue(folder: Path = NOTEBOOKS) -> str:
    """A Markdown table of the notebooks in `folder`: name, title and time, as the first cell of each states them."""
    rows = ["| notebook | what it is about | time |", "|---|---|---|"]
    for path in sorted(folder.glob("[0-9][0-9]_*.ipynb")):
        first = "".join(json.loads(path.read_text(encoding="utf-8"))["cells"][0]["source"])
        facts = [re.search(form, first, re.MULTILINE) for form in (r"^# (.+)", r"\*\*Time\*\*: (.+?)\.(?= |$)")]
        rows.append(f"| `{path.stem}` | {' | '.join(fact[1] if fact else '' for fact in facts)} |")
    return "\n".join(rows)
