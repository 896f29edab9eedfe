"""The training step: stages, optimisers, latents and penalties as each model's reference has them."""

import pytest
import torch

from sapggan_lib.base.errors import SapgganError
from sapggan_lib.models import ModelConfig
from sapggan_lib.training import TrainConfig
from sapggan_lib.training.config import resolve
from sapggan_lib.training.loop import build
from sapggan_lib.training.step import Step

CPU = torch.device("cpu")


def new_step(name, batch=8, **options):
    model = ModelConfig(name, resolution=16, latent=16, widths=(8, 8, 8))
    config = resolve(TrainConfig(model, batch=batch, device="cpu", **options))
    return Step(build(config, CPU), config, CPU)


def real(batch=8):
    return torch.rand(batch, 1, 16, 16) * 2 - 1


@pytest.mark.parametrize(("name", "first", "second"), [("pggan", 4, 8), ("stylegan", 8, 16)])
def test_training_begins_at_the_side_of_the_reference(name, first, second):
    step, sides = new_step(name, grow_kimg=0.008), []
    step.state.generator.register_forward_hook(lambda module, inputs, images: sides.append(images[0].shape[-1]))
    step(real()), step(real())
    assert (sides[0], sides[-1]) == (first, second)


@pytest.mark.parametrize(("name", "steps"), [("stylegan", [0, 1, 2, 3]), ("sapggan", [0]), ("dcgan", [0])])
def test_stylegan_is_penalised_at_each_step_and_the_others_lazily(name, steps):
    step, seen = new_step(name, r1_gamma=10.0), []
    for number in range(4):
        if "r1" in step(real()):
            seen.append(number)
    assert seen == steps


def test_r1_at_each_step_has_a_weight_of_gamma_alone(monkeypatch):
    monkeypatch.setattr("sapggan_lib.training.step.gradient_penalty", lambda discriminator, images: torch.tensor(0.25))
    assert float(new_step("stylegan")(real())["r1"]) == 10 * 0.25
    assert float(new_step("dcgan", r1_gamma=2.0)(real())["r1"]) == 2 * 16 * 0.25


def test_r1_never_is_said_by_its_weight():
    with pytest.raises(SapgganError, match="set r1_gamma to 0"):
        new_step("stylegan", r1_every=0)


@pytest.mark.parametrize(
    ("name", "ages"),
    [  # 20 images a phase, 8 a step: fades from 20 to 40, and PGGAN, a level more, from 60 to 80
        ("pggan", [1, 2, 3, 1, 2, 1, 2, 3, 1, 2, 1, 2]),
        ("stylegan", [1, 2, 3, 1, 2, 1, 2, 3, 4, 5, 6, 7]),
        ("dcgan", [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]),
    ],
)
def test_adam_starts_afresh_where_a_fade_begins_and_ends(name, ages):
    step, seen = new_step(name, grow_kimg=0.02), []
    for _ in ages:
        step(real())
        optimizers = step.state.optimizer_g, step.state.optimizer_d
        seen.append({max(int(adam["step"]) for adam in optimizer.state.values()) for optimizer in optimizers})
    assert seen == [{age} for age in ages]


@pytest.mark.parametrize(("name", "batch", "group"), [
    ("pggan", 32, 16), ("pggan", 16, 16), ("pggan", 8, 8), ("stylegan", 16, 4), ("sapggan", 16, 4), ("dcgan", 16, 1),
])  # fmt: skip
def test_the_stddev_group_is_the_references_and_at_most_the_batch(name, batch, group):
    assert new_step(name, batch).state.discriminator.group == group


@pytest.mark.parametrize("name", ["pggan", "stylegan", "sapggan"])
@pytest.mark.parametrize("batch", [4, 8])
def test_logits_of_fakes_do_not_see_the_real_images_beside_them(name, batch):
    """Two steps from the same start, with equal latents, other real images: the fake logits stay as they were."""
    def logits_of_fakes(images):
        step, seen = new_step(name, batch, lr=0.0, r1_gamma=0.0, loss="hinge"), []
        step.state.discriminator.register_forward_hook(lambda module, inputs, logits: seen.append(logits))
        torch.manual_seed(1)
        step(images)
        return seen[0].chunk(2)[1]

    state = torch.get_rng_state()
    first = logits_of_fakes(real(batch))
    torch.set_rng_state(state)
    torch.testing.assert_close(logits_of_fakes(-real(batch)), first)


