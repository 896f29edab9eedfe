"""One training step: both networks and the moving average, from one batch of real images."""

import torch
from torch import Tensor, nn

from sapggan_lib.losses import GP_WEIGHT, LOSSES, gradient_penalty, wgan_penalty
from sapggan_lib.models import MODELS, Growing, Network, stage_at
from sapggan_lib.tensors import average_, rand, randn, rank_and_world
from sapggan_lib.training.augment import augment
from sapggan_lib.training.checkpoint import State
from sapggan_lib.training.config import TrainConfig


class Step:
    """`step(real)` trains on `[n, C, R, R]` in [-1, 1] and returns the loss terms as scalars on the device.

    With classes it is `step(real, labels)`: generated images have the labels `[n]` of the real ones.

    The generator runs once: its images, detached, train the discriminator, then the same graph trains the
    generator through the discriminator just updated, whose own weights need no gradient there. Generators with
    `fresh_latents` run again for their own step, on latents of its own, as in their references.
    """

    def __init__(self, state: State, config: TrainConfig, device: torch.device):
        self.state, self.config, self.device = state, config, device
        self.loss = LOSSES[config.loss or ""]
        self.inherited = inherited(state)
        self.penalised, self.every = bool(config.r1_gamma or config.r2_gamma), config.r1_every or 1
        self.labels: tuple[Tensor, ...] = ()  # none, or one `[n]`; kept in place, where a CUDA graph reads it
        buffers = zip(state.ema.named_buffers(), state.generator.buffers(), strict=True)
        # all but StyleGAN's noise, which never changes
        self.moving = [(kept, now) for (name, kept), now in buffers if not name.endswith(".noise")]

    def __call__(self, real: Tensor, labels: Tensor | None = None) -> dict[str, Tensor]:
        self.take(labels)
        self.hold()
        self.grow()
        terms = self.train(real)
        self.count()
        return terms

    def take(self, labels: Tensor | None) -> None:
        """Keep a batch's labels for the passes of its step."""
        if labels is not None:
            self.labels = self.labels or (torch.empty_like(labels, device=self.device),)
            self.labels[0].copy_(labels)

    @property
    def holding(self) -> bool:
        """Whether the generator's scales that came with a start are still held."""
        return bool(self.inherited) and self.state.kimg < self.config.hold_kimg

    def hold(self) -> None:
        """Let the scales that came with a start learn, or not yet: Adam passes over weights without a gradient."""
        for parameter in self.inherited:
            parameter.requires_grad_(not self.holding)

    def train(self, real: Tensor) -> dict[str, Tensor]:
        """What happens on the device: both networks take their optimiser steps."""
        fresh = self.state.generator.fresh_latents
        with self.autocast():
            real_images = self.state.discriminator.real_views(real)
        # no graph for D's step alone; but compiled, the code of G's step again: another takes as long to make
        with torch.set_grad_enabled(not fresh or bool(self.config.compile)):
            fake_images = self.generate(len(real))
        terms = self.train_discriminator(real_images, [image.detach() for image in fake_images])
        if fresh:
            fake_images = self.generate(len(real))
        return terms | self.train_generator(real_images, fake_images)

    def autocast(self) -> torch.autocast:
        """bfloat16 for forward passes, where that was chosen; losses, penalties and backward passes stay outside.

        Without the cache of cast weights, since these change between the two networks' steps.
        """
        wanted = self.config.precision == "bfloat16"
        return torch.autocast(self.device.type, torch.bfloat16, wanted, cache_enabled=False)

    def generate(self, n: int) -> list[Tensor]:
        z = randn(n, self.config.model.latent, device=self.device)
        with self.autocast():
            return self.state.generator(z, *self.labels)

    def logits(self, real: list[Tensor], fake: list[Tensor]) -> tuple[Tensor, ...]:
        """The discriminator's logits `[n]` of real and of generated images, in one batch where it allows that."""
        discriminator = self.state.discriminator
        with self.autocast():
            if not discriminator.mixed_batches:
                return discriminator(real, *self.labels), discriminator(fake, *self.labels)
            labels = [torch.cat([same, same]) for same in self.labels]
            return discriminator([torch.cat(pair) for pair in zip(real, fake, strict=True)], *labels).chunk(2)

    def train_discriminator(self, real: list[Tensor], fake: list[Tensor]) -> dict[str, Tensor]:
        discriminator, config = self.state.discriminator, self.config
        discriminator.requires_grad_(True)
        real, fake = augment(real, config.augment), augment(fake, config.augment)
        terms = {"loss_d": self.loss.discriminator(*self.logits(real, fake))}
        if self.loss.gradient_penalty:
            epsilon = rand(len(real[0]), device=self.device)
            terms["penalty"] = GP_WEIGHT * wgan_penalty(discriminator, real, fake, epsilon, *self.labels)
        if self.penalty_due():
            for name, gamma, images in (("r1", config.r1_gamma, real), ("r2", config.r2_gamma, fake)):
                if gamma:
                    terms[name] = gamma * self.every * gradient_penalty(discriminator, images, *self.labels)
        update(discriminator, self.state.optimizer_d, sum(terms.values(), torch.zeros((), device=self.device)))
        return {name: term.detach() for name, term in terms.items()}

    def train_generator(self, real: list[Tensor], fake: list[Tensor]) -> dict[str, Tensor]:
        discriminator, kinds = self.state.discriminator, self.config.augment
        discriminator.requires_grad_(False)
        real_logits = None
        with self.autocast():
            if self.loss.needs_real:
                # compiled, the same code as for the generated images: another for `no_grad` takes as long to make
                with torch.set_grad_enabled(bool(self.config.compile)):
                    images = [image.detach().requires_grad_() for image in augment(real, kinds)]
                    real_logits = discriminator(images, *self.labels).detach()
            fake_logits = discriminator(augment(fake, kinds), *self.labels)
        loss = self.loss.generator(real_logits, fake_logits)
        if loss.requires_grad:  # not where all of it is held
            update(self.state.generator, self.state.optimizer_g, loss)
        return {"loss_g": loss.detach()}

    def penalty_due(self) -> bool:
        """Whether this step computes R1 or R2."""
        return self.penalised and self.state.step % self.every == 0

    def penalises_always(self) -> bool:
        """Whether each step computes a penalty."""
        return self.loss.gradient_penalty or (self.penalised and self.every == 1)

    def grow(self) -> None:
        """Set the classes' weight and the stage of growing networks. Adam starts afresh where a fade begins and ends.

        That is where floor or ceil of the level changes: `reset_opt_for_new_lod` in PGGAN's and StyleGAN's training
        loops. The stage before comes from the networks, which a resumed run restores.
        """
        state, config, generator = self.state, self.config, self.state.generator
        for network in (generator, state.discriminator, state.ema):
            if network.class_vectors is not None:
                network.class_vectors.ramp.fill_(ramp(state.kimg, config.condition_start, config.condition_end))
        if not isinstance(generator, Growing):
            return
        before = generator.stage
        level, alpha = stage_at(state.images, 1000 * (config.grow_kimg or 1), generator.levels, generator.start)
        for network in (generator, state.discriminator, state.ema):
            assert isinstance(network, Growing)
            network.set_stage(level, alpha)
        for optimizer, rate in zip((state.optimizer_g, state.optimizer_d), config.rates, strict=True):
            if generator.stage != before:
                optimizer.state.clear()
            for group in optimizer.param_groups:
                group["lr"] = rate * MODELS[config.model.name].lr_factor.get(4 * 2**level, 1.0)

    @torch.no_grad()
    def count(self) -> None:
        """Count the batch and move the average, in float32: a bf16 average stalls below 2^-8 of a weight."""
        state, config = self.state, self.config
        state.step += 1
        state.images += config.batch
        half_life = min(config.ema_half_life * 1000, config.ema_rampup * state.images)
        weight = 1 - 0.5 ** (config.batch / max(half_life, 1e-9))
        torch._foreach_lerp_(list(state.ema.parameters()), list(state.generator.parameters()), weight)
        for kept, now in self.moving:
            kept.copy_(now)


def inherited(state: State) -> list[nn.Parameter]:
    """The generator's weights that came with a start: its blocks and 1x1 convolutions up to the start's side."""
    if not state.started_from:
        return []
    scales = state.started_from["resolution"].bit_length() - 2
    parts = (part for part in state.generator.children() if isinstance(part, nn.ModuleList))
    return [parameter for part in parts for scale in part[:scales] for parameter in scale.parameters()]


def ramp(kimg: float, start: float | None, end: float | None) -> float:
    """The classes' weight: 0 up to `start`, then linear to 1 at `end` (Shahbazi 2022, equation 4); all in kimg."""
    start, end = start or 0.0, end or 0.0
    return min(1.0, max(0.0, (kimg - start) / (end - start))) if end > start else float(kimg >= start)


def update(network: Network, optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    """One optimiser step on `loss`, with gradients averaged over the processes."""
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    if rank_and_world()[1] > 1:
        gradients = [p.grad for p in network.parameters() if p.grad is not None]
        flat = average_(torch.cat([gradient.flatten() for gradient in gradients]))
        for gradient, part in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
            gradient.copy_(part.view_as(gradient))
    optimizer.step()
