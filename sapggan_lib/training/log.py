"""What a run writes down: log lines, sample sheets, snapshots, checkpoints."""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sapggan_lib.base.config import TrainConfig, to_mapping
from sapggan_lib.base.errors import SapgganError
from sapggan_lib.base.files import readable, write_json, write_text
from sapggan_lib.base.images import write_png
from sapggan_lib.models import WEIGHTS, generate, load_generator, save_generator
from sapggan_lib.tensors import average_, rank_and_world
from sapggan_lib.training import checkpoint
from sapggan_lib.training.checkpoint import State
from sapggan_lib.training.diagnostics import Diagnostics, peak_memory_gb

Snapshot = Callable[[float, nn.Module], dict[str, float]]


@dataclass(frozen=True)
class TrainResult:
    """What `train` leaves."""

    folder: Path          # the run's folder
    finished: bool        # False: interrupted, `resume=True` goes on
    kimg: float           # real images shown, thousands
    steps: int
    seconds: float        # of training over all its parts, without snapshots
    log: list[dict[str, Any]]  # the lines of log.jsonl


class Record:
    """Writes into a run's folder what falls due; only the first of several processes writes."""

    def __init__(
        self, folder: Path, state: State, config: TrainConfig, data_hash: str, on_snapshot: Snapshot | None,
        images: np.ndarray,  # uint8 [N, R, R] or [N, R, R, 3], what is trained on
    ):  # fmt: skip
        self.folder, self.state, self.config = folder, state, config
        self.data_hash, self.on_snapshot = data_hash, on_snapshot
        self.pending: list[dict[str, Tensor]] = []
        self.main = rank_and_world()[0] == 0
        self.log: list[dict[str, Any]] = []
        self.last_average: tuple[int, nn.Module] = (-1, state.ema)
        if self.main:
            for half in (folder / "samples").glob(".*.partial"):    # of a run that was killed
                half.unlink(missing_ok=True)
            if state.step:
                self.log = [line for line in read_log(folder) if line["step"] <= state.step]
            write_json(folder / "config.json", to_mapping(config))
            # without the lines after the checkpoint
            write_text(folder / "log.jsonl", "".join(json.dumps(line) + "\n" for line in self.log))
            self.board = tensorboard(folder, state.step)
            self.diagnostics = Diagnostics(images, state, self.log)
        self.clock = time.monotonic()

    def add(self, terms: dict[str, Tensor]) -> None:
        self.pending.append(terms)

    def elapsed(self) -> float:
        """Seconds of training so far, over all parts of the run, without snapshots."""
        return self.state.seconds + time.monotonic() - self.clock

    def after_step(self, before: float, last: bool, bar: Any) -> None:
        """Write what falls due between `before` kimg and now; everything when this is the last step."""
        def due(every: float | None) -> bool:
            return last or int(before / (every or 1)) < int(self.state.kimg / (every or 1))

        config, kimg = self.config, self.state.kimg
        checkpoint_due = due(config.checkpoint_kimg)
        if due(config.log_kimg) or checkpoint_due:
            bar.set_postfix_str(self.flush(last))
        pause = time.monotonic()
        if kimg >= config.kimg or any(before < k <= kimg for k in config.snapshot_kimg):
            self.score()
        if due(config.sample_kimg) and self.main:
            write_sheet(self.folder / "samples" / f"{kimg:010.3f}.png", self.average())
        if checkpoint_due and self.main:
            self.save()
        self.clock += time.monotonic() - pause

    def score(self) -> None:
        """A log line with what `on_snapshot` gives, if there is one."""
        if self.on_snapshot and self.main:
            with torch.random.fork_rng(range(torch.cuda.device_count())):
                scores = self.on_snapshot(self.state.kimg, self.average())
            self.write(self.place() | scores)

    def place(self) -> dict[str, Any]:
        """What every log line begins with."""
        return {"kimg": self.state.kimg, "step": self.state.step, "seconds": round(self.state.seconds, 2)}

    def mend(self) -> None:
        """Make what a run that is over lacks of its last step, where it was killed: log line, score, generator."""
        here = [line for line in self.log if line["step"] == self.state.step]
        if self.state.kimg >= self.config.kimg and all("images_per_s" in line for line in here):
            self.score()
        if self.main and not any(line["step"] == self.state.step for line in self.log):
            self.write(self.place())
        if self.main and not self.generator_is_whole():
            self.save_generator()

    def generator_is_whole(self) -> bool:
        """Whether the folder holds the averaged generator of this step."""
        try:
            load_generator(self.folder)
            description = (self.folder / WEIGHTS).with_suffix(".json").read_text(encoding="utf-8")
            return bool(json.loads(description).get("step") == self.state.step)
        except SapgganError:
            return False

    def average(self) -> nn.Module:
        """The averaged generator as it is scored, shown and saved: DCGAN's a copy with statistics of its own.

        The state's is left alone, so that training and exact resume know nothing of it.
        """
        ema, step = self.state.ema, self.state.step
        if hasattr(ema, "with_own_statistics") and self.last_average[0] != step:
            self.last_average = step, ema.with_own_statistics()  # type: ignore[operator]
        return self.last_average[1]

    def flush(self, last: bool = False) -> str:
        """Turn the pending loss terms into a log line; `SapgganError` when one is not finite.

        What the diagnostics measure joins the line when due, and when it is the `last`; its time is no training time.
        """
        names = list(dict.fromkeys(name for terms in self.pending for name in terms))
        first = self.state.step - len(self.pending) + 1
        means = {}
        for name in names:
            steps = [i for i, terms in enumerate(self.pending) if name in terms]
            values = average_(torch.stack([self.pending[i][name] for i in steps])).cpu()
            if not values.isfinite().all():
                step = first + steps[int((~values.isfinite()).nonzero()[0])]
                raise self.not_finite(step, name)
            means[name] = round(float(values.mean()), 6)
            if name == "loss_d":  # a hinge that is 0 teaches the discriminator nothing
                means["dead_d"] = round(float((values == 0).float().mean()), 4)
        elapsed = time.monotonic() - self.clock
        self.state.seconds += elapsed
        images = len(self.pending) * self.config.batch
        line = self.place() | {
            "images_per_s": round(images / max(elapsed, 1e-9), 2),
            "seconds_per_kimg": round(1000 * elapsed / images, 3),
        } | means  # fmt: skip
        if self.main:
            line |= peak_memory_gb(next(self.state.generator.parameters()).device)
            line |= self.diagnostics(self.average) if last or self.diagnostics.due() else {}
        self.write(line)
        self.pending = []
        self.clock = time.monotonic()
        return " ".join(f"{name} {value:.3g}" for name, value in means.items())

    def write(self, line: dict[str, Any]) -> None:
        self.log.append(line)
        if self.main:
            try:
                with (self.folder / "log.jsonl").open("a", encoding="utf-8") as stream:
                    stream.write(json.dumps(line) + "\n")
            except OSError as error:
                raise readable(error, self.folder / "log.jsonl") from error
            if self.board:
                for name, value in scalars(line):
                    self.board.add_scalar(name, value, line["step"])

    def save(self) -> None:
        """The checkpoint, and the averaged generator for everyone else. Refuses weights that are not finite."""
        for part in ("discriminator", "generator"):
            norms = torch._foreach_norm(list(getattr(self.state, part).parameters()))
            if not torch.stack(norms).isfinite().all():
                raise self.not_finite(self.state.step, f"the {part}'s weights")
        checkpoint.save_checkpoint(self.folder, self.state, self.config, self.data_hash)
        self.save_generator()

    def save_generator(self) -> None:
        metadata = {"kimg": self.state.kimg, "step": self.state.step, "data_hash": self.data_hash}
        save_generator(self.folder / WEIGHTS, self.average(), metadata | {"train": to_mapping(self.config)})

    def not_finite(self, step: int, what: str) -> SapgganError:
        return SapgganError(
            f"step {step:,}: not finite: {what}; {self.folder} keeps the last good checkpoint; "
            "train again with a lower learning rate, or with another loss"
        )

    def result(self, finished: bool) -> TrainResult:
        state = self.state
        return TrainResult(self.folder, finished, state.kimg, state.step, state.seconds, self.log)


