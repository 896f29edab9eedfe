"""Everything a run needs to go on as if it had never stopped, and the averaged generator for everyone else."""

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from sapggan_lib.base.config import to_mapping
from sapggan_lib.base.errors import SapgganError, first_line
from sapggan_lib.base.files import atomic_path
from sapggan_lib.models import WEIGHTS, Discriminator, Generator, load_generator, save_generator
from sapggan_lib.training.config import TrainConfig

CHECKPOINT = "checkpoint.pt"
MAY_CHANGE = {  # on resume: length, reports and where it runs
    "kimg", "log_kimg", "sample_kimg", "checkpoint_kimg", "snapshot_kimg", "device",
}
FAST_PATHS = {"precision", "compile", "cuda_graphs"}  # they too; left open, they stay on the same kind of device


@dataclass
class State:
    """The moving parts of a run."""

    generator: Generator
    discriminator: Discriminator
    ema: Generator                        # the generator's moving average
    optimizer_g: torch.optim.Optimizer
    optimizer_d: torch.optim.Optimizer
    step: int = 0
    images: int = 0                       # real images shown so far, over all processes
    seconds: float = 0.0                  # training time so far, without snapshots
    started_from: dict[str, Any] | None = None  # `Start.facts`, where it began with another's weights
    last_average: tuple[int, Generator | None] = field(default=(-1, None), repr=False)  # the step, and `average()` then

    PARTS = ("generator", "discriminator", "ema", "optimizer_g", "optimizer_d")

    @property
    def kimg(self) -> float:
        return self.images / 1000

    def average(self) -> Generator:
        """The averaged generator as it is scored, shown and saved: DCGAN's a copy with statistics of its own.

        `ema` is left alone, so that training and exact resume know nothing of it.
        """
        step, average = self.last_average
        if average is None or step != self.step:
            average = self.ema.with_own_statistics()
            self.last_average = self.step, average
        return average


def save(folder: Path, state: State, config: TrainConfig, data_hash: str) -> None:
    """The checkpoint and the averaged generator; `SapgganError` instead, for weights that are not finite."""
    for part in ("discriminator", "generator"):
        norms = torch._foreach_norm(list(getattr(state, part).parameters()))
        if not torch.stack(norms).isfinite().all():
            raise not_finite(folder, state.step, f"the {part}'s weights")
    save_checkpoint(folder, state, config, data_hash)
    save_average(folder, state, config, data_hash)


def not_finite(folder: Path, step: int, what: str) -> SapgganError:
    return SapgganError(
        f"step {step:,}: not finite: {what}; {folder} keeps the last good checkpoint; "
        "train again with a lower learning rate, or with another loss"
    )


def save_checkpoint(folder: Path, state: State, config: TrainConfig, data_hash: str) -> None:
    """Write the state, all random states, the resolved configuration and the data's hash, atomically."""
    content: dict[str, Any] = {part: getattr(state, part).state_dict() for part in State.PARTS}
    content |= {"step": state.step, "images": state.images, "seconds": state.seconds}
    content |= {"started_from": state.started_from}
    content |= {"random": torch.get_rng_state(), "config": to_mapping(config), "data_hash": data_hash}
    content["device"] = next(state.generator.parameters()).device.type
    content["random_cuda"] = torch.cuda.get_rng_state() if torch.cuda.is_available() else None
    with atomic_path(folder / CHECKPOINT) as temporary, temporary.open("wb") as stream:
        try:
            torch.save(content, stream)  # given a path, torch would hide a full disk behind its own error
        except RuntimeError as error:    # and does so even here, where the disk was full before the first byte
            if isinstance(error.__context__, OSError):
                raise error.__context__ from None
            raise


def save_average(folder: Path, state: State, config: TrainConfig, data_hash: str) -> None:
    """Write the averaged generator, and beside it what it is."""
    facts = {"kimg": state.kimg, "step": state.step, "data_hash": data_hash, "train": to_mapping(config)}
    if state.started_from:
        facts["started_from"] = state.started_from
    save_generator(folder / WEIGHTS, state.average(), facts)


def holds_average(folder: Path, step: int) -> bool:
    """Whether the folder holds the whole averaged generator of this step."""
    try:
        load_generator(folder)
    except SapgganError:
        return False
    return bool(json.loads((folder / WEIGHTS).with_suffix(".json").read_text(encoding="utf-8")).get("step") == step)


def require(folder: Path) -> None:
    """`SapgganError` when there is nothing to resume from."""
    path = folder / CHECKPOINT
    if not path.is_file():
        raise SapgganError(f"{path}: no checkpoint to resume from; train without --resume, or name another folder")


def read_checkpoint(folder: Path) -> dict[str, Any]:
    """The content of a run's checkpoint; `SapgganError` when there is none, or it is damaged or something else."""
    require(folder)
    path = folder / CHECKPOINT
    try:
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)  # never runs code
        if not content.keys() >= {*State.PARTS, "step", "images", "random", "config", "data_hash", "device"}:
            raise ValueError("parts are missing")
    except Exception as error:  # torch raises RuntimeError, EOFError, UnpicklingError, ... for damaged files
        reason = first_line(error)
        raise SapgganError(f"{path}: damaged or not a checkpoint ({reason}); start again in another folder") from error
    return content


def same_run(content: dict[str, Any], config: TrainConfig, data_hash: str, folder: Path, device: str) -> TrainConfig:
    """`config` completed from the checkpoint where it is None; `SapgganError` names what differs.

    The fast paths are kept only on the type of `device` that they were chosen for.
    """
    free = MAY_CHANGE | FAST_PATHS | {"model"}
    kept_open = MAY_CHANGE | (FAST_PATHS if content["device"] != device else set())
    now, stored = to_mapping(config), content["config"]
    changed = [
        (f"model.{name}", stored["model"].get(name), value)
        for name, value in now["model"].items() if value != stored["model"].get(name, [])
    ]  # fmt: skip
    completed: dict[str, Any] = {}
    for name, value in now.items():
        before = stored.get(name)
        if value is None and name not in kept_open:
            completed[name] = tuple(before) if isinstance(before, list) else before
        elif value != before and name not in free:
            changed.append((name, before, value))
    differences = [f"{name} was {before!r} and is {value!r}" for name, before, value in changed]
    if content["data_hash"] != data_hash:
        differences.append(f"the data's hash was {content['data_hash'][:12]!r} and is {data_hash[:12]!r}")
    if differences:
        raise SapgganError(f"{folder}: cannot resume with other settings: {'; '.join(differences)}")
    return dataclasses.replace(config, **completed)


def restore(state: State, content: dict[str, Any]) -> None:
    """Put a checkpoint's content into `state` and into the random number generators."""
    for name in ("optimizer_g", "optimizer_d"):
        now = getattr(state, name).param_groups[0]
        for group in content[name]["param_groups"]:  # how to compute on this device is not the checkpoint's to say
            group |= {key: now[key] for key in ("fused", "capturable", "foreach")}
    for part in State.PARTS:
        getattr(state, part).load_state_dict(content[part])
    state.step, state.images, state.seconds = content["step"], content["images"], content["seconds"]
    state.started_from = content.get("started_from")
    torch.set_rng_state(content["random"])
    if content["random_cuda"] is not None and torch.cuda.is_available():
        torch.cuda.set_rng_state(content["random_cuda"])
