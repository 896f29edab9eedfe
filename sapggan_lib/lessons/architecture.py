"""Looking inside SAPGGAN: where its parameters are, and what the SE gates do."""

import contextlib
import functools
from collections.abc import Mapping

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.func import functional_call

from sapggan_lib.models import SqueezeExcite

DEPENDS = 0.1  # share of the gates' variance from which on they are said to depend on the image


def parameter_table(generator: nn.Module, discriminator: nn.Module) -> pd.DataFrame:
    """Parameters of each block: a row per resolution, with the width of its feature maps."""
    def count(module: nn.Module) -> int:
        return sum(parameter.numel() for parameter in module.parameters())

    rows = []
    blocks = zip(generator.blocks, generator.to_image, discriminator.blocks, strict=True)  # type: ignore[arg-type]
    for index, (block, to_image, critic) in enumerate(blocks):
        gates = sum(count(module) for module in block.modules() if isinstance(module, SqueezeExcite))
        rows.append((4 * 2**index, to_image.weight.shape[1], count(block) + count(to_image), gates, count(critic)))
    return pd.DataFrame(rows, columns=["resolution", "feature maps", "generator", "of which SE", "discriminator"])


def attention_gates(generator: nn.Module, latents: Tensor) -> dict[int, np.ndarray]:
    """The SE gates of each generator block, values in (0, 2), `[N, C]` by resolution; empty without SE."""
    return {
        resolution: (after.abs().mean((2, 3)) / before.abs().mean((2, 3)).clamp_min(1e-12)).float().cpu().numpy()
        for resolution, (before, after) in excited_maps(generator, latents).items()
    }


@torch.no_grad()
def excited_maps(generator: nn.Module, latents: Tensor) -> dict[int, tuple[Tensor, Tensor]]:
    """Feature maps before and after each generator block's SE, `[N, C, r, r]` by resolution; empty without SE."""
    maps: dict[int, tuple[Tensor, Tensor]] = {}

    def keep(resolution: int, _: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        maps[resolution] = (inputs[0], output)

    with contextlib.ExitStack() as hooks:
        for index, block in enumerate(generator.blocks):  # type: ignore[arg-type]
            for module in block.modules():
                if isinstance(module, SqueezeExcite):
                    hooks.enter_context(module.register_forward_hook(functools.partial(keep, 4 * 2**index)))
        generator(latents)
    return maps


@torch.no_grad()
def gate_variation(generator: nn.Module, latents: Tensor) -> pd.DataFrame:
    """What the SE gates owe to the image: a row per resolution. `latents`: `[N, latent]`, two or more.

    "over images": a gate's standard deviation over images, root mean square of all maps. "over maps": that of the
    maps' mean gates. "share": the part of the gates' variance that lies between images. "held": how far an image
    moves when each gate stays at its mean over images, in distances of two images (mean absolute differences).
    """
    rows, whole = [], generator(latents)[-1].clamp(-1, 1)
    distance = (whole - whole.roll(1, 0)).abs().mean().clamp_min(1e-12)
    for index, (resolution, gate) in enumerate(attention_gates(generator, latents).items()):
        images, maps = gate.var(0, ddof=1).mean(), gate.mean(0).var(ddof=1)
        weight, bias = (f"blocks.{index}.attention.excite.{name}" for name in ("weight", "bias"))
        still = {weight: torch.zeros_like(generator.get_parameter(weight)),
                 bias: torch.from_numpy(gate.mean(0) / 2).logit(1e-6)}  # fmt: skip
        moved = (functional_call(generator, still, (latents,))[-1].clamp(-1, 1) - whole).abs().mean() / distance
        rows.append((resolution, images**0.5, maps**0.5, images / max(images + maps, 1e-12), float(moved)))
    return pd.DataFrame(rows, columns=["resolution", "over images", "over maps", "share", "held"])


def findings(variation: pd.DataFrame, ratios: Mapping[int, float]) -> list[str]:
    """What there is to say of `gate_variation`'s table, and of gradients with all scales over those with one."""
    said = ", ".join(f"{ratio:.2g} ({side} pixels)" for side, ratio in ratios.items())
    return [
        f"At {row['resolution']:.0f} pixels {row['share']:.1%} of the gates' variance lies between images: "
        + ("the gates depend on the image" if row["share"] >= DEPENDS else "a gate is a fixed weight of its map")
        + f". Held at their means, they move an image by {row['held']:.1%} of the distance between two."
        for row in variation.to_dict("records")
    ] + [f"At the start, gradients with all scales connected over those with the largest alone: {said}."]
