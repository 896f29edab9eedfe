"""Images per second, memory and warm-up of a training step, per model, resolution and loss, on the device there is.

    python -m benchmarks.train_speed [--models sapggan ...] [--resolutions 64 ...] [--losses ra-hinge ...] [--seconds 5]

Three ways of the same step alternate, a cycle of `r1_every` steps each, so that lazy penalties count: `plain` is a
textbook's (NCHW memory, the generator run for each network, real and fake apart, no fused optimiser), `float32` the
library's without fast paths, `fast` with those that a long training chooses here. `R1 step` is fast's step with the
penalty alone, `ratio` fast / plain, `warm-up` the seconds of fast's first steps, with compiling.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from sapggan_lib.losses import GP_WEIGHT, LOSSES, gradient_penalty, wgan_penalty
from sapggan_lib.models import ModelConfig, default_widths
from sapggan_lib.training import FastStep, State, Step, TrainConfig, build, choose_device, choose_fast_paths, resolve

WARM_UP = 6                                          # steps at least: a CUDA graph is recorded at the fifth
TITLES = {"images_per_s": "fast", "r1_step": "R1 step", "warm_up": "warm-up s", "gigabytes": "GB"}
COLUMNS = ("model", "side", "loss", "plain", "float32", "images_per_s", "r1_step", "ratio", "warm_up", "gigabytes",
           "paths")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["sapggan", "pggan", "stylegan", "dcgan"])
    parser.add_argument("--resolutions", nargs="+", type=int, default=[64])
    parser.add_argument("--losses", nargs="+", default=[None], help="default: each model's own")
    parser.add_argument("--widths", nargs="+", type=int, help="at 4x4, 8x8, ...; default: narrow but on CUDA")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=5.0, help="of measuring, for each way")
    arguments = parser.parse_args()
    device = choose_device("auto")
    name = torch.cuda.get_device_name() if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    print(f"{name}; torch {torch.__version__}; batch {arguments.batch}; images/s")
    print(" ".join(f"{TITLES.get(column, column):>9}" for column in COLUMNS))
    for model in arguments.models:
        for side in arguments.resolutions:
            full = default_widths(side, model) if device.type == "cuda" else narrow_widths(side)
            widths = tuple(arguments.widths or full)
            for loss in arguments.losses:
                network = ModelConfig(model, side, latent=max(widths), widths=widths)
                line = measure(TrainConfig(network, loss, batch=arguments.batch), arguments.seconds, device)
                print(" ".join(f"{shown(line[column]):>9}" for column in COLUMNS), flush=True)


def narrow_widths(side: int) -> tuple[int, ...]:
    """The cpu profile's: 64, 64, 64, 64, 32 at 64 pixels, and 16 more at 128."""
    return tuple(min(64, 2048 // (4 * 2**i)) for i in range(side.bit_length() - 2))


def shown(value: Any) -> str:
    return "-" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def measure(config: TrainConfig, seconds: float, device: torch.device) -> dict[str, Any]:
    """One line of the table: what stands in `COLUMNS`."""
    cuda = device.type == "cuda"
    config, _ = choose_fast_paths(resolve(replace(config, grow_kimg=1e-9), cuda), device)
    penalty = bool(config.r1_gamma or config.r2_gamma)
    every = config.r1_every or 1 if penalty else 1
    side = config.model.resolution
    real = torch.rand(config.batch, config.model.channels, side, side, device=device) * 2 - 1
    if cuda:
        torch.cuda.reset_peak_memory_stats()
    ways: dict[str, Callable[[Tensor], object]] = {"fast": FastStep(grown(config, device), config, device)}
    warm_up = timed(ways["fast"], real, every * -(-WARM_UP // every))
    memory = torch.cuda.max_memory_allocated() / 1e9 if cuda else None
    eager = replace(config, precision="float32", compile=False, cuda_graphs=False)
    ways |= {"float32": Step(grown(eager, device), eager, device), "plain": Plain(grown(eager, device), eager)}
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    while not all(sum(total for _, total in spent) >= seconds for spent in times.values()):
        for name, step in ways.items():
            times[name].append(cycle(step, real, every))
    speeds = {name: config.batch * every * len(spent) / sum(total for _, total in spent)
              for name, spent in times.items()}  # fmt: skip
    firsts = [first for first, _ in times["fast"]]
    paths = [config.precision, "compiled" if config.compile else "eager", *["graphs"] * bool(config.cuda_graphs)]
    return {
        "model": config.model.name, "side": side, "loss": config.loss, "plain": speeds["plain"],
        "float32": speeds["float32"], "images_per_s": speeds["fast"], "ratio": speeds["fast"] / speeds["plain"],
        "r1_step": config.batch * len(firsts) / sum(firsts) if penalty else None,
        "warm_up": warm_up, "gigabytes": memory, "paths": "+".join(map(str, paths)),
    }  # fmt: skip


def grown(config: TrainConfig, device: torch.device) -> State:
    """A new run's state, past all growing, which takes one image here."""
    state = build(config, device)
    state.images = 1
    return state


def cycle(step: Callable[[Tensor], object], real: Tensor, every: int) -> tuple[float, float]:
    """Seconds of the first step, which has the penalty, and of all steps until the next one."""
    first = timed(step, real, 1)
    return first, first + timed(step, real, every - 1)


def timed(step: Callable[[Tensor], object], real: Tensor, count: int) -> float:
    """Seconds of `count` steps, the device waited for."""
    start = time.perf_counter()
    for _ in range(count):
        step(real)
    if real.is_cuda:
        torch.cuda.synchronize()
    return time.perf_counter() - start


class Plain:
    """The step as a textbook writes it."""

    def __init__(self, state: State, config: TrainConfig):
        self.state, self.config, self.loss = state, config, LOSSES[config.loss or ""]
        options = {"lr": config.lr, "betas": config.betas, "foreach": False, "fused": False}
        for name in ("generator", "discriminator"):
            getattr(state, name).to(memory_format=torch.contiguous_format)
        self.opt_g = torch.optim.Adam(state.generator.parameters(), **options)  # type: ignore[arg-type]
        self.opt_d = torch.optim.Adam(state.discriminator.parameters(), **options)  # type: ignore[arg-type]

    def __call__(self, real: Tensor) -> None:
        g, d, loss, config = self.state.generator, self.state.discriminator, self.loss, self.config
        images = d.real_views(real)
        with torch.no_grad():
            fake = g(torch.randn(len(real), config.model.latent, device=real.device))
        total = loss.discriminator(d(images), d(fake))
        if loss.gradient_penalty:
            total = total + GP_WEIGHT * wgan_penalty(d, images, fake, torch.rand(len(real), device=real.device))
        every = config.r1_every or 1
        for gamma, seen in ((config.r1_gamma, images), (config.r2_gamma, fake)):
            if gamma and self.state.step % every == 0:
                total = total + gamma * every * gradient_penalty(d, seen)
        self.state.step += 1
        self.opt_d.zero_grad()
        total.backward()
        self.opt_d.step()
        fake = g(torch.randn(len(real), config.model.latent, device=real.device))
        total = loss.generator(d(images) if loss.needs_real else None, d(fake))
        self.opt_g.zero_grad()
        total.backward()
        self.opt_g.step()
        with torch.no_grad():
            for kept, now in zip(self.state.ema.parameters(), g.parameters(), strict=True):
                kept.lerp_(now, 0.01)


if __name__ == "__main__":
    main()
