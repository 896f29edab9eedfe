"""Ways to compute the same step faster: bfloat16, compiled blocks, CUDA graphs. Each has the plain step as its twin.

What is quick differs from machine to machine, so it is chosen where training begins, and what fails is left out.
"""

import os
import shutil
import sys
import timeit
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import functional_call

from sapggan_lib.base.errors import first_line
from sapggan_lib.losses import gradient_penalty
from sapggan_lib.models import Discriminator, Network, build_networks
from sapggan_lib.tensors import average_, full_precision, rank_and_world
from sapggan_lib.training.checkpoint import State
from sapggan_lib.training.config import TrainConfig
from sapggan_lib.training.step import Step

SHORT = 1e13    # FLOP; a smaller run is over in a minute on two cores, whatever is chosen
LONG = 1e14     # FLOP; a larger one earns back the minute that compiling takes on two cores
CLEARLY = 1.25  # times faster that bfloat16 must be on a CPU, so that noise does not choose


def choose_fast_paths(config: TrainConfig, device: torch.device) -> tuple[TrainConfig, str]:
    """`config` with `precision`, `compile` and `cuda_graphs` filled in where they are None, and the reasons in a line.

    On a CPU bfloat16 is several times faster or, where the processor lacks it, tens of times slower: one convolution
    is timed both ways. Several processes choose alike. A small run stays plain, so that its numbers do not hang on a
    timing.
    """
    cuda = device.type == "cuda"
    work = flops_per_image(config) * config.kimg * 1000
    said = f"the run is {work:.0e} FLOP"
    precision, why_precision = config.precision, "as asked"
    if precision is None and cuda:
        precision = "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
        why_precision = "the GPU has it" if precision == "bfloat16" else "the GPU lacks bfloat16"
    elif precision is None and work < SHORT:
        precision, why_precision = "float32", said
    elif precision is None:
        single, half = (convolution_seconds(dtype, device) for dtype in (torch.float32, torch.bfloat16))
        precision = "bfloat16" if single > CLEARLY * half else "float32"
        why_precision = f"a convolution takes {1000 * single:.1f} ms in float32, {1000 * half:.1f} ms in bfloat16"
    compiled, why_compiled = config.compile, "as asked"
    if compiled is None and not cuda and not shutil.which(os.environ.get("CXX", "g++")):
        compiled, why_compiled = False, "there is no C++ compiler"
    elif compiled is None:
        compiled, why_compiled = cuda or work >= LONG, "the device is a GPU" if cuda else said
    graphs = cuda and config.model.resolution <= 128 if config.cuda_graphs is None else config.cuda_graphs
    blocks = "compiled" if compiled else "eager"
    reasons = f"{precision} ({why_precision}), blocks {blocks} ({why_compiled}){', CUDA graphs' if graphs else ''}"
    return replace(config, precision=precision, compile=compiled, cuda_graphs=graphs), reasons


def flops_per_image(config: TrainConfig) -> float:
    """Floating point operations of a step, for each image: 3 passes through G and 9 through D.

    Penalties apart, and the fourth pass of generators with `fresh_latents`.
    """
    from torch.utils.flop_counter import FlopCounterMode  # brings triton, which no figure needs

    counts = []
    with torch.device("meta"):
        generator, discriminator = build_networks(config.model)
    z, labels = torch.empty(4, config.model.latent, device="meta"), generator.in_turn(4)
    for network, inputs in ((generator, z), (discriminator, generator(z, *labels))):
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            network(inputs, *labels)
        counts.append(counter.get_total_flops() / len(z))
    return 3 * counts[0] + 9 * counts[1]


def convolution_seconds(dtype: torch.dtype, device: torch.device) -> float:
    """Time of one 3x3 convolution (64 maps of 32x32, 16 images) on the CPU: the best of three after a first.

    The mean over all processes, so that they choose alike.
    """
    x = torch.ones(16, 64, 32, 32, dtype=dtype).to(memory_format=torch.channels_last)
    weight = torch.ones(64, 64, 3, 3, dtype=dtype).to(memory_format=torch.channels_last)
    times = timeit.repeat(lambda: F.conv2d(x, weight, padding=1), number=1, repeat=4)
    return float(average_(torch.tensor(min(times[1:]), device=device)))


def compile_blocks(network: Network, backend: str = "inductor") -> None:
    """Compile each block of `network` in place, on its first use; names in the state dict stay as they are.

    By blocks, since a 512x512 network compiled whole takes minutes to start, and a growing one is compiled as it grows.
    """
    torch._dynamo.config.recompile_limit = 256  # all blocks of a class share one code object and its limit
    torch._dynamo.config.accumulated_recompile_limit = 2048
    for block in network.blocks:
        block.compile(dynamic=False, backend=backend)


def eager_blocks(network: Network) -> None:
    """Undo `compile_blocks`."""
    for block in network.blocks:
        block._compiled_call_impl = None


