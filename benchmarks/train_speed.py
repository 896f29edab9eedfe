"""Images per second, memory and warm-up of a training step, per model and resolution, on whatever device there is.

    python benchmarks/train_speed.py [--models sapggan ...] [--resolutions 64 ...] [--seconds 5]

`plain` is the same step without the engine: NCHW memory, the generator run for each network, real and fake
apart, no fused optimiser, eager. `ratio` is engine / plain, both alternating in this run, medians. On CUDA `floor`
is the share of the bound for RA-hinge at 512 (`FLOOR` below); elsewhere it is not known and says so.
"""

import argparse
import time
from collections.abc import Callable

import torch
from torch import Tensor

from sapggan_lib.checkpoint import State
from sapggan_lib.config import ModelConfig, TrainConfig
from sapggan_lib.defaults import resolve
from sapggan_lib.fast import FastStep, compile_blocks
from sapggan_lib.losses import GP_WEIGHT, LOSSES, gradient_penalty, wgan_penalty
from sapggan_lib.step import Step
from sapggan_lib.training import build, choose_device

FLOOR = {("sapggan", 512): 705.0}  # images/s, one H100: fused resampling, shared generator, 700 TFLOP/s, 3 TB/s


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["sapggan", "pggan", "stylegan", "dcgan"])
    parser.add_argument("--resolutions", nargs="+", type=int, default=[64])
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--most", type=int, default=None, help="widest layer; default 64 on a CPU, 512 on CUDA")
    parser.add_argument("--seconds", type=float, default=5.0, help="of measuring, for each of engine and plain")
    arguments = parser.parse_args()
    device = choose_device("auto")
    cuda = device.type == "cuda"
    name = torch.cuda.get_device_name() if cuda else f"CPU, {torch.get_num_threads()} threads"
    print(f"{name}; torch {torch.__version__}; batch {arguments.batch}")
    if not cuda:
        print("no CUDA device here: compiled blocks, CUDA graphs and bf16 are not measured")
    print(f"{'model':9} {'side':>5} {'images/s':>9} {'plain':>7} {'ratio':>6} {'warm-up s':>10} {'GB':>6} {'floor':>6}")
    most = arguments.most or (512 if cuda else 64)
    for model in arguments.models:
        for side in arguments.resolutions:
            line = measure(model, side, arguments.batch, most, arguments.seconds, device)
            memory = "-" if line["gigabytes"] is None else f"{line['gigabytes']:.1f}"
            share = "-" if line["floor"] is None else f"{line['floor']:.0%}"
            speed = f"{line['images_per_s']:9.1f} {line['plain']:7.1f} {line['ratio']:6.2f}"
            print(f"{model:9} {side:5} {speed} {line['warm_up']:10.1f} {memory:>6} {share:>6}", flush=True)


def measure(
    model: str, side: int, batch: int, most: int, seconds: float, device: torch.device
) -> dict[str, float | None]:
    """One line of the table: `images_per_s`, `plain`, `ratio`, `warm_up`, and on CUDA `gigabytes` and `floor`."""
    cuda = device.type == "cuda"
    widths = tuple(min(most, most * 64 // (4 * 2**i)) for i in range(side.bit_length() - 2))
    if side == 512 and most == 512:
        widths = (512, 512, 512, 512, 256, 128, 64, 32)
    network = ModelConfig(model, side, latent=most, widths=widths)
    config = resolve(TrainConfig(network, batch=batch, grow_kimg=1e-9), cuda)
    real = torch.rand(batch, 1, side, side, device=device) * 2 - 1
    if cuda:
        torch.cuda.reset_peak_memory_stats()
    state = build(config, device)
    step: Callable[[Tensor], object] = Step(state, config, device)
    if config.compile:
        compile_blocks(state.generator)
        compile_blocks(state.discriminator)
    if config.cuda_graphs:
        step = FastStep(step)  # type: ignore[arg-type]
    start = time.perf_counter()
    for _ in range(6):
        timed(step, real)
    warm = time.perf_counter() - start
    memory = torch.cuda.max_memory_allocated() / 1e9 if cuda else None
    twin = Plain(build(config, device), config)
    timed(twin, real)
    times: dict[str, list[float]] = {"engine": [], "plain": []}
    while sum(map(sum, times.values())) < 2 * seconds:
        times["engine"].append(timed(step, real))
        times["plain"].append(timed(twin, real))
    engine, plain = (batch / sorted(t)[len(t) // 2] for t in times.values())
    floor = FLOOR.get((model, side)) if cuda else None
    return {
        "images_per_s": engine, "plain": plain, "ratio": engine / plain, "warm_up": warm, "gigabytes": memory,
        "floor": engine / floor if floor else None,
    }  # fmt: skip


def timed(step: Callable[[Tensor], object], real: Tensor) -> float:
    """Seconds of one step, the device waited for."""
    start = time.perf_counter()
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
        images = d.real_views(real)  # type: ignore[operator]
        with torch.no_grad():
            fake = g(torch.randn(len(real), config.model.latent, device=real.device))
        total = loss.discriminator(d(images), d(fake))
        if loss.gradient_penalty:
            total = total + GP_WEIGHT * wgan_penalty(d, images, fake, torch.rand(len(real), device=real.device))
        every = config.r1_every or 1
        if config.r1_gamma and self.state.step % every == 0:
            total = total + config.r1_gamma * every * gradient_penalty(d, images)
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
