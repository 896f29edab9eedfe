"""What every notebook calls: its parameters, its folders, its figures and tables, its record."""

import ast
import copy
import dataclasses
import functools
import hashlib
import importlib.metadata
import json
import platform
import random
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from sapggan_lib.base.config import PreprocessConfig, from_mapping, to_mapping
from sapggan_lib.base.errors import SapgganError
from sapggan_lib.base.files import ROOT, sha256_file, write_json, write_text
from sapggan_lib.notebook.places import Hider, given, hide, is_publishable, private_folder, record_path, reveal

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from sapggan_lib.evaluation import Table
    from sapggan_lib.store import Store

NOTEBOOKS = ROOT / "notebooks"
RUNS = ROOT / "papermill_runs"
SHIPPED = ROOT / "weights" / "sapggan_64.safetensors"  # for a reader without time to train
INTERACTIVE = RUNS / "interactive"  # where a notebook opened by hand leaves its figures
TYPES = {"int": int, "float": float, "str": str, "bool": bool} | {
    "list[int]": list[int], "list[float]": list[float], "list[str]": list[str]
}  # fmt: skip
PACKAGES = ["torch", "torchvision", "numpy", "opencv-python", "pydicom", "scipy", "clean-fid", "papermill"]


def parameter_class(path: Path) -> type:
    """A frozen dataclass of the notebook's one `parameters` cell, whose lines read `name: type = value`.

    Raises `SapgganError` when there is not one such cell, or a line of another form.
    """
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    tagged = [cell for cell in cells if "parameters" in cell["metadata"].get("tags", [])]
    if len(tagged) != 1:
        raise SapgganError(f"{path.name}: {len(tagged)} cells are tagged `parameters`; tag exactly one")
    fields: list[tuple[str, Any, Any]] = []
    for line in ast.parse("".join(tagged[0]["source"])).body:
        kind = TYPES.get(ast.unparse(line.annotation)) if isinstance(line, ast.AnnAssign) else None
        if not isinstance(line, ast.AnnAssign) or not isinstance(line.target, ast.Name) or not kind or not line.value:
            raise SapgganError(
                f"{path.name}: parameters cell, line {line.lineno}: write `name: type = value` with a type of "
                + ", ".join(TYPES)
            )
        default = ast.literal_eval(line.value)
        fields.append((line.target.id, kind, field(default_factory=functools.partial(copy.copy, default))))
    return dataclasses.make_dataclass("Parameters", fields, frozen=True)


