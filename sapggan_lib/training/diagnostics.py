"""Is a training healthy? What its log says beside the losses, and when its samples have collapsed into one image."""

import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sapggan_lib.base.images import COLLAPSE
from sapggan_lib.models import Discriminator, generate, to_float
from sapggan_lib.tensors import full_precision
from sapggan_lib.training.checkpoint import State

SAMPLES = 64     # images of fixed latents whose spread is measured
DATA = 1000      # training images, at most, for the data's spread
REAL = 8         # training images at which the logit's gradient is taken
SHARE = 0.02     # of the training's time that measuring may take
BEGUN = 500      # steps; DCGAN's first samples are all gray, and SAPGGAN's spread falls for 100 steps before it rises

Log = Sequence[Mapping[str, Any]]  # rows of log.jsonl


class Diagnostics:
    """Measures the networks of a training at its first and last log line, and between them as often as is cheap.

    A measurement takes as long as training on 5 to 10 images, DCGAN's on 60 (float32, one thread, 32 and 64 pixels),
    which is too dear for each line of a short run: the next one waits until it is 2 % of the training's time at most.
    Random state, buffers and weights stay as they are.
    """

    def __init__(self, images: np.ndarray, state: State, log: Log):
        self.state = state
        self.real = to_float(torch.from_numpy(evenly(images, REAL)))                  # [8, C, R, R]
        before = [row for row in log if "spread_data" in row]
        # from the log when a run goes on: one number for a run, whatever computes it
        some = evenly(images, min(DATA, len(images)))
        self.spread_data = before[-1]["spread_data"] if before else round(spread(some), 2)
        self.collapsed = bool(before) and "collapsed" in before[-1]
        self.next = 0.0  # seconds of training

    def due(self) -> bool:
        return self.state.seconds >= self.next

    def __call__(self) -> dict[str, Any]:
        """Numbers for the log. Says on stderr when a collapse begins and when it ends."""
        start = time.monotonic()
        device = next(self.state.generator.parameters()).device
        with torch.compiler.set_stance("force_eager"):  # compiled code is for a training's batches
            averaged, raw = (round(spread(generate(network, SAMPLES)), 2)
                             for network in (self.state.average(), self.state.generator))  # fmt: skip
            labels = self.state.generator.in_turn(REAL)
            gradient = logit_gradient(self.state.discriminator, self.real.to(device), *labels)
        row = {"spread": averaged, "spread_raw": raw, "spread_data": self.spread_data, "logit_gradient": gradient}
        collapsed = self.state.step >= BEGUN and averaged < COLLAPSE * self.spread_data
        if collapsed != self.collapsed:
            said = describe(row | {"kimg": self.state.kimg})
            said = f"collapse at {said}; raise r1_gamma or lower lr" if collapsed else f"collapse is over at {said}"
            print(f"training: {said}", file=sys.stderr, flush=True)
        self.collapsed = collapsed
        self.next = self.state.seconds + (time.monotonic() - start) / SHARE
        return row | ({"collapsed": True} if collapsed else {})


def evenly(images: np.ndarray, n: int) -> np.ndarray:
    """`n` images at equal distances, some twice when there are fewer."""
    return images[np.linspace(0, len(images) - 1, n).round().astype(int)]


def spread(images: np.ndarray) -> float:
    """Mean over pixels of the standard deviation over images, in gray levels. uint8 `[N, R, R]` or `[N, R, R, C]`."""
    return float(np.mean([images[:, row].std(0) for row in range(images.shape[1])]))  # by rows, for memory's sake


def logit_gradient(discriminator: Discriminator, images: Tensor, *labels: Tensor) -> dict[str, float]:
    """Norm of the logit's gradient with respect to the image at each scale that the discriminator sees, by its side.

    The mean over real images `[N, C, R, R]`, in float32 and in eval mode, so that batch norm keeps its statistics. A
    norm that is not finite is left out.
    """
    views = [view.detach().requires_grad_() for view in discriminator.real_views(images)]
    training = discriminator.training
    discriminator.eval()
    with full_precision(images.device):
        gradients = torch.autograd.grad(discriminator(views, *labels).sum(), views)
    discriminator.train(training)
    norms = {str(gradient.shape[-1]): float(gradient.flatten(1).norm(dim=1).mean()) for gradient in gradients}
    return {side: float(f"{norm:.4g}") for side, norm in norms.items() if np.isfinite(norm)}


def peak_memory_gb(device: torch.device) -> dict[str, float]:
    """Most memory so far, 10^9 bytes: tensors on a GPU, else the whole process; empty where that is not known."""
    if device.type == "cuda":
        return {"peak_memory_gb": round(torch.cuda.max_memory_allocated(device) / 1e9, 3)}
    try:
        import resource
    except ImportError:  # Windows
        return {}
    unit = 1 if sys.platform == "darwin" else 1024
    return {"peak_memory_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9, 3)}


def curve(log: Log, name: str) -> tuple[list[float], list[Any]]:
    """Thousands of images shown, and the values of `name`, from the rows that have it."""
    rows = [row for row in log if name in row]
    return [row["kimg"] for row in rows], [row[name] for row in rows]


def describe(row: Mapping[str, Any]) -> str:
    return (f"{row['kimg']:.3g} kimg: samples spread over {row['spread']:.1f} gray levels, "
            f"the data over {row['spread_data']:.1f}")  # fmt: skip


def collapse_report(logs: Mapping[str, Log]) -> str:
    """A sentence on which trainings collapsed, then a line with the numbers of each. `logs`: label to rows."""
    lines, collapsed, early = [], [], []
    for label, log in logs.items():
        rows = [row for row in log if "spread" in row]
        if not rows:
            early.append(label)
            continue
        lines.append(f"{label}, at {describe(rows[-1])}")
        first = next((row for row in rows if "collapsed" in row), None)
        if first:
            collapsed.append(f"{label} at {first['kimg']:.3g} kimg")
            lines[-1] = f"{label}, collapsed at {describe(first)}; at {describe(rows[-1])}"
        elif rows[-1]["step"] < BEGUN:
            early.append(label)
    verdict = f"Collapsed: {', '.join(collapsed)}." if collapsed else "No model collapsed."
    if early:
        said = f"Too early to tell (fewer than {BEGUN} steps): {', '.join(early)}."
        verdict = said if len(early) == len(logs) else f"{verdict} {said}"
    return "\n".join([verdict, *lines])
