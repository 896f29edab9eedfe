"""Fast paths against their plain twins."""

import copy
import dataclasses

import pytest
import torch

from sapggan_lib.config import ModelConfig, TrainConfig
from sapggan_lib.defaults import resolve
from sapggan_lib.fast import GraphedStep, compile_blocks
from sapggan_lib.losses import LOSSES
from sapggan_lib.models import build_generator
from sapggan_lib.step import Step
from sapggan_lib.training import build, train

MODEL = ModelConfig("sapggan", resolution=16, latent=16, widths=(8, 8, 8))
CPU = torch.device("cpu")


def run(step_class=Step, compiled=False, steps=2, **options):
    config = resolve(TrainConfig(MODEL, batch=4, device="cpu", **options))
    torch.manual_seed(0)
    state = build(config, CPU)
    if compiled:
        compile_blocks(state.generator, "aot_eager")
        compile_blocks(state.discriminator, "aot_eager")
    step = step_class(state, config, CPU)
    for _ in range(steps):
        terms = step(torch.rand(4, 1, 16, 16) * 2 - 1)
    return state, terms


def assert_equal_weights(a, b):
    for part in ("generator", "discriminator", "ema"):
        for name, value in getattr(a, part).state_dict().items():
            torch.testing.assert_close(getattr(b, part).state_dict()[name], value, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("options", [{}, {"loss": "wgan-gp"}, {"r1_gamma": 1.0, "r1_every": 1}])
def test_compiled_blocks_train_the_same_weights(options):
    """Penalties differentiate twice, which compiled code cannot: they must find their eager way."""
    (plain, plain_terms), (fast, fast_terms) = run(**options), run(compiled=True, **options)
    assert_equal_weights(plain, fast)
    assert plain_terms.keys() == fast_terms.keys() and all(float(term) == float(term) for term in fast_terms.values())


def test_inductor_computes_a_block():
    block = build_generator("sapggan", 16, latent=16, widths=(8, 8, 8)).blocks[1]
    x = torch.randn(4, 8, 4, 4)
    expected = block(x)
    compiled = copy.deepcopy(block)
    compiled.compile(dynamic=False)
    torch.testing.assert_close(compiled(x), expected, atol=1e-5, rtol=1e-4)


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
    assert_equal_weights(run(PlainStep, loss=loss)[0], run(loss=loss)[0])


def test_the_average_has_its_half_life():
    config = resolve(TrainConfig(MODEL, batch=4, device="cpu", ema_half_life=0.04, ema_rampup=1e9))
    step = Step(build(config, CPU), config, CPU)
    for kept, now in zip(step.state.ema.parameters(), step.state.generator.parameters(), strict=True):
        torch.nn.init.zeros_(kept), torch.nn.init.ones_(now)
    for _ in range(10):  # 40 images
        step.count()
    assert next(step.state.ema.parameters()).flatten()[0].item() == pytest.approx(0.5, rel=1e-5)


class FakeGraph:
    """Stands in for a recorded graph: replaying runs the plain step on the recorded input."""

    def __init__(self, graphed):
        self.graphed = graphed

    def replay(self):
        self.graphed.terms = self.graphed.step.train(self.graphed.real)


def test_the_order_of_eager_and_replayed_steps_trains_the_same_weights(monkeypatch):
    """What needs no CUDA of the graph's path: counting, penalties in between, inputs copied in."""
    class Replayed:
        def __init__(self, state, config, device):
            self.graphed = GraphedStep(Step(state, config, device))
            self.graphed.real, self.graphed.graph = torch.zeros(4, 1, 16, 16), FakeGraph(self.graphed)
            self.graphed.aside = self.graphed.step.train

        def __call__(self, real):
            if self.graphed.calls >= GraphedStep.WARMUP and self.graphed.graph is None:
                self.graphed.real, self.graphed.graph = torch.zeros_like(real), FakeGraph(self.graphed)
            return self.graphed(real)

    options = {"steps": 8, "r1_gamma": 1.0, "r1_every": 3}
    assert_equal_weights(run(**options)[0], run(Replayed, **options)[0])


needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


def run_on_cuda(graphs, compiled=False, steps=10, **options):
    """Losses of each step and the state; the same weights, images and latents whatever the arguments."""
    device = torch.device("cuda")
    config = resolve(TrainConfig(MODEL, batch=4, cuda_graphs=graphs, compile=compiled, **options), cuda=True)
    torch.manual_seed(0)
    state = build(config, device)
    if compiled:
        compile_blocks(state.generator)
        compile_blocks(state.discriminator)
    step = Step(state, config, device)
    step = GraphedStep(step) if graphs else step
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
