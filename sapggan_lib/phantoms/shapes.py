"""The curves that bodies are drawn with: soft arrays `[H, W]` over the coordinates x (right) and y (down)."""

from typing import Any

import numpy as np


def step(value: Any, edge: Any, width: float) -> np.ndarray:
    """A soft step from 0 to 1 where `value` passes `edge`."""
    return 0.5 + 0.5 * np.tanh((value - edge) / width)


def band(distance: np.ndarray, half: float) -> np.ndarray:
    """A rib's profile: dense rims, lighter marrow."""
    d = np.abs(distance) / half
    return np.exp(-(d**4)) * (0.72 + 0.45 * np.clip(d, 0, 1) ** 2)


def blob(x: np.ndarray, y: np.ndarray, cx: Any, cy: float, rx: float, ry: float) -> np.ndarray:
    return np.exp(-(((x - cx) / rx) ** 2) - ((y - cy) / ry) ** 2)


def vessels(
    x: np.ndarray, y: np.ndarray, b: dict[str, float], lung: np.ndarray, hila: tuple[tuple[float, float], ...]
) -> np.ndarray:
    """Branching vessels from each hilum, `[H, W]`, only where there is lung."""
    import cv2

    rng = np.random.default_rng(int(b["vessels"]))
    canvas = np.zeros(x.shape, np.float32)
    per_unit = float(1 / (x[0, 1] - x[0, 0]))
    left, top = float(x[0, 0]), float(y[0, 0])

    def grow(px: float, py: float, angle: float, thick: float) -> None:
        while thick > 0.0022:
            length = rng.uniform(0.045, 0.085)
            qx, qy = px + length * np.cos(angle), py + length * np.sin(angle)
            ends = [(int((vx - left) * per_unit * 16), int((vy - top) * per_unit * 16))
                    for vx, vy in ((px, py), (qx, qy))]
            cv2.line(canvas, ends[0], ends[1], thick * 5.5, max(round(thick * per_unit), 1), cv2.LINE_8, 4)
            if rng.random() < 0.65:
                grow(qx, qy, angle + rng.choice((-1, 1)) * rng.uniform(0.35, 0.8), thick * 0.68)
            px, py, angle, thick = qx, qy, angle + rng.normal(0, 0.18), thick * 0.86

    for hx, hy in hila:
        away = np.pi if hx < 0 else 0.0
        spread = np.linspace(-1.25, 1.25, 7) if len(hila) == 2 else np.linspace(0, 2 * np.pi, 9)
        for angle in spread:
            grow(hx, hy, away + angle + rng.normal(0, 0.12), rng.uniform(0.015, 0.024))
    blur = max(per_unit * 0.006, 0.6)
    return cv2.GaussianBlur(canvas, (0, 0), blur) * lung
