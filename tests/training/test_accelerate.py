"""Fast paths against their plain twins."""

import copy
import dataclasses

import pytest
import torch

from sapggan_lib.losses import LOSSES, gradient_penalty
from sapggan_lib.models import ModelConfig, build_discriminator, build_generator
from sapggan_lib.training import TrainConfig
from sapggan_lib.training import accelerate as fast
from sapggan_lib.training.accelerate import FastStep, choose_fast_paths
from sapggan_lib.training.config import resolve
from sapggan_lib.training.loop import build, train
from sapggan_lib.training.step import Step

MODEL = ModelConfig("sapggan", resolution=16, latent=16, widths=(8, 8, 8))
CPU = torch.device("cpu")


def aot_eager(state, config, device):
    """Blocks compiled as always, but for the last step: the slow generation of code."""
    return FastStep(state, dataclasses.replace(config, compile=True), device, "aot_eager")


def run(step_class=Step, steps=2, model=MODEL, **options):
    config = resolve(TrainConfig(model, batch=4, device="cpu", **options))
    torch.manual_seed(0)
    state = build(config, CPU)
    step = step_class(state, config, CPU)
    for _ in range(steps):
        terms = step(torch.rand(4, 1, 16, 16) * 2 - 1)
    return state, terms


def assert_equal_weights(a, b):
    for part in ("generator", "discriminator", "ema"):
        for name, value in getattr(a, part).state_dict().items():
            torch.testing.assert_close(getattr(b, part).state_dict()[name], value, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(("options", "compiled_penalty"), [
    ({"r1_gamma": 1.0}, False), ({"loss": "wgan-gp"}, True), ({"r1_gamma": 1.0, "r1_every": 1}, True),
    ({"model": dataclasses.replace(MODEL, name="pggan"), "grow_kimg": 0.0001}, True),
    ({"model": dataclasses.replace(MODEL, name="stylegan"), "grow_kimg": 0.0001}, True),
    ({"model": dataclasses.replace(MODEL, name="stylegan"), "grow_kimg": 1.0}, False),
])  # fmt: skip
def test_compiled_blocks_train_the_same_weights(options, compiled_penalty):
    """Penalties differentiate twice, which compiled code cannot: they find their eager way, or one of their own."""
    (plain, plain_terms), (fast, fast_terms) = run(**options), run(aot_eager, **options)
    assert hasattr(fast.discriminator, "compiled_gradients") == compiled_penalty
    assert_equal_weights(plain, fast)
    assert plain_terms.keys() == fast_terms.keys() and all(float(term) == float(term) for term in fast_terms.values())


def test_inductor_computes_a_block():
    block = build_generator("sapggan", 16, latent=16, widths=(8, 8, 8)).blocks[1]
    x = torch.randn(4, 8, 4, 4)
    expected = block(x)
    compiled = copy.deepcopy(block)
    compiled.compile(dynamic=False)
    torch.testing.assert_close(compiled(x), expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", ["sapggan", "pggan", "stylegan"])
def test_inductor_computes_a_penalty_and_its_gradients(name):
    discriminator = build_discriminator(name, 16, widths=(8, 8, 8))
    images = discriminator.real_views(torch.randn(4, 1, 16, 16))
    found = []
    for _ in range(2):
        penalty = gradient_penalty(discriminator, images)
        penalty.backward()
        found.append([penalty.detach(), *(p.grad for p in discriminator.parameters() if p.grad is not None)])
        discriminator.zero_grad(set_to_none=True)
        fast.compile_penalty(discriminator)
    for plain, compiled in zip(*found, strict=True):
        torch.testing.assert_close(compiled, plain, atol=1e-5, rtol=1e-4)


def test_where_compiling_the_penalty_fails_it_stays_eager(monkeypatch, capsys):
    def broken(*_, **__):
        raise RuntimeError("no such operation")

    plain = run(loss="wgan-gp")[0]
    monkeypatch.setattr(fast.torch.func, "grad", broken)
    after = run(aot_eager, loss="wgan-gp")[0]
    assert_equal_weights(plain, after)
    assert not hasattr(after.discriminator, "compiled_gradients")
    assert "compiling the penalty failed" in capsys.readouterr().err


class PlainStep(Step):
    """The step without its shortcuts: the generator runs for each network, real and fake apart, all with gradients."""

    def train(self, real):
        g, d, loss = self.state.generator, self.state.discriminator, LOSSES[self.config.loss]
        z = torch.randn(len(real), self.config.model.latent)
        images = d.real_views(real)
        with torch.no_grad():
            fake = g(z)
        loss_d = loss.discriminator(d(images), d(fake))
        self.state.optimizer_d.zero_grad()
        loss_d.backward()
        self.state.optimizer_d.step()
        loss_g = loss.generator(d(images), d(g(z)))
        self.state.optimizer_g.zero_grad()
        loss_g.backward()
        self.state.optimizer_g.step()
        return {"loss_d": loss_d.detach(), "loss_g": loss_g.detach()}


@pytest.mark.parametrize("loss", ["ra-hinge", "hinge", "minmax"])
def test_the_shared_forward_trains_the_same_weights(loss):
    options = {"loss": loss, "r1_gamma": 0.0}
    assert_equal_weights(run(PlainStep, **options)[0], run(**options)[0])


def test_the_average_has_its_half_life():
    config = resolve(TrainConfig(MODEL, batch=4, device="cpu", ema_half_life=0.04, ema_rampup=1e9))
    step = Step(build(config, CPU), config, CPU)
    for kept, now in zip(step.state.ema.parameters(), step.state.generator.parameters(), strict=True):
        torch.nn.init.zeros_(kept), torch.nn.init.ones_(now)
    for _ in range(10):  # 40 images
        step.count()
    assert next(step.state.ema.parameters()).flatten()[0].item() == pytest.approx(0.5, rel=1e-5)


class Graphed(FastStep):
    """Records and replays without CUDA: a replay runs the plain step on the recorded input."""

    def __init__(self, state, config, device):
        super().__init__(state, config, device)
        self.graphs = True

    def aside(self, real):
        return Step.train(self, real)

    def record(self, real):
        self.real, self.graph = torch.zeros_like(real), self

    def replay(self, real=None):
        if real is None:
            self.terms = Step.train(self, self.real)
            return None
        return super().replay(real)


class Unrecordable(Graphed):
    def record(self, real):
        raise RuntimeError("operation not permitted when stream is capturing")


GRAPHED = {"steps": 8, "r1_gamma": 1.0, "r1_every": 3}


def test_the_order_of_eager_and_replayed_steps_trains_the_same_weights():
    """What needs no CUDA of the graph's path: counting, penalties in between, inputs copied in."""
    assert_equal_weights(run(**GRAPHED)[0], run(Graphed, **GRAPHED)[0])


@pytest.mark.parametrize("fast_step", [Graphed, aot_eager])
def test_a_start_is_held_and_let_go_as_in_the_plain_step(fast_step):
    """At that point a recorded step no longer computes all gradients: it is recorded anew."""
    steps = []

    def begun(step_class):
        def make(state, config, device):
            state.started_from = {"resolution": 8}
            steps.append(step_class(state, config, device))
            return steps[-1]
        return make

    options = GRAPHED | {"hold_kimg": 0.024}  # six steps of four
    assert_equal_weights(run(begun(Step), **options)[0], run(begun(fast_step), **options)[0])
    assert steps[0].state.optimizer_g.state_dict()["state"][0]["step"] == 2  # of eight
    assert steps[1].calls == (1 if fast_step is Graphed else 0)  # the last step's; the one before had a penalty


def test_what_cannot_be_recorded_is_said_and_trains_on(capsys):
    assert_equal_weights(run(**GRAPHED)[0], run(Unrecordable, **GRAPHED)[0])
    said = capsys.readouterr().err.splitlines()
    assert said == ["training: recording a CUDA graph failed (operation not permitted when stream is capturing); "
                    "going on without, which is slower"]  # fmt: skip


def broken_compiler(graph, inputs):
    raise RuntimeError("g++: fatal error: no such file\nmore lines")


@pytest.mark.parametrize("name", ["sapggan", "pggan", "stylegan", "dcgan"])
def test_where_compiling_fails_the_plain_step_goes_on_untouched(name, capsys):
    def asked(state, config, device):
        return Step(state, dataclasses.replace(config, compile=True), device)

    def broken(state, config, device):
        return FastStep(state, dataclasses.replace(config, compile=True), device, broken_compiler)

    options = {"model": dataclasses.replace(MODEL, name=name), "loss": "hinge", "grow_kimg": 0.004, "steps": 4}
    plain, after = run(asked, **options)[0], run(broken, **options)[0]
    for part in ("generator", "discriminator", "ema"):
        for key, value in getattr(plain, part).state_dict().items():
            assert torch.equal(value, getattr(after, part).state_dict()[key]), key
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1 and said[0].startswith("training: compiling failed (") and "eager" in said[0]


LARGE = TrainConfig(ModelConfig("sapggan", 64, widths=(64, 64, 64, 64, 32)), kimg=100.0)


@pytest.mark.parametrize(
    ("float32", "bfloat16", "precision"), [(8.0, 1.0, "bfloat16"), (1.1, 1.0, "float32"), (1.0, 40.0, "float32")]
)
def test_precision_on_a_cpu_is_what_a_convolution_says(monkeypatch, float32, bfloat16, precision):
    times = {torch.float32: float32 / 1000, torch.bfloat16: bfloat16 / 1000}
    monkeypatch.setattr(fast, "convolution_seconds", lambda dtype, _: times[dtype])
    config, reasons = choose_fast_paths(LARGE, CPU)
    assert config.precision == precision and not config.cuda_graphs
    assert f"{float32:.1f} ms in float32, {bfloat16:.1f} ms in bfloat16" in reasons
    forced, reasons = choose_fast_paths(dataclasses.replace(LARGE, precision="float32", compile=False), CPU)
    assert (forced.precision, forced.compile) == ("float32", False) and reasons.count("as asked") == 2


def test_a_small_run_is_plain_and_without_a_compiler_a_large_one_eager(monkeypatch):
    small, reasons = choose_fast_paths(dataclasses.replace(LARGE, kimg=0.1), CPU)
    assert (small.precision, small.compile) == ("float32", False) and "FLOP" in reasons
    assert choose_fast_paths(LARGE, CPU)[0].compile == (fast.shutil.which("g++") is not None)
    monkeypatch.setenv("CXX", "no-such-compiler")
    config, reasons = choose_fast_paths(LARGE, CPU)
    assert not config.compile and "no C++ compiler" in reasons


def test_work_is_counted_as_by_hand():
    # DCGAN at 16 px: G 4x4 from latent 8 to 4 maps, 4 to 4 at 8 px, 4 to 1 at 16 px; D the mirror with one logit
    config = TrainConfig(ModelConfig("dcgan", 16, latent=8, widths=(4, 4, 4)))
    generator = 2 * 16 * (8 * 4 + 4 * 4 * 16 + 4 * 1 * 64)
    discriminator = 2 * 16 * (1 * 4 * 64 + 4 * 4 * 16 + 4 * 1)
    assert fast.flops_per_image(config) == 3 * generator + 9 * discriminator


def test_bfloat16_trains_nearly_the_same_weights():
    single, half = run(precision="float32", lr=1e-3)[0], run(precision="bfloat16", lr=1e-3)[0]
    for part in ("generator", "discriminator"):
        weights = [torch.cat([p.flatten() for p in getattr(state, part).parameters()]) for state in (single, half)]
        assert {p.dtype for p in getattr(half, part).parameters()} == {torch.float32}
        assert not torch.equal(*weights)
        assert torch.nn.functional.cosine_similarity(*weights, 0) > 0.9999


@pytest.mark.parametrize("options", [{"loss": "wgan-gp"}, {"r1_gamma": 1.0, "r1_every": 1, "r2_gamma": 1.0}])
def test_backward_passes_and_penalties_run_outside_autocast(options, monkeypatch):
    """Within it the double backward of a float32 penalty would be rounded to bfloat16."""
    seen = []

    class Watched(Step):
        def train(self, real):
            for network in (self.state.generator, self.state.discriminator):
                for parameter in network.parameters():
                    parameter.requires_grad_(True).register_hook(
                        lambda gradient: seen.append((torch.is_autocast_enabled("cpu"), gradient.dtype))
                    )
            return super().train(real)

    run(Watched, steps=1, precision="bfloat16", **options)
    assert set(seen) == {(False, torch.float32)}


needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


def run_on_cuda(graphs, compiled=False, steps=10, **options):
    """Losses of each step and the state; the same weights, images and latents whatever the arguments."""
    device = torch.device("cuda")
    config = TrainConfig(MODEL, batch=4, cuda_graphs=graphs, compile=compiled, **options)
    config, _ = choose_fast_paths(resolve(config, cuda=True), device)
    torch.manual_seed(0)
    state = build(config, device)
    step = (FastStep if graphs or compiled else Step)(state, config, device)
    images = torch.rand(steps, 4, 1, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1
    torch.manual_seed(1)
    return state, [{name: float(term) for name, term in step(image.to(device)).items()} for image in images]


@needs_cuda
@pytest.mark.parametrize("options", [{}, {"loss": "wgan-gp"}, {"r1_gamma": 1.0, "r1_every": 3}])
@pytest.mark.parametrize("compiled", [False, True])
def test_recorded_steps_have_the_losses_of_plain_ones_on_cuda(options, compiled):
    """With a learning rate that moves nothing, so that bfloat16's rounding does not grow from step to step."""
    plain, fast = (run_on_cuda(graphs, graphs and compiled, lr=1e-12, **options)[1] for graphs in (False, True))
    for expected, terms in zip(plain, fast, strict=True):
        assert terms == pytest.approx(expected, rel=0.05, abs=0.05)


@needs_cuda
def test_each_replay_trains_on_cuda():
    state, terms = run_on_cuda(graphs=True)
    assert all(float(adam["step"]) == 10 for adam in state.optimizer_g.state.values())
    assert len({term["loss_d"] for term in terms}) == 10
    for network in (state.generator, state.discriminator, state.ema):
        assert all(bool(weight.isfinite().all()) for weight in network.parameters())
    before = run_on_cuda(graphs=True, steps=9)[0]
    for part in ("generator", "discriminator", "ema"):
        pairs = zip(getattr(before, part).parameters(), getattr(state, part).parameters(), strict=True)
        assert any(not torch.equal(a, b) for a, b in pairs)


@needs_cuda
@pytest.mark.parametrize("name", ["pggan", "stylegan"])
def test_growing_models_are_recorded_anew_at_each_stage_on_cuda(tmp_path, name):
    images = torch.randint(0, 256, (32, 16, 16), dtype=torch.uint8).numpy()
    model = dataclasses.replace(MODEL, name=name)
    config = TrainConfig(model, kimg=0.4, batch=4, grow_kimg=0.05, cuda_graphs=True, compile=False)
    result = train(images, tmp_path / "run", config)
    assert result.finished and all(line["loss_g"] == line["loss_g"] for line in result.log)
