"""Notebook 07's experiment: a rare finding, drawn or real, a generator for each choice of positives, and the arms."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sapggan_lib import evaluation
from sapggan_lib.base.config import PreprocessConfig, from_mapping, to_mapping
from sapggan_lib.base.errors import SapgganError
from sapggan_lib.models import Generator, generate, load_generator
from sapggan_lib.phantoms import phantom_image
from sapggan_lib.preprocessing import transform
from sapggan_lib.store import Store
from sapggan_lib.training import CHECKPOINT, TrainConfig, read_labels, train
from sapggan_lib.uses import REAL, Cases, arm_scores, class_consistency, classical, compare_arms

CLEAR = "clear"
GENERATED, DRAWN = "generated", "drawn"


@dataclass(frozen=True)
class Task:
    """Tell images with a finding from those without; no patient is on both sides."""

    finding: str
    images: np.ndarray               # uint8 [N, H, W]
    positive: np.ndarray             # bool [N]
    patients: np.ndarray             # [N]
    test: np.ndarray                 # bool [N]
    drawn: Any = None                # images without and with the finding from a perfect source, where there is one

    def part(self, positive: bool, test: bool = False) -> np.ndarray:
        """Numbers of the images with or without the finding, to train or to test on."""
        return np.flatnonzero((self.positive == positive) & (self.test == test))


def phantom_task(
    finding: str, size: int, negatives: int, positives: int, tests: int, extra: int, seed: int = 0
) -> Task:
    """Drawn radiographs: to train on, `tests` of each class to test on, and `extra` positives as a perfect source.

    Each body is drawn once: no image is another's twin with a finding added.
    """
    numbers = iter(range(1_000_000 * (seed + 1), 1_000_000 * (seed + 2)))

    def draw(count: int, kind: str) -> np.ndarray:
        config = PreprocessConfig(size=size)
        shots = (phantom_image(next(numbers), 3 * size // 2, finding=kind) for _ in range(count))
        return np.stack([transform(shot, config) for shot in shots])

    parts = [draw(negatives, ""), draw(positives, finding), draw(tests, ""), draw(tests, finding)]
    counts = [len(part) for part in parts]
    drawn = draw(negatives, ""), draw(extra, finding)
    test = np.repeat([False, False, True, True], counts)
    positive = np.repeat([False, True, False, True], counts)
    return Task(finding, np.concatenate(parts), positive, np.arange(len(test)), test, drawn)


def store_task(store: Store, labels: Path | str, column: str, finding: str, negative: str = "No Finding",
               held_out: float = 0.4, seed: int = 0) -> Task:  # fmt: skip
    """The images of a store that a table gives `finding` or `negative`, split by patient."""
    names, classes = read_labels(store, column, labels, [finding, negative])
    chosen = np.isin(classes, [0, 1])
    kept = store.manifest[store.manifest["status"] == "kept"].sort_values("index")
    patients = kept["patient"].where(kept["patient"] != "", kept["path"]).to_numpy()
    test = np.isin(np.arange(len(store)), store.split(held_out, seed)[1])
    task = Task(finding, store.images[chosen], classes[chosen] == 0, patients[chosen], test[chosen])
    few = [len(task.part(positive, test)) for positive in (True, False) for test in (True, False)]
    if min(few) < 2:
        raise SapgganError(f"{labels}: fewer than 2 images of {' or '.join(names[:2])} to train or to test on")
    return task


def features_of(extractor: str) -> Callable[[np.ndarray], np.ndarray]:
    """uint8 images `[N, H, W]` to features `[N, D]`; "pixels" are the images themselves."""
    if extractor == "pixels":
        return lambda images: images.reshape(len(images), -1) / 255.0
    network = evaluation.build_extractor(extractor)
    return lambda images: evaluation.extract_features(images, network, progress=False).array


def trained(task: Task, chosen: np.ndarray, settings: dict[str, Any], folder: Path, seed: int) -> Generator:
    """A conditional SAPGGAN of the `chosen` images, or the one that was trained on them with these settings before."""
    labels = task.positive[chosen].astype(np.int64)
    model = {"resolution": task.images.shape[1], "classes": [CLEAR, task.finding]} | settings["model"]
    config = from_mapping(TrainConfig, settings | {"model": model, "seed": seed}, "training")
    digest = hashlib.sha256(json.dumps(to_mapping(config)).encode() + task.images[chosen].tobytes() + labels.tobytes())
    out = folder / digest.hexdigest()[:16]
    train(task.images[chosen], out, config, labels=labels, resume=(out / CHECKPOINT).exists())
    return load_generator(out)


def experiment(
    task: Task,
    counts: Sequence[int],          # real positives to train on; 0: all
    repeats: int,                   # choices of positives, each with a generator of its own
    settings: dict[str, Any],       # fields of TrainConfig
    folder: Path,                   # where generators are kept
    extractor: str,
    ratios: Sequence[float],
    seed: int = 0,
) -> tuple[pd.DataFrame, pd.DataFrame, Generator]:
    """For each number of positives the arms' table (`compare_arms`), each generator's class consistency, the last one.

    Each generator has seen the real images of its own arm and no others.
    """
    features = features_of(extractor)
    known, test = features(task.images), np.concatenate([task.part(False, True), task.part(True, True)])
    drawn = {DRAWN: Cases(*map(features, task.drawn))} if task.drawn else {}
    tables, consistency = [], []
    for count in counts:
        scores = []
        for number in range(seed, seed + repeats):
            positives = np.random.default_rng(number).permutation(task.part(True))[: count or None]
            negatives, n = task.part(False), len(positives)
            generator = trained(task, np.concatenate([negatives, positives]), settings, folder, number)
            most = max(n, round(max(ratios) * n))
            made = Cases(*(features(generate(generator, k, seed=number, label=label))
                          for label, k in ((CLEAR, len(negatives)), (task.finding, most))))  # fmt: skip
            changed = features(classical(task.images[positives], most, number))
            real = Cases(known[negatives], known[positives])
            scores.append(arm_scores(real, known[test], {GENERATED: made, **drawn}, changed, ratios))
            consistency.append((n, number, *class_consistency(real, made, number)))
        tables.append(compare_arms(scores, task.positive[test], task.patients[test], seed=seed).assign(positives=n))
    columns = ["positives", "seed", "AUROC", "low", "high"]
    return pd.concat(tables, ignore_index=True), pd.DataFrame(consistency, columns=columns), generator


def against_duplicates(table: pd.DataFrame) -> pd.DataFrame:
    """The AUROC of arms that added images, against as many duplicates."""
    rows = table[(table["metric"] == "AUROC") & table["against"].str.startswith("duplicated")]
    return rows[~rows["arm"].str.startswith("duplicated")]


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Arms as rows, numbers of positives as columns: the AUROC with its interval."""
    rows = table[(table["metric"] == "AUROC") & (table["against"] == "")]
    cells = [f"{row.value:.3f} [{row.low:.3f}, {row.high:.3f}]" for row in rows.itertuples()]
    wide = rows.assign(cell=cells).pivot(index="arm", columns="positives", values="cell")
    return wide.loc[list(dict.fromkeys(rows["arm"]))].reset_index().rename(columns=str)


