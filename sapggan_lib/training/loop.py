"""Training: one loop for every model and loss."""

import contextlib
import copy
import ctypes
import hashlib
import json
import math
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sapggan_lib.base.config import to_mapping
from sapggan_lib.base.errors import SapgganError
from sapggan_lib.base.files import only_one, sweep
from sapggan_lib.base.progress import progress_bar
from sapggan_lib.models import build_networks
from sapggan_lib.tensors import average_, processes, rank_and_world
from sapggan_lib.training import checkpoint
from sapggan_lib.training.accelerate import FastStep
from sapggan_lib.training.batches import Batches
from sapggan_lib.training.checkpoint import State
from sapggan_lib.training.config import TrainConfig
from sapggan_lib.training.interrupt import Interrupt
from sapggan_lib.training.log import LogWriter, Snapshot, note_maker, write_sheet
from sapggan_lib.training.preflight import make_plan
from sapggan_lib.training.start import begin

Progress = Callable[[float, float, str], object]


@dataclass(frozen=True)
class TrainResult:
    """What `train` leaves."""

    folder: Path               # the run's folder
    finished: bool             # False: interrupted, `resume=True` goes on
    kimg: float                # real images shown, thousands
    steps: int
    seconds: float             # of training over all its parts, without snapshots
    log: list[dict[str, Any]]  # the lines of log.jsonl


def train(
    images: np.ndarray,                       # uint8 [N, H, H] or [N, H, H, 3], maybe memory-mapped
    out: Path | str,                          # the run's folder
    config: TrainConfig,
    *,
    resume: bool = False,                     # go on from the folder's checkpoint
    start_from: Path | None = None,           # a run's folder or a generator's file, to begin with its scales
    on_snapshot: Snapshot | None = None,      # (kimg, averaged generator) -> numbers for the log
    data_hash: str = "",                      # of the store; a resumed run must see the same
    labels: np.ndarray | None = None,         # of `config.model.classes`, [N]; a resumed run must see the same
    seconds: float = math.inf,                # stop when the run, all its parts together, has trained so long
    abort_fn: Callable[[], bool] | None = None,  # asked after each step whether to stop; None: `Interrupt`
    progress_fn: Progress | None = None,      # told kimg, kimg in all and the newest losses; None: a progress bar
) -> TrainResult:
    """Train `config.model` on `images` for `config.kimg` thousand images, or for `seconds` if they are over first.

    Writes into `out`: config.json, made.json, log.jsonl, samples/*.png, checkpoint.pt, generator.safetensors and .json
    (the moving average). Being told to stop, by Ctrl-C or SIGTERM unless there is an `abort_fn`, finishes the step and
    writes a checkpoint. Resuming gives, on the CPU bit for bit, the weights of a run that never stopped, also after a
    kill; resuming a finished run does nothing, but for what a kill at its very end left out. The caller's random state
    is left as it was. Raises `SapgganError` for settings that do not fit the images or the checkpoint, for a folder
    that another training writes to, for a full disk, and for a loss that is not finite (the last checkpoint stays).
    """
    folder, data_hash = Path(out), with_labels(data_hash, labels)
    if resume:
        checkpoint.require(folder)            # before the lock makes a folder
    device = choose_device(config.device)
    with contextlib.ExitStack() as stack:
        stack.enter_context(processes(device))
        stack.enter_context(torch.random.fork_rng(range(torch.cuda.device_count())))
        rank, _ = rank_and_world()            # the first process writes, and speaks for all
        if rank == 0:
            stack.enter_context(only_one(folder, "another training writes here; wait for it, or choose another folder"))
            sweep(folder / "samples")
        plan = make_plan(images, folder, config, resume, data_hash, device, labels, start_from)
        if plan.problem:
            raise plan.problem
        if rank == 0:
            print(plan.summary, file=sys.stderr)

        # Networks, optimisers, images and log; going on, they are as they were after the checkpoint's last step.
        config = plan.config
        torch.manual_seed(config.seed)
        state = build(config, device)
        if plan.checkpoint:
            checkpoint.restore(state, plan.checkpoint)
        elif plan.start:
            begin(state, plan.start, average=config.hold_kimg > 0)
        step = FastStep(state, config, device)
        batches = Batches(images, config.model, config.batch, config.seed, device, labels)
        stack.callback(batches.close)
        log = LogWriter(folder, state, config, batches.images)

        abort = abort_fn or stack.enter_context(Interrupt())
        progress = progress_fn if progress_fn and rank == 0 else stack.enter_context(shown(config, rank))
        wanted, losses, end = False, "", config.kimg * 1000
        last = state.images >= end or state.seconds >= seconds
        if last:
            mend(folder, state, config, data_hash, log, on_snapshot)
        elif rank == 0:
            note_maker(folder, state.kimg, device)
        progress(state.kimg, config.kimg, losses)
        while not last:
            # Both networks, grown to the stage that is due, learn from one batch.
            before = state.kimg
            log.add(step(batches(state.images), batches.labels(state.images)))

            # What is due after it: all of it after the last step.
            wanted = wanted or abort() or log.seconds() >= seconds
            last = state.images >= end or agreed(wanted, state.step, device)
            log_due, sample_due, checkpoint_due = (
                last or passed(every, before, state.kimg)
                for every in (config.log_kimg, config.sample_kimg, config.checkpoint_kimg)
            )
            snapshot_due = state.kimg >= config.kimg or any(before < k <= state.kimg for k in config.snapshot_kimg)

            # Log line, scores, sample sheet, checkpoint.
            if log_due or checkpoint_due:
                losses = log.flush(last)
            progress(state.kimg, config.kimg, losses)
            with log.paused():
                if snapshot_due:
                    log.score(on_snapshot)
                if sample_due and rank == 0:
                    write_sheet(folder / "samples" / f"{state.kimg:010.3f}.png", state.average())
                if checkpoint_due and rank == 0:
                    checkpoint.save(folder, state, config, data_hash)
        return TrainResult(folder, state.images >= end, state.kimg, state.step, state.seconds, log.lines)


