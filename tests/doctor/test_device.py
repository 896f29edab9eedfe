"""Each path's line is fine on the CPU, and a fault planted into a path is found."""

import contextlib

import torch

from sapggan_lib import cli, losses
from sapggan_lib.doctor import device as device_check
from sapggan_lib.doctor import trial
from sapggan_lib.doctor.installation import Check
from sapggan_lib.training import accelerate as fast
from sapggan_lib.training import checkpoint
from sapggan_lib.training.batches import Batches
from sapggan_lib.training.step import Step

CPU = torch.device("cpu")


def all_lines(monkeypatch):
    """All lines, with no code generated and none that depends on the load of the machine."""
    monkeypatch.setattr(device_check, "speed", lambda plain, fast: "the small step 2.0 times as fast")
    monkeypatch.setattr(fast, "convolution_seconds", lambda dtype, _: 1.0 if dtype == torch.bfloat16 else 2.0)
    return list(device_check.examine(CPU, "aot_eager"))


def test_every_path_is_ok_on_the_cpu(monkeypatch):
    before = torch.get_rng_state()
    checks = all_lines(monkeypatch)
    assert [check.state for check in checks] == ["ok"] * 8, checks
    assert len({check.name for check in checks}) == 8 and not any(check.fix for check in checks)
    assert [check.detail for check in checks if "CUDA" in check.name] == ["not on a CPU"] * 2
    assert torch.equal(torch.get_rng_state(), before)


def test_the_growing_network_is_in_the_middle_of_a_fade():
    growing = trial.Trial(CPU, device_check.STYLEGAN)
    growing.run(1)
    assert growing.state.generator.fading and growing.state.generator.level == 2


def test_bfloat16_that_training_leaves_out_is_slow_and_no_error(monkeypatch):
    monkeypatch.setattr(fast, "convolution_seconds", lambda dtype, _: 2.0 if dtype == torch.bfloat16 else 1.0)
    check = device_check.bfloat16(CPU)
    assert check.state == "slow" and "training leaves it out" in check.fix


def test_an_autocast_that_leaks_into_backward_passes_is_found(monkeypatch):
    train = Step.train

    def leaking(step, real):
        with step.autocast():
            return train(step, real)

    monkeypatch.setattr(Step, "train", leaking)
    check = device_check.bfloat16(CPU)
    assert check.state == "failed" and "within autocast" in check.detail


def one_percent_off(graph, inputs):
    """A compiler whose code computes something else."""
    def compiled(*arguments):
        return tuple(out * 1.01 if out.is_floating_point() else out for out in graph.forward(*arguments))

    return compiled


def test_a_compiled_block_that_computes_something_else_is_found():
    check = device_check.compiled(CPU, one_percent_off)
    assert check.state == "failed" and "largest difference" in check.detail


def test_a_compiler_that_fails_is_slow_and_says_that_training_goes_on():
    def broken(graph, inputs):
        raise RuntimeError("g++: no such file")

    check = device_check.compiled(CPU, broken)
    assert check.state == "slow" and "g++: no such file" in check.detail and "training leaves it out" in check.fix


def test_penalties_without_gradients_are_found(monkeypatch):
    original = losses._squared_gradients
    monkeypatch.setattr(losses, "_squared_gradients", lambda *arguments: 0 * original(*arguments))
    check = device_check.penalties(CPU, "aot_eager")
    assert check.state == "failed" and "zero" in check.detail


def test_penalties_within_autocast_are_found(monkeypatch):
    monkeypatch.setattr(losses, "full_precision", lambda device: contextlib.nullcontext())
    assert device_check.penalties(CPU, "aot_eager").state == "failed"


def test_a_restore_that_changes_the_optimiser_is_found(monkeypatch):
    def forgetful(state, content):
        checkpoint.restore(state, content)
        state.optimizer_d.state.clear()

    def hasty(state, content):
        checkpoint.restore(state, content)
        state.optimizer_g.param_groups[0]["lr"] *= 1.1

    for wrong in (forgetful, hasty):
        monkeypatch.setattr(trial.training, "restore", wrong)
        assert device_check.resume(CPU).state == "failed"


def test_a_batch_in_another_order_is_found(monkeypatch):
    read = Batches.read
    monkeypatch.setattr(Batches, "read", lambda batches, position: read(batches, position).flip(0))
    assert device_check.data(CPU).state == "failed"


def test_a_wrong_path_is_a_line_with_its_fix_and_exit_status_1(monkeypatch, capsys):
    def crash(device, *arguments):
        raise RuntimeError("CUDA error: misaligned address\nmore lines")

    fine = Check("", "slow", "not here", "nothing to do")
    for name in ("bfloat16", "compiled", "penalties", "resume", "choice"):
        monkeypatch.setattr(device_check, name, lambda *_: fine)
    assert cli.main(["doctor", "--device"]) == 0
    monkeypatch.setattr(device_check, "resume", crash)
    assert cli.main(["doctor", "--device"]) == 1
    out, error = capsys.readouterr()
    lines = [line.split() for line in out.splitlines()]
    assert ["failed", "resume", "CUDA", "error:", "misaligned", "address"] in lines
    assert "wrong on this device: resume" in error
    assert "finish each training on the device where it began" in out
