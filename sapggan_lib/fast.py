"""Ways to run the same step faster: compiled blocks and CUDA graphs. Each has the plain step as its twin."""

import torch
from torch import Tensor, nn

from sapggan_lib.step import Step


def compile_blocks(network: nn.Module, backend: str = "inductor") -> None:
    """Compile each block of `network` in place, on its first use; names in the state dict stay as they are.

    By blocks, since blocks of equal shape share code and a 512x512 network compiled whole takes minutes to start.
    """
    torch._dynamo.config.recompile_limit = 256  # all blocks of a class share one code object and its limit
    torch._dynamo.config.accumulated_recompile_limit = 2048
    for block in network.blocks:  # type: ignore[union-attr]
        block.compile(dynamic=False, backend=backend)


class GraphedStep:
    """`Step` recorded once as a CUDA graph and replayed: at small sizes launching kernels takes longer than they do.

    The first calls run eagerly, so that optimiser states, cuDNN's choices and compiled code exist before recording.
    Steps with a lazy penalty run eagerly; a growing network's new stage is recorded anew.
    """

    WARMUP = 4

    def __init__(self, step: Step):
        self.step = step
        self.kind: object = None
        self.calls = 0
        self.graph: torch.cuda.CUDAGraph | None = None
        self.real: Tensor | None = None
        self.terms: dict[str, Tensor] = {}

    def __call__(self, real: Tensor) -> dict[str, Tensor]:
        step = self.step
        step.grow()
        if step.kind() != self.kind:
            self.kind, self.calls, self.graph = step.kind(), 0, None
        if step.penalty_due():
            terms = step.train(real)
        elif self.calls < self.WARMUP:
            self.calls += 1
            terms = self.aside(real)
        else:
            terms = self.replay(real)
        step.count()
        return terms

    def aside(self, real: Tensor) -> dict[str, Tensor]:
        """An eager step on a stream of its own, as recording will need."""
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            terms = self.step.train(real)
        torch.cuda.current_stream().wait_stream(stream)
        return terms

    def replay(self, real: Tensor) -> dict[str, Tensor]:
        if self.graph is None:
            self.real = real.clone()
            self.graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self.graph):  # records, runs nothing
                self.terms = self.step.train(self.real)
        assert self.real is not None
        self.real.copy_(real)
        self.graph.replay()
        return {name: term.clone() for name, term in self.terms.items()}
