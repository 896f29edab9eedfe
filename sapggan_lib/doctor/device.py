"""Every fast path of a device against the plain step, on small networks: what `sapggan doctor --device` prints.

Wrong numbers are an error. A path that is slower here, or cannot be had, is none: training leaves it out by itself.
"""

import contextlib
import io
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from sapggan_lib import training
from sapggan_lib.base.errors import first_line
from sapggan_lib.doctor.installation import Check
from sapggan_lib.doctor.trial import BATCH, Trial, carry, difference, flat
from sapggan_lib.losses import gradient_penalty, wgan_penalty
from sapggan_lib.models import ModelConfig

SAPGGAN = ModelConfig("sapggan", 16, latent=16, widths=(16, 16, 16))
STYLEGAN = ModelConfig("stylegan", 16, latent=16, widths=(16, 16, 16))
CPU = torch.device("cpu")
TOLERANCE = 0.01  # relative, of float32 summed in another order, over some steps
COARSE = 0.4      # of a step in bfloat16, whose rounding turns a gradient by about a fifth
LONG_RUN = training.TrainConfig(SAPGGAN, kimg=1e7)
TOO_SLOW = "float32 is faster here, or the GPU lacks bfloat16"


def examine(device: torch.device | None = None, backend: str = "inductor") -> Iterator[Check]:
    """One line a path, as soon as it is known. Leaves the random state as it was."""
    device = device or training.choose_device("auto")
    paths = [
        ("bfloat16", lambda: bfloat16(device), "train with --set precision=float32"),
        ("compiled blocks", lambda: compiled(device, backend), "train with --set compile=false"),
        ("CUDA graph", lambda: graphed(device, SAPGGAN, backend), "train with --set cuda_graphs=false"),
        ("CUDA graph, growing", lambda: graphed(device, STYLEGAN, backend), "train with --set cuda_graphs=false"),
        ("gradient penalties", lambda: penalties(device, backend),
         "train with --set precision=float32 --set compile=false"),
        ("resume", lambda: resume(device), "finish each training on the device where it began"),
        ("data set on device", lambda: data(device), "train with --set device=cpu"),
        ("training's choice", lambda: choice(device), "choose with --set precision=..., compile=..., cuda_graphs=..."),
    ]
    for name, path, fix in paths:
        with torch.random.fork_rng(range(torch.cuda.device_count())), without_tf32():
            try:
                check = path()
            except Exception as error:  # whatever a kernel, a compiler or a driver raises
                check = Check(name, "failed", first_line(error))
        yield replace(check, name=name, fix=fix if check.state == "failed" else check.fix)


def bfloat16(device: torch.device) -> Check:
    """Forward passes under autocast: nearly float32's losses and updates, and no backward pass within it."""
    worst = 0.0
    for model in (STYLEGAN, SAPGGAN):
        plain, half = Trial(device, model), Trial(device, model, precision="bfloat16")
        within = half.autocast_in_backward()
        worst = max(worst, difference(plain.run(1), half.run(1)))
        if any(within):
            return Check("", "failed", f"a backward pass of {model.name} ran within autocast")
    chosen = training.choose_fast_paths(LONG_RUN, device)[0].precision == "bfloat16"
    return verdict(worst, COARSE, speed(plain, half), [] if chosen else [TOO_SLOW])


def compiled(device: torch.device, backend: str) -> Check:
    """The last block of each network compiled, which takes seconds; training compiles all."""
    plain, fast = Trial(device, SAPGGAN), Trial(device, SAPGGAN, backend, compile=True)
    start = time.perf_counter()
    with contextlib.redirect_stderr(io.StringIO()) as stream:
        numbers = fast.run(2)
    seconds = time.perf_counter() - start
    worst = difference(plain.run(2), numbers)
    note = f"{seconds:.0f} s to compile one block of each network (training compiles all); {speed(plain, fast)}"
    return verdict(worst, TOLERANCE, note, said(stream))


def graphed(device: torch.device, model: ModelConfig, backend: str) -> Check:
    """Steps recorded as a CUDA graph, of SAPGGAN with compiled blocks, of StyleGAN in the middle of a fade."""
    if device.type != "cuda":
        return Check("", "ok", "not on a CPU")
    plain, fast = Trial(device, model), Trial(device, model, backend, compile=model is SAPGGAN, cuda_graphs=True)
    with contextlib.redirect_stderr(io.StringIO()) as stream:
        numbers = fast.run(8)  # the first with a penalty, four to warm up, one recorded
    worst = difference(plain.run(8), numbers)
    return verdict(worst, TOLERANCE, speed(plain, fast), said(stream))


