"""Fast paths against their plain twins."""

import copy

import pytest
import torch

from sapggan_lib.config import ModelConfig, TrainConfig
from sapggan_lib.defaults import resolve
from sapggan_lib.fast import GraphedStep, compile_blocks
from sapggan_lib.losses import LOSSES
from sapggan_lib.models import build_generator
from sapggan_lib.step import Step
from sapggan_lib.training import build

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
