"""Looking inside SAPGGAN: where its parameters are, which scales gradients reach, what the SE gates do."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from sapggan_lib.models import SqueezeExcite


def parameter_table(generator: nn.Module, discriminator: nn.Module) -> pd.DataFrame:
    """Parameters of each block: a row per resolution, with the width of its feature maps."""
    def count(module: nn.Module) -> int:
        return sum(parameter.numel() for parameter in module.parameters())

    rows = []
    blocks = zip(generator.blocks, generator.to_image, discriminator.blocks, strict=True)  # type: ignore[arg-type]
    for index, (block, to_image, critic) in enumerate(blocks):
        gates = sum(count(module) for module in block.modules() if isinstance(module, SqueezeExcite))
        rows.append(
            {
                "resolution": 4 * 2**index,
                "feature maps": to_image.weight.shape[1],
                "generator": count(block) + count(to_image),
                "of which SE": gates,
                "discriminator": count(critic),
            }
        )
    return pd.DataFrame(rows)


def gradient_norms(
    generator: nn.Module,
    discriminator: nn.Module,
    generator_loss: Callable[[Tensor | None, Tensor], Tensor],  # of real and fake logits, as in losses.LOSSES
    latents: Tensor,                                            # [N, latent]
    real: list[Tensor],                                         # images at all scales, [N, C, r, r]
    multi_scale: bool = True,
) -> dict[int, float]:
    """Root mean square gradient of the generator's loss in each generator block, by resolution.

    Without `multi_scale` the discriminator still sees every scale, but only the largest one passes gradients back:
    what the network would learn from if the inputs at the smaller scales were not connected.
    """
    generator.zero_grad(set_to_none=True)
    images = generator(latents)
    if not multi_scale:
        images = [image.detach() for image in images[:-1]] + images[-1:]
    with torch.no_grad():
        real_logits = discriminator(real)
    generator_loss(real_logits, discriminator(images)).backward()
    norms = {}
    for index, block in enumerate(generator.blocks):  # type: ignore[arg-type]
        gradients = torch.cat([p.grad.flatten() for p in block.parameters() if p.grad is not None])
        norms[4 * 2**index] = float(gradients.square().mean().sqrt())
    generator.zero_grad(set_to_none=True)
    discriminator.zero_grad(set_to_none=True)
    return norms


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
    handles = []
    for index, block in enumerate(generator.blocks):  # type: ignore[arg-type]
        for module in block.modules():
            if isinstance(module, SqueezeExcite):

                def keep(_: nn.Module, inputs: tuple[Tensor], output: Tensor, resolution: int = 4 * 2**index) -> None:
                    maps[resolution] = (inputs[0], output)

                handles.append(module.register_forward_hook(keep))
    try:
        generator(latents)
    finally:
        for handle in handles:
            handle.remove()
    return maps
