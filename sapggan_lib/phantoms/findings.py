"""Drawn findings: what an illness changes in a body that is otherwise as it was."""

import numpy as np

from sapggan_lib.phantoms.shapes import step

FINDINGS = ("opacity", "effusion", "cardiomegaly")
LARGER = (1.4, 1.7)    # how many times as wide the enlarged heart's chambers are


def fluid_level(x: np.ndarray, cage: float, base: float, chance: np.random.Generator) -> np.ndarray:
    """The y above which no fluid is, `[H, W]`: on one side, climbing to the lung's wall, `cage` from the middle, as a
    meniscus. `base` is the y of the diaphragm.
    """
    out = x * chance.choice((-1.0, 1.0))                                      # toward the wall of the side that has it
    return base + 0.12 - chance.uniform(0, 0.40) - 0.25 * np.clip(out / cage, 0, 1) ** 3 + step(0.14 - out, 0, 0.05)


def opacities(x: np.ndarray, y: np.ndarray, apex: float, base: float, chance: np.random.Generator) -> np.ndarray:
    """What one or two patches with soft, wavy edges add to the depth, `[H, W]`, in one lung from `apex` to `base`."""
    out, added = x * chance.choice((-1.0, 1.0)), np.zeros_like(x)
    for _ in range(int(chance.integers(1, 3))):
        right, down = chance.uniform(0.28, 0.46), apex + (base - apex) * chance.uniform(0.35, 0.85)
        wide, high, wave = chance.uniform(0.12, 0.22), chance.uniform(0.12, 0.24), chance.uniform(0, 6, 2)
        across = (out - right + 0.03 * np.sin(24 * y + wave[0])) / wide
        along = (y - down + 0.03 * np.sin(21 * x + wave[1])) / high
        patch = np.clip(1.2 - across**2 - along**2, 0, 1) ** 1.5
        added = np.maximum(added, chance.uniform(0.25, 0.55) * patch)
    return added
