"""What a run will need, said before it starts, and what would make it fail."""

import errno
import math
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sapggan_lib.base.errors import SapgganError
from sapggan_lib.base.files import readable
from sapggan_lib.models import Discriminator, Generator, build_networks
from sapggan_lib.tensors import rank_and_world
from sapggan_lib.training.accelerate import choose_fast_paths
from sapggan_lib.training.batches import check_images
from sapggan_lib.training.checkpoint import CHECKPOINT, read_checkpoint, same_run
from sapggan_lib.training.config import TrainConfig, resolve
from sapggan_lib.training.start import Start, read_start


@dataclass(frozen=True)
class Plan:
    """What a training will do."""

    config: TrainConfig                # as resolved, nothing left open
    checkpoint: dict[str, Any] | None  # the content of the one to go on from
    start: Start | None                # what to begin with, when not from nothing
    summary: str                       # parameters, memory, work and fast paths, as lines for people
    problem: SapgganError | None       # what would make it fail


def make_plan(
    images: np.ndarray, folder: Path, config: TrainConfig, resume: bool, data_hash: str, device: torch.device,
    labels: np.ndarray | None = None, start_from: Path | None = None,
) -> Plan:  # fmt: skip
    """The plan of `train` with these arguments, which writes nothing.

    `SapgganError` for a configuration that no training can have, or that is not the checkpoint's when resuming.
    """
    checkpoint = read_checkpoint(folder) if resume else None
    if checkpoint:
        config = same_run(checkpoint, config, data_hash, folder, device.type)
    elif (folder / CHECKPOINT).exists():
        raise SapgganError(f"{folder}: holds a run already; resume it, or choose another folder")
    start = read_start(start_from, config.model) if start_from and not checkpoint else None
    if checkpoint and start_from and not checkpoint.get("started_from"):
        raise SapgganError(f"{folder}: this run began from nothing; to start from {start_from}, name another folder")
    refuse_hold(config, (checkpoint or {}).get("started_from") or (start.facts if start else None))
    config, fast_paths = choose_fast_paths(resolve(config, device.type == "cuda"), device)
    with torch.device("meta"):
        generator, discriminator = build_networks(config.model, config.group)
    world, problem = rank_and_world()[1], None
    weights = [4 * sum(p.numel() for p in network.parameters()) for network in (generator, discriminator)]   # bytes
    try:
        check_images(images, config.model, labels)
        check(config, discriminator.group, world, sum(weights), folder)
    except SapgganError as error:
        problem = error
    active = activation_bytes(generator, discriminator, config.model.latent) * (config.batch // world)
    active = active // 2 if config.precision == "bfloat16" else active
    kept = 4 * sum(weights) + weights[0]
    steps = -(-int(config.kimg * 1000) // config.batch)
    held = f"; these scales of the generator are held for {config.hold_kimg:g} kimg" if config.hold_kimg else ""
    summary = "\n".join([
        f"generator     {parameters(generator)}",
        f"discriminator {parameters(discriminator)}",
        f"memory        about {size(kept + active)} on {device.type}: {size(kept)} for weights, gradients and Adam, "
        f"{size(active)} for activations",
        f"work          {config.kimg:g} kimg: {steps:,} steps of {config.batch}, "
        f"{config.kimg * 1000 / max(1, len(images)):.1f} epochs of {len(images):,} images",
        f"fast paths    {fast_paths}",
        *([f"starts from   {start}{held}"] if start else []),
    ])
    return Plan(config, checkpoint, start, summary, problem)


def refuse_hold(config: TrainConfig, start: dict[str, Any] | None) -> None:
    """`SapgganError` where `hold_kimg` has nothing to hold."""
    if config.hold_kimg > 0 and start is None:
        raise SapgganError(f"hold_kimg {config.hold_kimg:g} holds what a start brought; name one with start_from")


def check(config: TrainConfig, group: int, world: int, weight_bytes: int, folder: Path) -> None:
    """Raise `SapgganError` for a batch that processes or stddev group don't divide, a folder that cannot hold the run.

    `group` is the discriminator's, `weight_bytes` the size of both networks' weights.
    """
    if config.batch % (world * group):
        unit = world * max(group, config.stddev_group or 1)  # a batch below the group wanted made it smaller
        near = max(1, round(config.batch / unit)) * unit
        among = f" on each of {world} processes" if world > 1 else ""
        smaller = 1 if config.batch % world else math.gcd(config.batch // world, group)
        other = f", or stddev_group {smaller}" if smaller > 1 else ""
        raise SapgganError(
            f"batch {config.batch} is not a multiple of {group}{among} (minibatch stddev); use {near}{other}"
        )
    parent = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not parent.is_dir():
        raise readable(NotADirectoryError(errno.ENOTDIR, ""), folder)
    if not os.access(parent, os.W_OK):
        raise readable(PermissionError(errno.EACCES, ""), folder)
    # both networks, Adam's two moments and the average, twice: the new checkpoint is written before the old one goes
    needed = 2 * 4 * weight_bytes
    free = shutil.disk_usage(parent).free
    if free < needed:
        raise SapgganError(
            f"{folder}: checkpoints need {size(needed)} and the disk has {size(free)} free; "
            "free some space or choose another folder"
        )


def parameters(network: nn.Module) -> str:
    """`23.1 M parameters (blocks 0.3 2.4 ... M, to_image 0.0 M)`."""
    def millions(module: nn.Module) -> float:
        return sum(p.numel() for p in module.parameters()) / 1e6

    parts = []
    for name, child in network.named_children():
        values = [millions(block) for block in child] if isinstance(child, nn.ModuleList) else [millions(child)]
        parts.append(f"{name} {' '.join(f'{value:.2f}' for value in values)}")
    return f"{millions(network):.2f} M parameters ({'; '.join(parts)})"


def activation_bytes(generator: Generator, discriminator: Discriminator, latent: int) -> int:
    """Bytes per image that a step keeps for its backward passes, in float32; both networks are on "meta".

    The generator's graph for a batch lives while the discriminator's for twice as many images is built.
    """
    kept: dict[int, torch.UntypedStorage] = {}  # alive, so that no storage's address is used again
    weights = {p.untyped_storage()._cdata for p in [*generator.parameters(), *discriminator.parameters()]}

    def keep(x: Tensor) -> Tensor:
        storage = x.untyped_storage()
        if storage._cdata not in weights:
            kept[storage._cdata] = storage
        return x

    n = 4
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
        images = generator(torch.empty(n, latent, device="meta"), *generator.in_turn(n))
        discriminator([torch.cat([image.detach()] * 2) for image in images], *discriminator.in_turn(2 * n))
    return sum(storage.nbytes() for storage in kept.values()) // n


def size(count: float) -> str:
    """Bytes for people."""
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.0f} MB"