def resolve_parameters(path: Path, values: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The notebook's parameters with `values` over the defaults; unknown names and wrong types are refused."""
    return dataclasses.asdict(from_mapping(parameter_class(path), values, where))


@dataclass
class Notebook:
    """A running notebook; make it with `start`."""

    name: str                        # "04_model_comparison"
    folder: Path                     # the run's folder
    work: Path                       # what the run's notebooks share: store, trainings; a publishable run's elsewhere
    parameters: dict[str, Any]
    hider: Hider                     # keeps places of input files out of what the notebook leaves
    started: float = field(default_factory=time.time)
    figures: list[str] = field(default_factory=list)
    results: list[str] = field(default_factory=list)
    data: dict[str, Any] = field(default_factory=dict)

    def figure(self, figure: "Figure", name: str) -> None:
        """Save `figure` as PNG and PDF in the run's `figures` folder, named after the notebook's number."""
        from sapggan_lib import figures

        paths = figures.save_figure(figure, self.folder / "figures", f"{self.name[:2]}_{name}")
        self._note(self.figures, paths[0].name)

    def table(self, frame: "pd.DataFrame", name: str) -> "pd.DataFrame":
        """Save `frame` as CSV in the run's `results` folder and return it, to be shown."""
        path = self.folder / "results" / f"{self.name[:2]}_{name}.csv"
        write_text(path, self.hider.text(frame.to_csv(index=False), "table"))
        self._note(self.results, path.name)
        return frame

    def scores(self, table: "Table", name: str) -> str:
        """Save a table of scores as CSV, Markdown and LaTeX, and return its Markdown, to be shown."""
        for path in table.save(self.folder / "results" / f"{self.name[:2]}_{name}"):
            write_text(path, self.hider.text(path.read_text(encoding="utf-8"), "table"))
            self._note(self.results, path.name)
        return table.markdown()

    def result(self, value: Any, name: str) -> None:
        """Save `value` as JSON in the run's `results` folder."""
        path = self.folder / "results" / f"{self.name[:2]}_{name}.json"
        write_json(path, self.hider.walk(value, "table"))
        self._note(self.results, path.name)

    def finish(self) -> dict[str, Any]:
        """Write the notebook's record; the last cell shows it. A run without it counts as failed."""
        record: dict[str, Any] = {
            "notebook": self.name,
            "parameters": hide(self.parameters)[0],
            "data": self.data,
            "figures": self.figures,
            "results": self.results,
            "started": datetime.fromtimestamp(self.started, UTC).isoformat(timespec="seconds"),
            "seconds": round(time.time() - self.started, 1),
            **environment(),
        }
        record = self.hider.walk(record, "table")
        write_json(record_path(self.folder, self.name), record)
        return record

    @staticmethod
    def _note(names: list[str], name: str) -> None:
        if name not in names:
            names.append(name)


def start(name: str, variables: dict[str, Any]) -> Notebook:
    """Begin notebook `name`: check its parameters, seed everything, set the figure style.

    `variables` is the notebook's `globals()`, from which the values of its `parameters` cell are taken. Where a run
    wrote `private:data` and the like, for paths, they get the real one. A name that papermill was given (`-p epoch 3`)
    and that the cell does not have is refused: papermill itself would run on with the defaults.
    Uses the parameters `run_dir` (below the project, or absolute; empty: `papermill_runs/interactive`) and `seed`.
    """
    from sapggan_lib import figures  # not at the top: a run that only looks for changes need not wait for matplotlib

    path = NOTEBOOKS / f"{name}.ipynb"
    known = {field.name for field in dataclasses.fields(parameter_class(path))} | _injected(variables.get("In", []))
    shown = resolve_parameters(path, {key: variables[key] for key in known if key in variables}, name)
    parameters = reveal(shown, name)
    variables.update({key: value for key, value in parameters.items() if value != shown[key]})
    seed = parameters.get("seed", 0)
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - libraries that use the global generator
    torch.manual_seed(seed)
    figures.use_style()
    folder = ROOT / (parameters.pop("run_dir", "") or INTERACTIVE)
    if parameters.get("publishable") is False and is_publishable(folder):
        raise SapgganError(f"{name}: run_dir is a publishable run; write another, or publishable = True")
    if (work := given().get("work")) is None:
        work = (private_folder(folder) if parameters.get("publishable") else folder) / "work"
    hider = Hider(parameters, folder, Path(work).parent, strict=bool(parameters.get("publishable")))
    return Notebook(name, folder, Path(work), parameters, hider)


def _injected(cells: Sequence[str]) -> set[str]:
    """What papermill's own cell assigns, among the cells that the kernel ran so far."""
    lines = [line for cell in cells if cell.startswith("# Parameters\n") for line in ast.parse(cell).body]
    return {line.targets[0].id for line in lines if isinstance(line, ast.Assign)}  # type: ignore[attr-defined]


def source_folder(nb: Notebook) -> Path:
    """The folder of input files: the parameter `data`, or synthetic DICOM, written on first use."""
    if nb.parameters.get("data"):
        return Path(nb.parameters["data"])
    return phantom_folder(nb)


def phantom_folder(nb: Notebook) -> Path:
    """Synthetic DICOM for this run: `n_phantom` files from `seed`."""
    from sapggan_lib.phantoms import write_phantoms

    n, seed = nb.parameters["n_phantom"], nb.parameters["seed"]
    folder = nb.work / f"phantom-{n}-{seed}"
    write_phantoms(folder, n=n, seed=seed)
    return folder


def radiographs(nb: Notebook) -> "Store":
    """The store of the notebook's `data` at its `size`, made on first use, and noted in the record.

    Preprocessing parameters are the notebook's own, or those of this run's `01_preprocessing` where it ran on the
    same data, so that every notebook of a run trains on the same images.
    """
    settings = nb.parameters
    remembered = nb.work / "preprocessing.json"
    if nb.name == "01_preprocessing":
        write_json(remembered, settings)
    elif remembered.exists():
        made = json.loads(remembered.read_text(encoding="utf-8"))
        if all(made.get(key) == settings.get(key) for key in ("data", "table", "size", "n_phantom", "seed")):
            settings = made
    store = make_store(nb, source_folder(nb), settings)
    nb.data = {
        "source": "own files" if settings["data"] else "synthetic radiographs",
        "images": len(store),
        "manifest_sha256": sha256_file(store.path / "manifest.csv"),
        "store": store.hash,
    }
    return store


def make_store(nb: Notebook, source: Path, settings: Mapping[str, Any]) -> "Store":
    """Preprocess `source` with those of `settings` that `PreprocessConfig` knows, into the run's work folder."""
    from sapggan_lib.preprocessing import preprocess
    from sapggan_lib.store import open_store

    known = PreprocessConfig.__dataclass_fields__
    config = PreprocessConfig(**{key: settings[key] for key in known if key in settings})
    made_of = json.dumps([str(source), settings.get("table"), to_mapping(config)], sort_keys=True)
    folder = nb.work / f"store-{hashlib.sha256(made_of.encode()).hexdigest()[:8]}"
    summary = preprocess(source, folder, config, table=settings.get("table") or None, renew=True)
    print(f"{summary.kept:,} of {summary.files:,} files kept, {summary.failed:,} failed")
    return open_store(folder)


def trained_generator(nb: Notebook) -> Path:
    """The SAPGGAN that `04_model_comparison` trained in this run; the one that comes with the project without it."""
    trained = (nb.folder / "results" / "04_scores.json").exists()
    return nb.work / "models" / "sapggan" if trained else SHIPPED


def shown_radiographs(nb: Notebook, store: "Store") -> "Store":
    """`store`, or in a publishable run on own files a store of synthetic radiographs in its place."""
    if nb.parameters.get("publishable") and nb.parameters.get("data"):
        print("publishable run: synthetic radiographs are shown in place of the input images")
        return make_store(nb, phantom_folder(nb), {**nb.parameters, "table": ""})
    return store


def example_file(nb: Notebook, store: "Store") -> Path:
    """The first kept input file of `store`; in a publishable run on own files a synthetic one."""
    from sapggan_lib.privacy import original_path

    return original_path(shown_radiographs(nb, store).path, 0)


def environment() -> dict[str, Any]:
    """What a rerun needs to know about this machine: commit, versions, device."""
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else f"CPU, {torch.get_num_threads()} threads"
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = "missing"
    return {"git": git_state(), "versions": versions, "device": device}


def git_state() -> dict[str, Any]:
    """`{"commit": hash or "", "dirty": whether files differ from it}` of the project's checkout.

    The reference run's own files don't count: it writes them while it runs.
    """

    def git(*arguments: str) -> str:
        result = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)
        return result.stdout.strip() if result.returncode == 0 else ""

    try:
        changed = git("status", "--porcelain", "--", ".", ":!papermill_runs/reference")
        return {"commit": git("rev-parse", "HEAD"), "dirty": bool(changed)}
    except FileNotFoundError:
        return {"commit": "", "dirty": True}
