"""Two processes that share a global batch train the weights that one process trains."""

import dataclasses
import os
import re
import subprocess
import sys
from pathlib import Path
from unittest import mock

import pytest
import torch

from sapggan_lib.base.errors import SapgganError
from sapggan_lib.models import ModelConfig
from sapggan_lib.tensors import device_name, processes, rank_and_world
from sapggan_lib.training import TrainConfig
from sapggan_lib.training.batches import Batches
from sapggan_lib.training.config import resolve
from sapggan_lib.training.loop import train
from sapggan_lib.training.preflight import check
from tests.training.test_loop import MODEL, images

RUNS = {  # what crosses the batch: relativistic means, stddev groups, batch norm, noise, augmentation, penalties
    "sapggan": {"loss": "ra-hinge", "augment": ("translation", "cutout")},
    "pggan": {"loss": "wgan-gp", "grow_kimg": 0.012, "stddev_group": 4},
    "stylegan": {"loss": "minmax", "grow_kimg": 0.012},
    "dcgan": {"loss": "ra-hinge"},
}


def train_all(folder: Path) -> None:
    """Each in float64, so that no rounding tips a leaky ReLU, for which Adam would take a step of its own."""
    try:
        torch.set_default_dtype(torch.float64)
        with mock.patch.object(torch.Tensor, "float", torch.Tensor.double):  # the library's casts
            for name, options in RUNS.items():
                model = dataclasses.replace(MODEL, name=name)
                config = TrainConfig(model, kimg=0.032, batch=8, device="cpu", lr=1e-3, **options)
                train(images(), folder / name, config)
    finally:
        torch.set_default_dtype(torch.float32)


def train_until_the_second_stops(folder: Path) -> None:
    """The second process wants to stop at once; they ask each other at every 16th step."""
    rank = rank_and_world()[0]
    config = TrainConfig(MODEL, kimg=1.0, batch=8, device="cpu")
    result = train(images(), folder / "stopped", config, abort_fn=lambda: rank == 1)
    (folder / f"steps-{rank}").write_text(str(result.steps))


def test_two_processes_equal_one_and_stop_at_the_same_step(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import pathlib, sys, torch\n"
        "from sapggan_lib.tensors import processes\n"
        "from tests.test_tensors import train_all, train_until_the_second_stops\n"
        "with processes(torch.device('cpu')):\n"
        "    train_all(pathlib.Path(sys.argv[1]))\n"
        "    train_until_the_second_stops(pathlib.Path(sys.argv[1]))\n"
        "threads = [path.read_text() for path in pathlib.Path('/proc/self/task').glob('*/comm')]\n"
        "assert not any('gloo' in name for name in threads), threads\n"  # such a thread aborts one exit in many
    )
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run(
        [*launch, str(script), str(tmp_path / "two")], env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert [(tmp_path / "two" / f"steps-{rank}").read_text() for rank in (0, 1)] == ["16", "16"]
    train_all(tmp_path / "one")
    for name in RUNS:
        one, two = (torch.load(tmp_path / n / name / "checkpoint.pt", weights_only=True) for n in ("one", "two"))
        for part in ("generator", "discriminator", "ema"):
            weights = [torch.cat([value.flatten() for value in run[part].values()]) for run in (one, two)]
            # no nearer: where a gradient is zero but for rounding (a bias before instance norm), Adam steps along it
            assert weights[0].dtype == torch.float64 and torch.dist(*weights) < 1e-9 * weights[0].norm(), (name, part)
            assert (weights[0] - weights[1]).abs().max() < 1e-6, (name, part)


def test_processes_does_nothing_outside_torchrun():
    with processes(torch.device("cpu")):
        assert not torch.distributed.is_initialized()


@pytest.mark.parametrize(("batch", "world", "message"), [(10, 1, "multiple of 4.*use 8"), (12, 2, "2 proc.*use 16")])
def test_a_batch_that_groups_would_straddle_is_refused(tmp_path, batch, world, message):
    with pytest.raises(SapgganError, match=message):
        check(TrainConfig(batch=batch), 4, world, 0, tmp_path)


@pytest.mark.parametrize(
    ("batch", "world", "wanted", "message"),
    [
        (20, 1, 16, "batch 20 is not a multiple of 16 .*use 16, or stddev_group 4"),
        (24, 1, 16, "use 32, or stddev_group 8"),
        (16, 2, 16, "multiple of 16 on each of 2 processes .*use 32, or stddev_group 8"),
        (8, 2, 16, "multiple of 8 on each of 2 processes .*use 32, or stddev_group 4"),  # at batch 16 the group is 16
        (9, 2, 4, "use 8$"),
    ],
)
def test_a_refused_batch_comes_with_numbers_that_work(tmp_path, batch, world, wanted, message):
    config = resolve(TrainConfig(batch=batch, stddev_group=wanted))
    with pytest.raises(SapgganError, match=message) as error:
        check(config, min(wanted, batch), world, 0, tmp_path)
    used, *smaller = map(int, re.findall(r"(?:use|stddev_group) (\d+)", str(error.value)))
    check(dataclasses.replace(config, batch=used), min(wanted, used), world, 0, tmp_path)
    for group in smaller:
        check(dataclasses.replace(config, stddev_group=group), group, world, 0, tmp_path)


def test_a_full_disk_is_known_before_the_first_step(tmp_path):
    with pytest.raises(SapgganError, match="free"):
        check(TrainConfig(), 4, 1, 10**17, tmp_path)


def test_batches_are_a_function_of_seed_and_position():
    model = ModelConfig("sapggan", 16)
    first, second = (Batches(images(), model, 8, seed, torch.device("cpu")) for seed in (0, 1))
    seen = torch.cat([first.order(p) for p in range(0, 48, 8)])
    assert sorted(seen[:24].tolist()) == sorted(seen[24:].tolist()) == list(range(24))
    assert not torch.equal(seen[:24], seen[24:]) and not torch.equal(first.order(0), second.order(0))
    batch = first(32)
    torch.testing.assert_close(first(32), batch)  # whatever was read ahead
    expected = torch.from_numpy(images()[first.order(32).numpy()]).float().div(127.5).sub(1)[:, None]
    torch.testing.assert_close(batch, expected)
    first.close(), second.close()


def test_the_device_has_a_name_that_a_reader_knows(monkeypatch):
    for threads, name in {1: "CPU, 1 thread", 2: "CPU, 2 threads"}.items():
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        assert device_name(cuda=False) == name