def penalties(device: torch.device, backend: str) -> Check:
    """WGAN-GP's and R1's gradients beside compiled blocks, within autocast, and compiled: float32's, and not zero.

    Compiled at StyleGAN's first stage alone, which takes seconds.
    """
    trial = Trial(device, SAPGGAN)
    state = trial.state
    real = state.discriminator.real_views(trial.real(0))
    fake = [image.detach() for image in state.generator(trial.latents)]
    stage = Trial(device, STYLEGAN).state.discriminator
    stage.set_stage(0, 1.0)  # type: ignore[operator]

    def numbers(network: nn.Module, images: list[Tensor], others: list[Tensor], autocast: bool) -> list[Tensor]:
        epsilon = torch.linspace(0, 1, BATCH, device=device)
        with torch.autocast(device.type, torch.bfloat16, autocast):
            terms = [wgan_penalty(network, images, others, epsilon), gradient_penalty(network, images)]
        weights = [weight for weight in network.parameters() if weight.ndim > 1]
        return [flat(torch.autograd.grad(term, weights, allow_unused=True)) for term in terms]

    lines: list[str] = []
    expected = numbers(state.discriminator, real, fake, autocast=False)
    training.compile_blocks(state.discriminator, backend)
    found = numbers(state.discriminator, real, fake, autocast=True)
    expected += numbers(stage, real[:1], fake[:1], autocast=False)
    try:
        training.compile_penalty(stage, backend)
        found += numbers(stage, real[:1], fake[:1], autocast=True)
    except Exception as error:
        lines = [f"compiling the penalty failed ({first_line(error)})"]
        found += expected[2:]
    if not all(bool(gradient.any()) for gradient in (*expected, *found)):
        return Check("", "failed", "a penalty's gradient is zero")
    note = "in float32 whatever is around them, eager and compiled"
    return verdict(difference(expected, found), TOLERANCE, note, lines)


def resume(device: torch.device) -> Check:
    """A checkpoint of the CPU goes on on the device, and the device's on the CPU, as if it had stayed there."""
    stayed, back = Trial(CPU, SAPGGAN), Trial(CPU, SAPGGAN)
    moved = Trial(device, SAPGGAN, cuda_graphs=device.type == "cuda")
    for trial in (stayed, moved, back):
        trial.state.generator.register_forward_pre_hook(lambda *_, latents=trial.latents: latents)
    stayed.run(1)
    carry(stayed, moved)
    with contextlib.redirect_stderr(io.StringIO()) as stream:
        worst = max(difference(stayed.run(n), moved.run(n)) for n in (1, 6))  # the last one recorded, where graphs are
    carry(moved, back)
    worst = max(worst, difference(stayed.run(1), back.run(1)))
    return verdict(worst, TOLERANCE, f"from the CPU to {device.type} and back", said(stream))


def data(device: torch.device) -> Check:
    """Images kept on the device and images read ahead: the same batches, over two epochs."""
    images = np.random.default_rng(0).integers(0, 256, (44, 64, 64), np.uint8)
    kept, read = (training.Batches(images, ModelConfig(resolution=64), BATCH, 0, device) for _ in range(2))
    kept.resident, read.resident = torch.from_numpy(images).to(device), None
    shown, seconds = [], []
    with contextlib.closing(kept), contextlib.closing(read):
        for batches in (kept, read):
            start = time.perf_counter()
            shown.append(torch.stack([batches(position).cpu() for position in range(0, 88, BATCH)]))
            seconds.append(time.perf_counter() - start)
    note = f"reading ahead takes {seconds[1] / seconds[0]:.1f} times as long"
    return verdict(float((shown[0] - shown[1]).abs().max()), 0.0, note)


def choice(device: torch.device) -> Check:
    """What training chooses for a long run on this device, and why."""
    return Check("", "ok", training.choose_fast_paths(LONG_RUN, device)[1])


@contextlib.contextmanager
def without_tf32() -> Iterator[None]:
    """Ten bits are too coarse for comparing a GPU with a CPU."""
    with contextlib.ExitStack() as afterwards:
        afterwards.callback(torch.set_float32_matmul_precision, torch.get_float32_matmul_precision())
        afterwards.callback(setattr, torch.backends.cudnn, "allow_tf32", torch.backends.cudnn.allow_tf32)
        torch.set_float32_matmul_precision("highest")
        torch.backends.cudnn.allow_tf32 = False
        yield


def speed(plain: Trial, fast: Trial) -> str:
    return f"the small step {plain.seconds() / fast.seconds():.1f} times as fast"


def said(stream: io.StringIO) -> list[str]:
    """The lines in which training says that it falls back."""
    start = "training: "
    return [line.removeprefix(start) for line in stream.getvalue().splitlines() if line.startswith(start)]


def verdict(worst: float, allowed: float, note: str, slow: Sequence[str] = ()) -> Check:
    """Failed for a difference above what is allowed, slow with a reason for it."""
    detail = f"largest difference {worst:.1e} (allowed {allowed:g}); {note}"
    if not worst <= allowed:  # NaN too
        return Check("", "failed", detail)
    if slow:
        return Check("", "slow", "; ".join([*slow, detail]), "nothing to do: training leaves it out by itself")
    return Check("", "ok", detail)
