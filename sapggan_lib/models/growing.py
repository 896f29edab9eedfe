"""Progressive growing: which resolution is trained, and how far its fade-in has come."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Growing(nn.Module):
    """A network that works at one of its scales, its `level` (0: 4x4), blended with the one below while `alpha` < 1.

    New networks are fully grown. The stage is part of the state dict.
    """

    start = 0  # the level that training begins with

    def __init__(self, levels: int):
        super().__init__()
        self.levels = levels
        self.level = levels - 1
        self.register_buffer("alpha", torch.ones(()), persistent=False)  # on the device: no recompiling as it moves

    def set_stage(self, level: int, alpha: float) -> None:
        alpha = torch.tensor(alpha).item()  # as the saved state holds it, so that `fading` survives a resume
        self.level, self.fading = level, alpha < 1
        self.alpha.fill_(alpha)

    fading = False
    alpha: Tensor

    def get_extra_state(self) -> Tensor:
        return torch.tensor([self.level, float(self.alpha)])

    def set_extra_state(self, state: Tensor) -> None:
        level, alpha = state.tolist()
        if not (0 <= level < self.levels and 0 <= alpha <= 1):
            raise ValueError(f"no stage {level:g}, {alpha:g}")
        self.set_stage(int(level), alpha)

    def blend(self, old: Tensor, new: Tensor) -> Tensor:
        return torch.lerp(old.float(), new.float(), self.alpha).to(new.dtype)

    def real_views(self, images: Tensor) -> list[Tensor]:
        """Real images `[N, C, R, R]` as this discriminator is to see them: at its level, faded as the fakes are."""
        image = F.avg_pool2d(images, 2 ** (self.levels - 1 - self.level))
        return [self.blend(double(F.avg_pool2d(image, 2)), image) if self.fading else image]


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
