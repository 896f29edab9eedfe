"""Everything a run needs to go on as if it had never stopped, in one file."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from sapggan_lib.base.config import TrainConfig, to_mapping
from sapggan_lib.base.errors import SapgganError
from sapggan_lib.base.files import atomic_path

CHECKPOINT = "checkpoint.pt"
MAY_CHANGE = {  # on resume: length, reports and where it runs
    "kimg", "log_kimg", "sample_kimg", "checkpoint_kimg", "snapshot_kimg", "device",
}
FAST_PATHS = {"precision", "compile", "cuda_graphs"}  # they too; left open, they stay on the same kind of device


@dataclass
class State:
    """The moving parts of a run."""

    generator: nn.Module
    discriminator: nn.Module
    ema: nn.Module                        # the generator's moving average
    optimizer_g: torch.optim.Optimizer
    optimizer_d: torch.optim.Optimizer
    step: int = 0
    images: int = 0                       # real images shown so far, over all processes
    seconds: float = 0.0                  # training time so far, without snapshots

    PARTS = ("generator", "discriminator", "ema", "optimizer_g", "optimizer_d")

    @property
    def kimg(self) -> float:
        return self.images / 1000


def save_checkpoint(folder: Path, state: State, config: TrainConfig, data_hash: str) -> None:
    """Write the state, all random states, the resolved configuration and the data's hash, atomically."""
    content: dict[str, Any] = {part: getattr(state, part).state_dict() for part in State.PARTS}
    content |= {"step": state.step, "images": state.images, "seconds": state.seconds}
    content |= {"random": torch.get_rng_state(), "config": to_mapping(config), "data_hash": data_hash}
    content["device"] = next(state.generator.parameters()).device.type
    content["random_cuda"] = torch.cuda.get_rng_state() if torch.cuda.is_available() else None
    with atomic_path(folder / CHECKPOINT) as temporary, temporary.open("wb") as stream:
        torch.save(content, stream)  # given a path, torch would hide a full disk behind its own error


def require(folder: Path) -> None:
    """`SapgganError` when there is nothing to resume from."""
    path = folder / CHECKPOINT
    if not path.is_file():
        raise SapgganError(f"{path}: no checkpoint to resume from; train without --resume, or name another folder")


def read_checkpoint(folder: Path) -> dict[str, Any]:
    """The content of a run's checkpoint; `SapgganError` when it is damaged or something else."""
    path = folder / CHECKPOINT
    try:
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)  # never runs code
        if not content.keys() >= {*State.PARTS, "step", "images", "random", "config", "data_hash", "device"}:
            raise ValueError("parts are missing")
    except Exception as error:  # torch raises RuntimeError, EOFError, UnpicklingError, ... for damaged files
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise SapgganError(f"{path}: damaged or not a checkpoint ({reason}); start again in another folder") from error
    return content


def same_run(
    content: dict[str, Any], config: TrainConfig, data_hash: str, folder: Path, device: str
) -> TrainConfig:
    """`config` completed from the checkpoint where it is None; `SapgganError` names what differs.

    The fast paths are kept only on the type of `device` that they were chosen for.
    """
    moved = content["device"] != device
    may_change = MAY_CHANGE | FAST_PATHS
    stored = content["config"]
    model = to_mapping(config.model)
    differences = [
        f"model.{name} was {stored['model'].get(name)!r} and is {model[name]!r}"
        for name in model if model[name] != stored["model"].get(name)
    ]
    completed: dict[str, Any] = {}
    for field in dataclasses.fields(config):
        value, before = to_mapping(config)[field.name], stored.get(field.name)
        if value is None and field.name not in (may_change if moved else MAY_CHANGE):
            completed[field.name] = tuple(before) if isinstance(before, list) else before
        elif value != before and field.name not in may_change | {"model"}:
            differences.append(f"{field.name} was {before!r} and is {value!r}")
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
    torch.set_rng_state(content["random"])
    if content["random_cuda"] is not None and torch.cuda.is_available():
        torch.cuda.set_rng_state(content["random_cuda"])
