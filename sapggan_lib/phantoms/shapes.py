"""The curves that bodies are drawn with: soft arrays `[H, W]` over the coordinates x (right) and y (down)."""

from typing import Any

import cv2
import numpy as np


def step(value: Any, edge: Any, width: Any) -> np.ndarray:
    """A soft step from 0 to 1 where `value` passes `edge`."""
    return 0.5 + 0.5 * np.tanh((value - edge) / width)


def band(distance: np.ndarray, half: float) -> np.ndarray:
    """A rib's profile: dense rims, lighter marrow."""
    d = np.abs(distance) / half
    return np.exp(-(d**4)) * (0.72 + 0.45 * np.clip(d, 0, 1) ** 2)


def blob(x: np.ndarray, y: np.ndarray, cx: Any, cy: float, rx: float, ry: float) -> np.ndarray:
    return np.exp(-(((x - cx) / rx) ** 2) - ((y - cy) / ry) ** 2)


def place(x: np.ndarray, y: np.ndarray, points: Any) -> np.ndarray:
    """Where points `[N, 2]` of the body lie in the image, int32 sixteenths of a pixel, for OpenCV with `shift=4`."""
    origin = np.array([x[0, 0], y[0, 0]], float)
    axes = np.array([[x[0, -1], x[-1, 0]], [y[0, -1], y[-1, 0]]], float) - origin[:, None]
    pixels = np.linalg.solve(axes, (np.asarray(points) - origin).T).T * (np.array(x.shape[::-1]) - 1)
    return np.rint(pixels * 16).astype(np.int32)


def filled(x: np.ndarray, y: np.ndarray, curves: list[tuple[Any, Any, Any]]) -> np.ndarray:
    """Bones along curves `(u, y, half width)` on both sides, `[H, W]`: dense rims, lighter marrow."""
    canvas = np.zeros(x.shape, np.uint8)
    for along, height, half in curves:
        for side in (-1, 1):
            for share, tone in ((1.0, 255), (0.62, 190)):
                edges = [np.stack([side * along, height + sign * share * half], 1) for sign in (-1, 1)]
                outline = place(x, y, np.concatenate([edges[0], edges[1][::-1]]))
                cv2.fillPoly(canvas, [outline], tone, cv2.LINE_AA, 4)
    return cv2.GaussianBlur(canvas, (0, 0), max(x.shape[0] / 400, 0.5)).astype(np.float32) / 255


def vessels(
    x: np.ndarray, y: np.ndarray, b: dict[str, float], lung: np.ndarray, hila: tuple[tuple[float, float], ...]
) -> np.ndarray:
    """Branching vessels from each hilum, `[H, W]`, only where there is lung."""
    rng = np.random.default_rng(int(b["vessels"]))
    canvas = np.zeros(x.shape, np.float32)
    per_unit = float(1 / (x[0, 1] - x[0, 0]))
    segments: list[tuple[float, ...]] = []

    def grow(px: float, py: float, angle: float, thick: float) -> None:
        while thick > 0.0035:
            length = rng.uniform(0.045, 0.085)
            qx, qy = px + length * np.cos(angle), py + length * np.sin(angle)
            segments.append((px, py, qx, qy, thick))
            if rng.random() < 0.65:
                grow(qx, qy, angle + rng.choice((-1, 1)) * rng.uniform(0.35, 0.8), thick * 0.68)
            px, py, angle, thick = qx, qy, angle + rng.normal(0, 0.18), thick * 0.86

    for hx, hy in hila:
        away = np.pi if hx < 0 else 0.0
        spread = np.linspace(-1.25, 1.25, 7) if len(hila) == 2 else np.linspace(0, 2 * np.pi, 9)
        for angle in spread:
            grow(hx, hy, away + angle + rng.normal(0, 0.12), rng.uniform(0.015, 0.024))
    ends = place(x, y, np.reshape([segment[:4] for segment in segments], (-1, 2))).reshape(-1, 2, 2).tolist()
    for (start, end), (*_, thick) in zip(ends, segments, strict=True):
        cv2.line(canvas, start, end, thick * 5.5, max(round(thick * per_unit), 1), cv2.LINE_8, 4)
    blur = max(per_unit * 0.006, 0.6)
    return cv2.GaussianBlur(canvas, (0, 0), blur) * lung
