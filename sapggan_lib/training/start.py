"""Beginning a training with what a smaller one has learned: a multi-scale network shares its scales."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from sapggan_lib.base.config import from_mapping, to_mapping
from sapggan_lib.base.errors import SapgganError
from sapggan_lib.base.files import atomic_path, sha256_file
from sapggan_lib.models import (
    MODELS,
    WEIGHTS,
    Discriminator,
    ModelConfig,
    build_networks,
    load_generator,
    save_generator,
)
from sapggan_lib.training.checkpoint import CHECKPOINT, State, read_checkpoint
from sapggan_lib.training.config import TrainConfig

BESIDE = ".discriminator.safetensors"  # what ships beside a generator, in place of .safetensors

Weights = dict[str, Tensor]


@dataclass(frozen=True)
class Start:
    """What a training begins with."""

    weights: dict[str, Weights]  # by part of a `State`; without "discriminator" a fresh one learns at once
    facts: dict[str, Any]        # of the file: name, sha256, resolution, kimg; what the new run's files tell of it

    def __str__(self) -> str:
        alone = "; its discriminator is not there, and a fresh one may never catch up"
        other = " and discriminator" if "discriminator" in self.weights else alone
        return "{name}, {resolution} pixels after {kimg:g} kimg: generator".format(**self.facts) + other


def read_start(source: Path, model: ModelConfig) -> Start:
    """The start of a training of `model` from a run's folder or a generator's .safetensors file.

    `SapgganError` when it is damaged or missing, and when the two networks share no scales: another model, other
    settings, other widths where both have a scale, or a larger side than the new one.
    """
    if source.is_dir():
        file, content = source / CHECKPOINT, read_checkpoint(source)
        began = from_mapping(ModelConfig, content["config"]["model"], str(file))
        weights = {part: content[part] for part in ("generator", "ema", "discriminator")}
        kimg = content["images"] / 1000
    else:
        file, average = source, load_generator(source)
        began = from_mapping(ModelConfig, average.config, str(file))
        kimg = json.loads(file.with_suffix(".json").read_text(encoding="utf-8")).get("kimg", 0.0)
        weights = {"generator": average.state_dict(), "ema": average.state_dict()}
        if discriminator := read_beside(source):
            weights["discriminator"] = discriminator
    refuse_strangers(began, model, file)
    name = f"{source.name}/{file.name}" if source.is_dir() else file.name
    facts = {"name": name, "sha256": sha256_file(file), "resolution": began.resolution, "kimg": kimg}
    return Start(weights, facts)


def refuse_strangers(began: ModelConfig, model: ModelConfig, file: Path) -> None:
    """`SapgganError` for the first setting by which a network of `model` cannot go on from one of `began`."""
    shared = len(began.feature_maps)
    free = {"resolution": 0, "classes": []}  # classes may come later, from 0
    one = to_mapping(began) | {"widths": list(began.feature_maps)} | free
    other = to_mapping(model) | {"widths": list(model.feature_maps[:shared])} | free
    differing = [f"{name} is {one[name]!r} there and {other[name]!r} here" for name in one if one[name] != other[name]]
    if began.resolution > model.resolution:
        differing.append(f"its side of {began.resolution} pixels is above {model.resolution}")
    if not MODELS[model.name].multi_scale:
        differing.append(f"{model.name} trains one scale at a time; sapggan trains all")
    if differing:
        raise SapgganError(f"{file}: cannot start from it: {'; '.join(differing)}")


def begin(state: State, start: Start, average: bool = False) -> None:
    """Put the start's weights into a new `state`: every scale that both have; the optimisers begin anew.

    What is new stays as drawn: the scales above, and in the discriminator the layer by which the formerly largest
    image enters, since now maps from above join it there. With `average` the generator begins with the averaged one's
    weights, which are the better ones to hold.
    """
    for part in start.weights:
        weights = start.weights["ema" if average and part == "generator" else part]
        network: nn.Module = getattr(state, part)
        mine = network.state_dict()
        network.load_state_dict(mine | {
            name: value for name, value in weights.items()  # under their name and in their shape
            if name in mine and getattr(value, "shape", None) == getattr(mine[name], "shape", None)
        })  # fmt: skip
    state.started_from = start.facts


def read_beside(weights: Path) -> Weights | None:
    """The discriminator's weights that ship beside a generator's; None for none, `SapgganError` for damaged ones."""
    beside = weights.with_suffix(BESIDE)
    try:
        return load_file(beside) if beside.is_file() else None
    except (OSError, SafetensorError) as error:
        raise SapgganError(f"{beside}: damaged; export it again, or delete it to go without") from error


def load_discriminator(source: Path, stddev_group: int | None = None) -> Discriminator | None:
    """The discriminator of a run's folder or beside a generator's .safetensors file: frozen, float32, in eval mode.

    `stddev_group`: images that minibatch stddev compares; None: as many as in its training. Returns None where only a
    generator is kept. `SapgganError` for a damaged checkpoint.
    """
    if (source / CHECKPOINT).is_file():
        content = read_checkpoint(source)
        weights, settings = content["discriminator"], content["config"]
    elif source.is_file() and (found := read_beside(source)):
        weights, settings = found, json.loads(source.with_suffix(".json").read_text(encoding="utf-8"))["train"]
    else:
        return None
    config = from_mapping(TrainConfig, settings, str(source))
    _, network = build_networks(config.model, stddev_group or config.group)
    network.load_state_dict(weights)
    return network.requires_grad_(False).eval()


def export(folder: Path, out: Path) -> None:
    """Write a run's averaged generator in half precision to `out` (.safetensors), its discriminator beside it.

    That is what ships: half the size, and another training can start from it. `SapgganError` for a damaged run.
    """
    average = load_generator(folder)
    facts = json.loads((folder / WEIGHTS).with_suffix(".json").read_text(encoding="utf-8"))
    weights = {name: value.half().contiguous() for name, value in read_checkpoint(folder)["discriminator"].items()}
    with atomic_path(out.with_suffix(BESIDE)) as temporary:
        temporary.write_bytes(save(weights))
    save_generator(out, average.half(), {key: value for key, value in facts.items() if key != "model"})
