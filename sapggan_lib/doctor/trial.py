"""A training small enough to repeat on every path of a device, and how far two of them are apart."""

import tempfile
import timeit
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sapggan_lib import training
from sapggan_lib.models import ModelConfig

BATCH = 8
CONFIG = training.TrainConfig(
    loss="relativistic-pairing", batch=BATCH, lr=0.3, betas=(0.5, 0.9), r1_gamma=1.0, grow_kimg=1.0,
    ema_half_life=0.01, precision="float32", compile=False, cuda_graphs=False,
)  # fmt: skip


class Trial:
    """A small training: the same weights, images and random numbers, whatever the device and the path."""

    def __init__(self, device: torch.device, model: ModelConfig, backend: str = "inductor", **paths: Any):
        self.device = device
        self.config = config = training.resolve(replace(CONFIG, model=model, **paths), device.type == "cuda")
        torch.manual_seed(0)
        self.state = training.build(self.config, device)
        with torch.no_grad():
            for network in (self.state.generator, self.state.discriminator):
                for weight in network.parameters():  # off their start, where much is 0 and StyleGAN's first map is flat
                    weight.add_(0.1 * torch.randn(weight.shape).to(device))
        self.state.ema.load_state_dict(self.state.generator.state_dict())
        self.state.images = 1500  # of a growing model: in the middle of its last fade
        for optimizer in (self.state.optimizer_g, self.state.optimizer_d):
            optimizer.param_groups[0]["eps"] = 1.0  # else rounding decides the sign of the smallest steps
        # on every device, whose own random numbers differ; made here, since a recorded graph cannot copy from the CPU
        self.latents = torch.randn(BATCH, model.latent, generator=torch.Generator().manual_seed(0)).to(device)
        arguments = self.state, self.config, device
        fast = config.compile or config.cuda_graphs
        self.step: training.Step = training.FastStep(*arguments, backend) if fast else training.Step(*arguments)
        for network in (self.state.generator, self.state.discriminator) if config.compile else ():
            training.eager_blocks(network)
            network.blocks[-1].compile(dynamic=False, backend=backend)  # type: ignore[index, operator, union-attr]

    def run(self, steps: int) -> list[Tensor]:
        """Train, and return the losses, how each network and its average have moved, and Adam's second moments."""
        state = self.state
        torch.manual_seed(1)
        networks = (state.generator, state.discriminator, state.ema)
        before = [flat(network.parameters()) for network in networks]
        losses = [loss for _ in range(steps) for loss in self.step(self.real(state.step)).values()]
        moved = [flat(network.parameters()) - old for network, old in zip(networks, before, strict=True)]
        moments = [flat(adam["exp_avg_sq"] for adam in optimizer.state.values()).sqrt()
                   for optimizer in (state.optimizer_g, state.optimizer_d)]  # fmt: skip
        return [flat(losses), *moved, *moments]

    def real(self, number: int) -> Tensor:
        side = self.config.model.resolution
        return torch.rand(BATCH, 1, side, side, generator=torch.Generator().manual_seed(number)).to(self.device) * 2 - 1

    def seconds(self) -> float:
        """Of a step without penalty: the best of three after a first."""
        real = self.real(0)

        def step() -> None:
            self.step(real)
            if self.device.type == "cuda":
                torch.cuda.synchronize()

        return min(timeit.repeat(step, repeat=4, number=1)[1:])

    def autocast_in_backward(self) -> list[bool]:
        """A list that grows with each gradient: whether its backward pass ran within autocast."""
        seen: list[bool] = []
        for network in (self.state.generator, self.state.discriminator):
            for weight in network.parameters():
                weight.register_hook(lambda _: seen.append(torch.is_autocast_enabled(self.device.type)))
        return seen


def carry(before: Trial, after: Trial) -> None:
    """Save a checkpoint of one training and go on from it with another."""
    with tempfile.TemporaryDirectory() as name:
        training.save_checkpoint(Path(name), before.state, before.config, "")
        content = training.read_checkpoint(Path(name))
        training.same_run(content, after.config, "", Path(name), after.device.type)
        training.restore(after.state, content)


def flat(tensors: Iterable[Tensor | None]) -> Tensor:
    """A copy in one vector on the CPU."""
    return torch.cat([tensor.detach().flatten().float().cpu() for tensor in tensors if tensor is not None])


def difference(expected: list[Tensor], found: list[Tensor]) -> float:
    """The largest one, relative to the expected vector's length; NaN when any is."""
    return float(torch.stack([(a - b).norm() / a.norm() for a, b in zip(expected, found, strict=True)]).max())
