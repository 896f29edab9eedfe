"""What a run will need, said before it starts, and what would make it fail."""

import math
import shutil
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sapggan_lib.base.config import ModelConfig, TrainConfig, to_mapping
from sapggan_lib.base.errors import SapgganError
from sapggan_lib.models import build_discriminator, build_generator


def check(config: TrainConfig, group: int, world: int, weight_bytes: int, folder: Path) -> None:
    """Raise `SapgganError` for a batch that the processes or the stddev group don't divide, and for a full disk.

    `group` is the discriminator's, `weight_bytes` the size of both networks' weights.
    """
    share = config.batch // world
    if config.batch % (world * group):
        unit = world * max(group, config.stddev_group or 1)  # a batch below the group wanted made it smaller
        near = max(1, round(config.batch / unit)) * unit
        among = f" on each of {world} processes" if world > 1 else ""
        smaller = 1 if config.batch % world else math.gcd(share, group)
        other = f", or stddev_group {smaller}" if smaller > 1 else ""
        raise SapgganError(
            f"batch {config.batch} is not a multiple of {group}{among} (minibatch stddev); use {near}{other}"
        )
    if share < 1:
        raise SapgganError(f"batch {config.batch} is smaller than the number of processes, {world}")
    parent = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    needed = 2 * checkpoint_bytes(weight_bytes)  # the new checkpoint is written before the old one goes
    free = shutil.disk_usage(parent).free
    if free < needed:
        raise SapgganError(
            f"{folder}: checkpoints need {size(needed)} and the disk has {size(free)} free; "
            "free some space or choose another folder"
        )


def blueprints(config: ModelConfig) -> tuple[nn.Module, nn.Module]:
    """Generator and discriminator on the "meta" device: shapes and names without memory."""
    model = to_mapping(config)
    with torch.device("meta"):
        generator = build_generator(**model)
        del model["latent"]
        return generator, build_discriminator(**model)


def summary(config: TrainConfig, images: int, world: int, device: torch.device) -> str:
    """Parameters per module, memory, images and steps, as lines for people."""
    generator, discriminator = blueprints(config.model)
    active = activation_bytes(generator, discriminator, config.model.latent) * (config.batch // world)
    active = active // 2 if config.precision == "bfloat16" else active
    kept = 4 * (weight_bytes(generator) + weight_bytes(discriminator)) + weight_bytes(generator)
    steps = -(-int(config.kimg * 1000) // config.batch)
    return "\n".join([
        f"generator     {parameters(generator)}",
        f"discriminator {parameters(discriminator)}",
        f"memory        about {size(kept + active)} on {device.type}: {size(kept)} for weights, gradients and Adam, "
        f"{size(active)} for activations",
        f"work          {config.kimg:g} kimg: {steps:,} steps of {config.batch}, "
        f"{config.kimg * 1000 / images:.1f} epochs of {images:,} images",
    ])


def parameters(network: nn.Module) -> str:
    """`23.1 M parameters (blocks 0.3 2.4 ... M, to_image 0.0 M)`."""
    def millions(module: nn.Module) -> float:
        return sum(p.numel() for p in module.parameters()) / 1e6

    parts = []
    for name, child in network.named_children():
        values = [millions(block) for block in child] if isinstance(child, nn.ModuleList) else [millions(child)]
        parts.append(f"{name} {' '.join(f'{value:.2f}' for value in values)}")
    return f"{millions(network):.2f} M parameters ({'; '.join(parts)})"


def activation_bytes(generator: nn.Module, discriminator: nn.Module, latent: int) -> int:
    """Bytes per image that a step keeps for its backward passes, in float32; both networks are on "meta".

    The generator's graph for a batch lives while the discriminator's for twice as many images is built.
    """
    sizes: dict[int, int] = {}
    weights = {p.untyped_storage()._cdata for p in [*generator.parameters(), *discriminator.parameters()]}
    alive: list[Any] = []  # so that no storage's address is used again

    def keep(x: Tensor) -> Tensor:
        storage = x.untyped_storage()
        if storage._cdata not in weights:
            sizes[storage._cdata] = storage.nbytes()
            alive.append(storage)
        return x

    n = 4
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
        images = generator(torch.empty(n, latent, device="meta"))
        discriminator([torch.cat([image.detach()] * 2) for image in images])
    return sum(sizes.values()) // n


def weight_bytes(network: nn.Module) -> int:
    return sum(p.numel() * p.element_size() for p in network.parameters())


def checkpoint_bytes(weights: int) -> int:
    """Both networks with Adam's two moments (three times `weights`), and the average (about half of it)."""
    return 4 * weights


def size(count: float) -> str:
    """Bytes for people."""
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.0f} MB"
