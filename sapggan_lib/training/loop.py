"""Training: one loop for every model and loss."""

import copy
import ctypes
import math
import os
import signal
import sys
import threading
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sapggan_lib.base.config import TrainConfig, to_mapping
from sapggan_lib.base.errors import SapgganError
from sapggan_lib.base.files import only_one
from sapggan_lib.base.progress import progress_bar
from sapggan_lib.models import build_discriminator, build_generator
from sapggan_lib.tensors import average_, processes, rank_and_world
from sapggan_lib.training import checkpoint
from sapggan_lib.training.accelerate import FastStep, choose_fast_paths
from sapggan_lib.training.batches import Batches
from sapggan_lib.training.checkpoint import State
from sapggan_lib.training.defaults import resolve
from sapggan_lib.training.log import Record, Snapshot, TrainResult
from sapggan_lib.training.preflight import check, summary, weight_bytes
from sapggan_lib.training.step import Step


def train(
    images: np.ndarray,                       # uint8 [N, H, H] or [N, H, H, 3], maybe memory-mapped
    out: Path | str,                          # the run's folder
    config: TrainConfig,
    *,
    resume: bool = False,                     # go on from the folder's checkpoint
    on_snapshot: Snapshot | None = None,      # (kimg, averaged generator) -> numbers for the log
    data_hash: str = "",                      # of the store; a resumed run must see the same
    seconds: float = math.inf,                # stop when the run, all its parts together, has trained so long
) -> TrainResult:
    """Train `config.model` on `images` for `config.kimg` thousand images, or for `seconds` if they are over first.

    Writes into `out`: config.json, log.jsonl, samples/*.png, checkpoint.pt, generator.safetensors and .json (the
    moving average). Interrupting (Ctrl-C, SIGTERM) finishes the step and writes a checkpoint. Resuming gives, on
    the CPU bit for bit, the weights of a run that never stopped, also after a kill; resuming a finished run does
    nothing, but for what a kill at its very end left out. The caller's random state is left as it was. Raises
    `SapgganError` for settings that do not fit the images or the checkpoint, for a folder that another training
    writes to, for a full disk, and for a loss that is not finite (the last checkpoint stays).
    """
    folder = Path(out)
    if resume:
        checkpoint.require(folder)
    device = choose_device(config.device)
    with processes(device), torch.random.fork_rng(range(torch.cuda.device_count())), hold(folder):
        rank, world = rank_and_world()
        content = checkpoint.read_checkpoint(folder) if resume else None
        if content:
            config = checkpoint.same_run(content, config, data_hash, folder, device.type)
        elif (folder / checkpoint.CHECKPOINT).exists():
            raise SapgganError(f"{folder}: holds a run already; resume it, or choose another folder")
        config = resolve(config, device.type == "cuda")
        config, reasons = choose_fast_paths(config, device)
        torch.manual_seed(config.seed)
        state = build(config, device)
        group: int = state.discriminator.group  # type: ignore[assignment]
        check(config, group, world, weight_bytes(state.generator) + weight_bytes(state.discriminator), folder)
        if content:
            checkpoint.restore(state, content)
        batches = Batches(images, config.model, config.batch, config.seed, device)
        if rank == 0:
            print(f"{summary(config, len(images), world, device)}\nfast paths    {reasons}", file=sys.stderr)
        try:
            record = Record(folder, state, config, data_hash, on_snapshot, batches.images)
            return loop(batches, state, config, record, seconds)
        finally:
            batches.close()


def hold(folder: Path) -> AbstractContextManager[None]:
    """Keep other trainings out of `folder`; the first of several processes does it for all."""
    if rank_and_world()[0] > 0:
        return nullcontext()
    return only_one(folder, "another training writes here; wait for it, or choose another folder")


def loop(batches: Batches, state: State, config: TrainConfig, record: Record, seconds: float) -> TrainResult:
    """The training loop: a batch, a step, and whatever is due."""
    step = FastStep(Step(state, config, batches.device))
    end = config.kimg * 1000
    last = state.images >= end or state.seconds >= seconds
    if last:
        record.mend()
    bar = progress_bar(int(end), config.model.name, disable=rank_and_world()[0] > 0)
    with bar, Interrupt(batches.device) as interrupt:
        bar.update(state.images)
        while not last:
            before = state.kimg
            record.add(step(batches(state.images)))
            bar.update(config.batch)
            interrupt.wanted |= record.elapsed() >= seconds
            last = state.images >= end or interrupt.agreed(state.step)
            record.after_step(before, last, bar)
    return record.result(finished=state.images >= end)


class Interrupt:
    """While active, Ctrl-C and SIGTERM only set `.wanted`, so that the loop can end at a whole step."""

    def __init__(self, device: torch.device):
        self.wanted = False
        self.device = device
        self.before: dict[int, Any] = {}

    def __enter__(self) -> "Interrupt":
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self.before[number] = signal.signal(number, self.set)
        return self

    def set(self, *_: object) -> None:
        self.wanted = True
        self.__exit__()  # a second Ctrl-C stops at once

    def agreed(self, step: int) -> bool:
        """Whether to stop after `step`; several processes ask each other now and then, to stop at the same one."""
        if rank_and_world()[1] == 1:
            return self.wanted
        return step % 16 == 0 and bool(average_(torch.tensor(float(self.wanted), device=self.device)) > 0)

    def __exit__(self, *exception: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)


def build(config: TrainConfig, device: torch.device) -> State:
    """Both networks, the average and the optimisers, from the global random state."""
    model = to_mapping(config.model)
    generator = build_generator(**model).to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    del model["latent"]
    model["stddev_group"] = min(config.stddev_group or 1, config.batch)  # more would mix real and fake in one group
    discriminator = build_discriminator(**model).to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    ema = copy.deepcopy(generator).requires_grad_(False).eval()
    options = {"lr": config.lr, "betas": config.betas, "eps": 1e-8, "fused": True, "capturable": config.cuda_graphs}
    return State(
        generator, discriminator, ema,
        torch.optim.Adam(generator.parameters(), **options),      # type: ignore[arg-type]
        torch.optim.Adam(discriminator.parameters(), **options),  # type: ignore[arg-type]
    )


def choose_device(name: str) -> torch.device:
    """"auto" is CUDA when there is one; sets it up for speed. `SapgganError` when "cuda" is wanted and missing."""
    if name == "cuda" and not torch.cuda.is_available():
        raise SapgganError("device cuda: torch finds no CUDA device; use device auto or cpu, or install a CUDA torch")
    if name != "cpu" and torch.cuda.is_available():
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(device)
        torch.backends.cudnn.benchmark = True
        torch.set_float32_matmul_precision("high")  # TF32
        return device
    if sys.platform == "linux":  # glibc: keep freed memory; by default each large tensor is mapped and zeroed anew
        libc = ctypes.CDLL(None)
        if hasattr(libc, "mallopt"):
            libc.mallopt(-3, 2**30)      # M_MMAP_THRESHOLD
            libc.mallopt(-1, 2**31 - 1)  # M_TRIM_THRESHOLD
    return torch.device("cpu")
