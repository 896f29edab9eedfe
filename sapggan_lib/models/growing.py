"""Progressive growing: which resolution is trained, and how far its fade-in has come."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sapggan_lib.models.network import Generator, Network


class Growing(Network):
    """A network that works at one of its scales, its `level` (0: 4x4), blended with the one below while `alpha` < 1.

    New networks are fully grown. The stage is part of the state dict.
    """

    start = 0       # the level that training begins with
    fading = False  # whether `alpha` is below 1
    alpha: Tensor

    def __init__(self, levels: int):
        super().__init__()
        self.levels = levels
        self.level = levels - 1
        self.register_buffer("alpha", torch.ones(()), persistent=False)  # on the device: no recompiling as it moves

    @property
    def stage(self) -> tuple[int, bool]:
        """What decides which layers run: the level, and whether it fades in."""
        return self.level, self.fading

    @property
    def grown(self) -> bool:
        """Whether the last level is reached and has faded in."""
        return self.stage == (self.levels - 1, False)

    def set_stage(self, level: int, alpha: float) -> None:
        alpha = torch.tensor(alpha).item()  # as the saved state holds it, so that `fading` survives a resume
        self.level, self.fading = level, alpha < 1
        self.alpha.fill_(alpha)

    def get_extra_state(self) -> Tensor:
        return torch.tensor([self.level, float(self.alpha)])

    def set_extra_state(self, state: Tensor) -> None:
        level, alpha = state.tolist()
        if not (0 <= level < self.levels and 0 <= alpha <= 1):
            raise ValueError(f"no stage {level:g}, {alpha:g}")
        self.set_stage(int(level), alpha)

    def blend(self, old: Tensor, new: Tensor) -> Tensor:
        return torch.lerp(old.float(), new.float(), self.alpha).to(new.dtype)


class GrowingGenerator(Growing, Generator):
    """A growing network with a layer `to_image` at each level."""

    to_image: nn.ModuleList

    def to_images(self, below: Tensor, x: Tensor) -> list[Tensor]:
        """The image `[N, C, r, r]` of the present level's maps `x`, blended with that of the maps `below`."""
        image = self.to_image[self.level](x)
        if self.fading:
            image = self.blend(double(self.to_image[self.level - 1](below)), image)
        return [image.float()]


def stage_at(images: int, per_phase: float, levels: int, start: int = 0) -> tuple[int, float]:
    """Level and alpha after `images` shown: a stay at level `start`, then a fade and a stay at each level above.

    Each takes `per_phase` images (`TrainingSchedule` in PGGAN's train.py and StyleGAN's training_loop.py).
    """
    phase = images / per_phase
    if phase < 1:
        return start, 1.0
    level = min(levels - 1, start + 1 + int((phase - 1) / 2))
    return level, min(1.0, phase - 1 - 2 * (level - start - 1))


def double(images: Tensor) -> Tensor:
    """Nearest-neighbour enlargement by 2."""
    return F.interpolate(images, scale_factor=2.0, mode="nearest")
