"""Generators as files, and images out of generators."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save
from torch import Tensor
from torch.func import functional_call

from sapggan_lib.base.config import from_mapping
from sapggan_lib.base.errors import SapgganError, first_line, near_match
from sapggan_lib.base.files import atomic_path, write_json
from sapggan_lib.models.build import generator_of
from sapggan_lib.models.network import Generator, ModelConfig

WEIGHTS = "generator.safetensors"  # inside a run folder


def latents(n: int, width: int, seed: int) -> Tensor:
    """`[n, width]` normal numbers; row i depends on `seed` and i alone, so that n and the batch size don't matter."""
    random = torch.Generator().manual_seed(seed)
    return torch.stack([torch.randn(width, generator=random) for _ in range(n)]) if n else torch.empty(0, width)


@torch.no_grad()
def generate(
    generator: Generator, n: int, seed: int = 0, batch: int = 16, truncation: float = 1.0, label: str | None = None
) -> np.ndarray:
    """Images as uint8 `[n, R, R]`, or `[n, R, R, 3]` from a colour generator, at the full resolution R.

    The same for a seed whatever `n` and `batch`; the global random state stays untouched. StyleGAN's images get
    noise of their own (`randomize_noise` in the authors' metrics). `truncation` below 1 trades variety for typical
    images in StyleGAN (a pull towards the mean style); the other models refuse it. `label` names one of a conditional
    generator's classes; without it they come in turn. `SapgganError` for a class that there is not.
    """
    if truncation != 1 and not generator.truncates:
        raise SapgganError("truncation is for stylegan alone; leave it at 1")
    options = {} if truncation == 1 else {"truncation": truncation}
    device = next(generator.parameters()).device
    random = torch.Generator().manual_seed(seed ^ 2**31)  # another stream than the latents'
    images, labels = [], labels_of(generator, n, label)
    training = generator.training
    generator.eval()
    for i, z in enumerate(latents(n, generator.latent, seed).split(batch)):
        noise = generator.draw_noise(len(z), random)         # stands in for the buffers of these names
        some = [numbers[batch * i:batch * (i + 1)] for numbers in labels]
        image = functional_call(generator, noise, (z.to(device), *some), options)[-1]
        images.append(to_uint8(F.interpolate(image, size=(generator.resolution,) * 2)))  # a growing one's, enlarged
    generator.train(training)
    stacked = np.concatenate(images)
    return stacked[..., 0] if stacked.shape[-1] == 1 else stacked


def labels_of(generator: Generator, n: int, label: str | None) -> tuple[Tensor, ...]:
    """Labels `[n]` of the class named `label`; None: of each class in turn, and none from a generator without."""
    if label is None:
        return generator.in_turn(n)
    classes = generator.config["classes"]
    if label not in classes:
        hint = near_match(label, classes) if classes else "it was trained without classes"
        raise SapgganError(f'no class "{label}" in this generator; {hint}')
    return (torch.full_like(generator.in_turn(n)[0], classes.index(label)),)


def to_float(images: Tensor) -> Tensor:
    """uint8 `[N, H, W]` or `[N, H, W, C]` as `[N, C, H, W]` in [-1, 1]."""
    images = images[:, None] if images.ndim == 3 else images.permute(0, 3, 1, 2)
    return images.float().div(127.5).sub(1)


def to_uint8(images: Tensor) -> np.ndarray:
    """Images `[N, C, H, W]` in [-1, 1] as uint8 `[N, H, W, C]`."""
    levels = images.float().add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8)
    return levels.permute(0, 2, 3, 1).cpu().numpy()


def save_generator(path: Path | str, generator: Generator, metadata: dict[str, Any]) -> None:
    """Write weights to `path` (.safetensors) and `{"model": arguments of build_generator} | metadata` beside it."""
    path = Path(path)
    weights = {name: tensor.contiguous() for name, tensor in generator.state_dict().items()}
    with atomic_path(path) as temporary:
        temporary.write_bytes(save(weights))  # `save_file` would hide a full disk behind an error of its own
    write_json(path.with_suffix(".json"), {"model": generator.config} | metadata)


def load_generator(path: Path | str) -> Generator:
    """The generator in eval mode on the CPU, float32, from its .safetensors file or a run's folder.

    Raises `SapgganError` when a file is missing, damaged, or the two do not belong together.
    """
    path = Path(path)
    path = path / WEIGHTS if path.is_dir() else path
    description = path.with_suffix(".json")
    for file in (path, description):
        if not file.is_file():
            raise SapgganError(f"{file}: not found; a generator is a .safetensors file with its .json beside it")
    try:
        config = from_mapping(ModelConfig, json.loads(description.read_text("utf-8"))["model"], "model")
        weights = load_file(path)
        with torch.device("meta"):                       # without memory, which the description may ask too much of
            blueprint = generator_of(config)
        needed = sum(tensor.numel() for tensor in (*blueprint.parameters(), *blueprint.buffers()))
        found = sum(tensor.numel() for tensor in weights.values())
        if needed > found:
            raise ValueError(f"{description.name} describes {needed:,} numbers and {path.name} holds {found:,}")
        generator = generator_of(config)
        generator.load_state_dict(weights)
    except Exception as error:                           # json, safetensors and torch raise nearly every type
        line = first_line(error)
        raise SapgganError(f"{path}: not a generator of this package ({line}); take it from a finished run") from error
    return generator.eval()