def compile_penalty(discriminator: Discriminator, backend: str = "inductor") -> None:
    """Let penalties at `discriminator` find their gradients by compiled code: as a function over `torch.func.grad`,
    which is compiled as a whole and differentiated once, where compiled blocks would be differentiated twice."""

    def squared(parameters: dict[str, Tensor], images: list[Tensor], *labels: Tensor) -> Tensor:
        def total(images: tuple[Tensor, ...]) -> Tensor:
            return functional_call(discriminator, parameters, (list(images), *labels)).sum()

        gradients = torch.func.grad(total)(tuple(images))
        return torch.stack([gradient.square().sum((1, 2, 3)) for gradient in gradients])

    compiled = torch.compile(squared, dynamic=False, backend=backend)

    def gradients(images: list[Tensor], *labels: Tensor) -> Tensor:
        with full_precision(images[0].device):
            return compiled(dict(discriminator.named_parameters()), [image.detach() for image in images], *labels)

    discriminator.compiled_gradients = gradients


class FastStep(Step):
    """A `Step` computed in the ways that its configuration names; what fails is said in a line and left out.

    A CUDA graph is recorded once and replayed: at small sizes launching kernels takes longer than they do. The first
    calls run eagerly, so that optimiser states, cuDNN's choices and compiled code exist before recording. Steps with a
    lazy penalty run eagerly; a growing network's new stage is compiled and recorded anew.
    """

    WARMUP = 4

    def __init__(self, state: State, config: TrainConfig, device: torch.device, backend: str = "inductor"):
        super().__init__(state, config, device)
        self.backend = backend
        self.networks = (state.generator, state.discriminator)
        self.graphs = bool(config.cuda_graphs) and rank_and_world()[1] == 1
        self.compiled = bool(config.compile)
        self.stage: object = self  # none yet
        self.calls = 0
        self.graph: torch.cuda.CUDAGraph | None = None
        self.stream: torch.cuda.Stream | None = None
        self.real: Tensor | None = None
        self.terms: dict[str, Tensor] = {}
        if self.compiled:
            for network in self.networks:
                compile_blocks(network, backend)

    def train(self, real: Tensor) -> dict[str, Tensor]:
        stage = (self.state.generator.stage, self.holding)  # each computes in its own way
        if stage != self.stage:
            self.stage, self.calls, self.graph = stage, 0, None
            if self.compiled:
                self.rehearse(real)
        if not self.graphs or (self.penalty_due() and self.every > 1):
            return super().train(real)
        if self.calls < self.WARMUP:
            self.calls += 1
            return self.aside(real)
        return self.replay(real)

    def rehearse(self, real: Tensor) -> None:
        """Compile now, with passes that leave weights, buffers and random state as they were; or go back to eager.

        In the middle of a step a failure would leave one network trained and the other not.
        """
        buffers = [buffer for network in self.networks for buffer in network.buffers()]
        before = [buffer.clone() for buffer in buffers]
        with torch.random.fork_rng(range(torch.cuda.device_count())):
            try:
                self.passes(real)
            except Exception as error:  # from dynamo, inductor, a C++ or Triton compiler, the driver
                say(f"compiling failed ({first_line(error)}); going on with eager blocks, which is slower")
                self.compiled = False
                for network in self.networks:
                    eager_blocks(network)
            if self.compiled and self.penalises_always() and self.state.generator.grown:
                self.rehearse_penalty(real)
        for network in self.networks:
            network.zero_grad(set_to_none=True)
        with torch.no_grad():
            for buffer, value in zip(buffers, before, strict=True):
                buffer.copy_(value)

    def rehearse_penalty(self, real: Tensor) -> None:
        """Compile the penalty of every step; a lazy one, or one at stages that pass, would not earn the time back."""
        discriminator = self.state.discriminator
        discriminator.requires_grad_(True)
        try:
            compile_penalty(discriminator, self.backend)
            gradient_penalty(discriminator, discriminator.real_views(real), *self.labels).backward()
        except Exception as error:
            say(f"compiling the penalty failed ({first_line(error)}); going on with an eager one, which is slower")
            vars(discriminator).pop("compiled_gradients", None)

    def passes(self, real: Tensor) -> None:
        """The forward and backward passes of a step, without its losses and updates."""
        discriminator = self.state.discriminator
        with self.autocast():
            views = discriminator.real_views(real)
        fake = self.generate(len(real))
        discriminator.requires_grad_(True)
        torch.cat(self.logits(views, [image.detach() for image in fake])).sum().backward()
        discriminator.requires_grad_(False)
        with self.autocast():
            logits = discriminator(fake, *self.labels)
        if logits.requires_grad:  # not where all of the generator is held
            logits.sum().backward()

    def aside(self, real: Tensor) -> dict[str, Tensor]:
        """An eager step on a stream of its own, as recording will need."""
        self.stream = self.stream or torch.cuda.Stream()
        self.stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self.stream):
            terms = super().train(real)
        torch.cuda.current_stream().wait_stream(self.stream)
        return terms

    def replay(self, real: Tensor) -> dict[str, Tensor]:
        if self.graph is None:
            try:
                self.record(real)
            except Exception as error:  # out of memory, an operation that cannot be recorded
                say(f"recording a CUDA graph failed ({first_line(error)}); going on without, which is slower")
                self.graphs = False
                return super().train(real)
        assert self.real is not None and self.graph is not None
        self.real.copy_(real)
        self.graph.replay()
        return {name: term.clone() for name, term in self.terms.items()}

    def record(self, real: Tensor) -> None:
        self.real = real.clone()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=self.stream):  # records, runs nothing
            self.terms = super().train(self.real)
        self.graph = graph


def say(line: str) -> None:
    print(f"training: {line}", file=sys.stderr, flush=True)