def dry_run(
    images: np.ndarray, out: Path | str, config: TrainConfig, *, resume: bool = False, data_hash: str = "",
    labels: np.ndarray | None = None, start_from: Path | None = None,
) -> None:  # fmt: skip
    """Print what `train` would do with these arguments: its options as resolved, in JSON, and its plan; write nothing.

    Raises the `SapgganError` that `train` would begin with.
    """
    data_hash = with_labels(data_hash, labels)
    plan = make_plan(images, Path(out), config, resume, data_hash, choose_device(config.device), labels, start_from)
    print(f"{json.dumps(to_mapping(plan.config), indent=2)}\n{plan.summary}")
    if plan.problem:
        raise plan.problem


def with_labels(data_hash: str, labels: np.ndarray | None) -> str:
    """The hash of the data and, where there are classes, of the labels."""
    if labels is None:
        return data_hash
    return hashlib.sha256(data_hash.encode() + np.asarray(labels, "<i8").tobytes()).hexdigest()


def passed(every: float | None, before: float, now: float) -> bool:
    """Whether a multiple of `every` lies above `before` and not above `now`; all in kimg."""
    return int(before / (every or 1)) < int(now / (every or 1))


def agreed(wanted: bool, step: int, device: torch.device) -> bool:
    """Whether to stop after `step`; several processes ask each other now and then, to stop at the same one."""
    if rank_and_world()[1] == 1:
        return wanted
    return step % 16 == 0 and bool(average_(torch.tensor(float(wanted), device=device)) > 0)


@contextlib.contextmanager
def shown(config: TrainConfig, rank: int) -> Iterator[Progress]:
    """A progress bar in images as a `progress_fn`; of several processes the first one's alone."""
    with progress_bar(int(config.kimg * 1000), config.model.name, "images", disable=rank > 0) as bar:
        done, said = 0, ""

        def progress(kimg: float, total: float, losses: str) -> None:
            nonlocal done, said
            if losses != said:  # which draws the bar anew
                bar.set_postfix_str(losses)
            bar.update(round(1000 * kimg) - done)
            done, said = round(1000 * kimg), losses

        yield progress


def mend(
    folder: Path, state: State, config: TrainConfig, data_hash: str, log: LogWriter, on_snapshot: Snapshot | None
) -> None:
    """Make what a run that is over lacks of its last step, where it was killed: score, log line, generator."""
    here = [line for line in log.lines if line["step"] == state.step]
    if state.kimg >= config.kimg and all("images_per_s" in line for line in here):
        log.score(on_snapshot)
    if log.main and not any(line["step"] == state.step for line in log.lines):
        log.write({})
    if log.main and not checkpoint.holds_average(folder, state.step):
        checkpoint.save_average(folder, state, config, data_hash)


def build(config: TrainConfig, device: torch.device) -> State:
    """Both networks, the average and the optimisers, from the global random state."""
    networks = build_networks(config.model, config.group)
    for network in networks:
        network.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    generator, discriminator = networks
    ema = copy.deepcopy(generator).requires_grad_(False).eval()
    options: dict[str, Any] = {
        "betas": config.betas, "eps": 1e-8, "fused": True, "capturable": config.cuda_graphs
    }  # fmt: skip
    optimizer_g, optimizer_d = (
        torch.optim.Adam(network.parameters(), rate, **options)
        for network, rate in zip(networks, config.rates, strict=True)
    )
    return State(generator, discriminator, ema, optimizer_g, optimizer_d)


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