def plot_differences(ax: Any, rows: pd.DataFrame) -> Any:
    """A dot and its 95 % interval for each row of differences, an arm a line; the number of positives by colour."""
    arms = list(dict.fromkeys(rows["arm"]))[::-1]
    counts = sorted(rows["positives"].unique())
    for place, count in enumerate(counts):
        some = rows[rows["positives"] == count]
        heights = [arms.index(arm) + 0.2 * (place - (len(counts) - 1) / 2) for arm in some["arm"]]
        reach = [some["value"] - some["low"], some["high"] - some["value"]]
        ax.errorbar(some["value"], heights, xerr=reach, fmt="o", capsize=2, label=f"{count} positives")
    ax.axvline(0, color="0.6", linewidth=1)
    ax.set(yticks=range(len(arms)), yticklabels=arms, xlabel="difference of AUROC")
    ax.legend(frameon=False)
    return ax


def findings(table: pd.DataFrame, consistency: pd.DataFrame) -> list[str]:
    """What an experiment found, each sentence by its rule: an interval that includes 0 tells nothing."""
    rows = against_duplicates(table)
    said = []
    for source, name in ((DRAWN, "Images of a perfect source"), (GENERATED, "Generated images")):
        some = rows[rows["arm"].str.startswith(source)]
        if some.empty:
            continue
        better, worse = some[some["low"] > 0], some[some["high"] < 0]
        said.append(f"{name} beat as many duplicates in {len(better)} of {len(some)} comparisons of AUROC and lost in "
                    f"{len(worse)}, with intervals clear of 0; by chance alone about {0.025 * len(some):.1f} each.")
        best: Any = next(some.nlargest(1, "value").itertuples())
        said.append(f"Their largest difference was {best.value:+.3f} [{best.low:+.3f}, {best.high:+.3f}], "
                    f"{best.arm.partition(' x ')[2]} for each of {best.positives} real positives.")
        if source == DRAWN:
            said.append("So this experiment can show a gain where there is one." if len(better) else
                        "So this experiment, at its size, cannot show a gain even from perfect images: that generated "
                        "images show none says nothing against them.")  # fmt: skip
    told = int((consistency["low"] > 0.5).sum())
    rest = "; the others ignore the class, as far as it can tell" if told < len(consistency) else ""
    said.append(f"A classifier of real images told the two generated classes apart for {told} of {len(consistency)} "
                f"generators (interval above .5){rest}.")
    alone = table[(table["metric"] == "AUROC") & (table["arm"] == f"{GENERATED} alone") & (table["against"] == REAL)]
    lost = int((alone["high"] < 0).sum())
    said.append(f"Training on generated images alone was worse than on the real ones in {lost} of {len(alone)} cases.")
    return said
