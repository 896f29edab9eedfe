"""Arithmetic below the networks: draws and means that are the same however many processes share a batch; precision.

Not DistributedDataParallel: its hooks want one forward for each backward, and a GAN step shares forwards and
differentiates twice. As in StyleGAN3, gradients are averaged after the backward pass instead (`step.update`).
"""

import contextlib
import datetime
import importlib
import os
from collections.abc import Iterator

import torch
import torch.distributed as dist
from torch import Tensor


@contextlib.contextmanager
def processes(device: torch.device) -> Iterator[None]:
    """Join the other processes when torchrun started several; NCCL on CUDA, gloo elsewhere."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or dist.is_initialized():
        yield
        return
    # first imported while a group lives, as compiling does, its default arguments would keep the group and its threads
    importlib.import_module("torch.distributed.nn.functional")
    patience = datetime.timedelta(hours=2)  # the others wait while the first computes a snapshot
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=patience)
    try:
        yield
        dist.barrier()  # one that leaves early closes connections under the other's threads
    finally:
        dist.destroy_process_group()


def rank_and_world() -> tuple[int, int]:
    """This process's number and how many there are; (0, 1) outside torchrun."""
    active = dist.is_available() and dist.is_initialized()
    return (dist.get_rank(), dist.get_world_size()) if active else (0, 1)


class _SumOverProcesses(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        total = x.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:  # type: ignore[override]
        return _SumOverProcesses.apply(gradient)  # each process's loss depends on every process's x


def global_mean(x: Tensor, dim: int | tuple[int, ...] | None = None) -> Tensor:
    """The mean of x over `dim` (None: all) and over the processes, differentiable; all hold x in the same shape."""
    _, world = rank_and_world()
    return x.mean(dim) if world == 1 else _SumOverProcesses.apply(x.mean(dim)) / world


def average_(x: Tensor) -> Tensor:
    """Replace x by its mean over the processes; returns x."""
    _, world = rank_and_world()
    if world > 1:
        dist.all_reduce(x)
        x /= world
    return x


def share(draw: Tensor) -> Tensor:
    """This process's rows of a draw for the global batch."""
    rank, world = rank_and_world()
    return draw.chunk(world)[rank]


def randn(*shape: int, device: torch.device | str = "cpu") -> Tensor:
    """Normal numbers for this process's part `shape` of the global batch.

    All processes hold the same random state and draw for all of them, each keeping its own rows: the global batch
    does not depend on the number of processes, and one random state describes them all in a checkpoint.
    """
    return share(torch.randn(rank_and_world()[1] * shape[0], *shape[1:], device=device))


def rand(*shape: int, device: torch.device | str = "cpu") -> Tensor:
    """As `randn`, uniform in [0, 1)."""
    return share(torch.rand(rank_and_world()[1] * shape[0], *shape[1:], device=device))


def device_name(cuda: bool) -> str:
    """What computes, for a reader: the current GPU, or the CPU with its threads."""
    if cuda:
        return torch.cuda.get_device_name()
    threads = torch.get_num_threads()
    return f"CPU, {threads} thread{'s' * (threads > 1)}"


def full_precision(device: torch.device) -> torch.autocast:
    """A context without autocast, for what bf16 is too coarse for: logits, penalties, grids."""
    return torch.autocast("cuda" if device.type == "cuda" else "cpu", enabled=False)  # autocast knows no "meta"
