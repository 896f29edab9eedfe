"""A run's log: what it measures between two lines, and its file log.jsonl."""

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sapggan_lib.base.checkout import git_state
from sapggan_lib.base.config import to_mapping
from sapggan_lib.base.errors import SapgganError
from sapggan_lib.base.files import readable, write_json, write_text
from sapggan_lib.base.images import write_png
from sapggan_lib.models import Generator, generate
from sapggan_lib.tensors import average_, device_name, rank_and_world
from sapggan_lib.training.checkpoint import State, not_finite
from sapggan_lib.training.config import TrainConfig
from sapggan_lib.training.diagnostics import Diagnostics, peak_memory_gb

Snapshot = Callable[[float, Generator], dict[str, float]]


class LogWriter:
    """Gathers loss terms and writes them as lines of log.jsonl; only the first of several processes writes."""

    def __init__(
        self, folder: Path, state: State, config: TrainConfig,
        images: np.ndarray,  # uint8 [N, R, R] or [N, R, R, 3], what is trained on
    ):  # fmt: skip
        self.folder, self.state, self.config = folder, state, config
        self.pending: list[dict[str, Tensor]] = []
        self.main = rank_and_world()[0] == 0
        self.lines: list[dict[str, Any]] = []
        if self.main:
            # without the lines after the checkpoint
            self.lines = [line for line in read_log(folder) if line["step"] <= state.step] if state.step else []
            write_json(folder / "config.json", to_mapping(config))
            write_text(folder / "log.jsonl", "".join(json.dumps(line) + "\n" for line in self.lines))
            self.board = tensorboard(folder, state.step)
            self.diagnostics = Diagnostics(images, state, self.lines)
        self.clock = time.monotonic()

    def add(self, terms: dict[str, Tensor]) -> None:
        """Keep a step's loss terms for the next line."""
        self.pending.append(terms)

    def seconds(self) -> float:
        """Of training so far, over all parts of the run, without snapshots."""
        return self.state.seconds + time.monotonic() - self.clock

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """What happens within is no training time."""
        start = time.monotonic()
        yield
        self.clock += time.monotonic() - start

    def flush(self, last: bool = False) -> str:
        """Write the pending loss terms as a line, and return them for people; `SapgganError` when one is not finite.

        What the diagnostics measure joins the line when due, and when it is the `last`; its time is no training time.
        """
        first = self.state.step - len(self.pending) + 1
        means = {}
        for name in dict.fromkeys(name for terms in self.pending for name in terms):
            steps = [i for i, terms in enumerate(self.pending) if name in terms]
            values = average_(torch.stack([self.pending[i][name] for i in steps])).cpu()
            if not values.isfinite().all():
                step = first + steps[int((~values.isfinite()).nonzero()[0])]
                raise not_finite(self.folder, step, name)
            means[name] = round(float(values.mean()), 6)
            if name == "loss_d":  # a hinge that is 0 teaches the discriminator nothing
                means["dead_d"] = round(float((values == 0).float().mean()), 4)
        elapsed = time.monotonic() - self.clock
        self.state.seconds += elapsed
        images = len(self.pending) * self.config.batch
        speed = {
            "images_per_s": round(images / max(elapsed, 1e-9), 2),
            "seconds_per_kimg": round(1000 * elapsed / images, 3),
        }
        health: dict[str, Any] = {}
        if self.main:
            health |= peak_memory_gb(next(self.state.generator.parameters()).device)
            health |= self.diagnostics() if last or self.diagnostics.due() else {}
        self.write(speed | means | health)
        self.pending = []
        self.clock = time.monotonic()
        return " ".join(f"{name} {value:.3g}" for name, value in means.items())

    def score(self, on_snapshot: Snapshot | None) -> None:
        """A line with what `on_snapshot` gives for the averaged generator, if there is one."""
        if on_snapshot and self.main:
            with torch.random.fork_rng(range(torch.cuda.device_count())):
                self.write(on_snapshot(self.state.kimg, self.state.average()))

    def write(self, numbers: dict[str, Any]) -> None:
        """A line of `numbers`, after where the run stands."""
        place = {"kimg": self.state.kimg, "step": self.state.step, "seconds": round(self.state.seconds, 2)}
        line = place | numbers
        self.lines.append(line)
        if not self.main:
            return
        try:
            with (self.folder / "log.jsonl").open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(line) + "\n")
        except OSError as error:
            raise readable(error, self.folder / "log.jsonl") from error
        if self.board:
            for name, value in scalars(line):
                self.board.add_scalar(name, value, line["step"])


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


def note_maker(folder: Path, kimg: float, device: torch.device) -> None:
    """Add to the run's made.json by which commit and device it trains from `kimg` on; what came after that is gone."""
    path = folder / "made.json"
    parts = json.loads(path.read_text(encoding="utf-8")) if kimg and path.is_file() else []
    part = {"from_kimg": kimg, **git_state(), "device": device_name(device.type == "cuda")}
    write_json(path, [*(part for part in parts if part["from_kimg"] < kimg), part])


def read_log(folder: Path) -> list[dict[str, Any]]:
    """The lines of a run's log.jsonl; empty when there is none. A last one that a kill or a full disk tore is left out.

    Raises `SapgganError` for damage anywhere else.
    """
    path = folder / "log.jsonl"
    texts = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []
    log = []
    for number, text in enumerate(texts, 1):
        try:
            line = json.loads(text)
            if not isinstance(line, dict) or "step" not in line:
                raise ValueError
            log.append(line)
        except ValueError:
            if number < len(texts):
                raise SapgganError(f"{path}: line {number} is damaged; delete it, the others are good") from None
    return log


def read_trainings(folder: Path) -> dict[str, Any]:
    """The trainings below `folder`, by their place in it: kimg, steps, seconds, and the parts that made.json has.

    A training that was taken as it was found has the commit of whoever made it.
    """
    found = {}
    for made in sorted(folder.rglob("made.json")):
        if log := read_log(made.parent):
            last = {key: log[-1][key] for key in ("kimg", "step", "seconds")}
            found[made.parent.relative_to(folder).as_posix()] = last | {"parts": json.loads(made.read_text("utf-8"))}
    return found


def write_sheet(path: Path, generator: Generator, n: int = 16) -> None:
    """A PNG with `n` images of the fixed latents of seed 0, four in a row."""
    images = generate(generator, n)
    rows = [np.concatenate(list(images[i:i + 4]), axis=1) for i in range(0, n, 4)]
    write_png(path, np.concatenate(rows))