def test_a_larger_group_is_taken_where_it_is_asked_for_and_none_below_one():
    assert new_step("sapggan", 16, stddev_group=8).state.discriminator.group == 8
    with pytest.raises(SapgganError, match="stddev_group must be above 0"):
        new_step("sapggan", stddev_group=0)


@pytest.mark.parametrize(("name", "forwards"), [("pggan", 2), ("stylegan", 2), ("sapggan", 1), ("dcgan", 1)])
def test_pggan_and_stylegan_draw_fresh_latents_for_the_generator(name, forwards):
    step, seen = new_step(name, r1_gamma=0.0), []
    step.state.generator.register_forward_hook(lambda module, inputs, images: seen.append((inputs[0], images[0])))
    step(real())
    assert len(seen) == forwards
    assert [image.requires_grad for _, image in seen] == [False, True][-forwards:]  # D's step needs no graph of G's
    assert len(torch.cat([z for z, _ in seen]).unique(dim=0)) == 8 * forwards


class PlainStep(Step):
    """The step without its shortcuts, for models with fresh latents: nothing shared, all with gradients."""

    def train(self, real):
        g, d, state = self.state.generator, self.state.discriminator, self.state
        images = d.real_views(real)
        fake = [image.detach() for image in g(torch.randn(len(real), 16))]
        for network, optimizer, loss in (
            (d, state.optimizer_d, lambda: self.loss.discriminator(d(images), d(fake))),
            (g, state.optimizer_g, lambda: self.loss.generator(None, d(g(torch.randn(len(real), 16))))),
        ):
            value = loss()
            network.zero_grad()
            value.backward()
            optimizer.step()
        return {}


@pytest.mark.parametrize("name", ["pggan", "stylegan"])
def test_fresh_latents_train_the_weights_of_the_plain_step(name):
    trained = []
    for kind in (Step, PlainStep):
        torch.manual_seed(0)
        step = new_step(name, loss="minmax", r1_gamma=0.0, lr=1e-3)
        step = kind(step.state, step.config, CPU)
        for _ in range(3):
            step(real())
        trained.append(step.state)
    for part in ("generator", "discriminator", "ema"):
        values = [torch.cat([v.flatten() for v in getattr(state, part).state_dict().values()]) for state in trained]
        # not number by number: where a gradient is zero but for rounding (a bias before instance norm), Adam makes
        # steps of it
        assert torch.dist(*values) < 1e-5 * values[0].norm(), part


@pytest.mark.parametrize("name", ["sapggan", "stylegan"])
def test_the_discriminator_may_have_a_learning_rate_of_its_own(name):
    """Adam's first step without momentum is its learning rate, whatever the gradient."""
    for options, rates in (({}, (0.001, 0.001)), ({"lr_discriminator": 0.004}, (0.001, 0.004))):
        step = new_step(name, lr=0.001, betas=(0.0, 0.99), **options)
        state = step.state
        networks = (state.generator, state.discriminator)
        before = [torch.cat([p.detach().flatten() for p in network.parameters()]) for network in networks]
        step(real())
        for network, old, rate in zip(networks, before, rates, strict=True):
            moved = (torch.cat([p.detach().flatten() for p in network.parameters()]) - old).abs().max()
            assert float(moved) == pytest.approx(rate, rel=0.01)


def test_the_average_follows_what_moves_and_keeps_its_noise():
    step = new_step("stylegan")
    state = step.state
    for buffer in state.generator.buffers():
        buffer.add_(1)
    before = {name: buffer.clone() for name, buffer in state.ema.named_buffers()}
    step.count()
    for (name, kept), now in zip(state.ema.named_buffers(), state.generator.buffers(), strict=True):
        assert torch.equal(kept, before[name] if name.endswith(".noise") else now), name