def tensorboard(folder: Path, step: int) -> Any:
    """A TensorBoard writer into `folder`/tensorboard, or None when TensorBoard is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(folder / "tensorboard", purge_step=step)


def scalars(line: dict[str, Any]) -> Iterator[tuple[str, float]]:
    """Name and value of each number in a log line but its place; those of a dictionary as name/key."""
    for name in line.keys() - {"kimg", "step"}:
        if isinstance(line[name], dict):
            yield from ((f"{name}/{key}", value) for key, value in line[name].items())
        else:
            yield name, line[name]


def read_log(folder: Path) -> list[dict[str, Any]]:
    """The lines of a run's log.jsonl; empty when there is none. A last one that a kill or a full disk tore is left out.

    Raises `SapgganError` for damage anywhere else.
    """
    path = folder / "log.jsonl"
    if not path.is_file():
        return []
    log, torn = [], 0
    for number, text in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        if torn:
            raise SapgganError(f"{path}: line {torn} is damaged; delete it, the others are good")
        try:
            line = json.loads(text)
            if not isinstance(line, dict) or "step" not in line:
                raise ValueError
            log.append(line)
        except ValueError:
            torn = number
    return log


def write_sheet(path: Path, generator: nn.Module, n: int = 16) -> None:
    """A PNG with `n` images of the fixed latents of seed 0, four in a row."""
    images = generate(generator, n)
    rows = [np.concatenate(list(images[i:i + 4]), axis=1) for i in range(0, n, 4)]
    write_png(path, np.concatenate(rows))
