"""Drawn chest radiographs: bodies made of a few curves, varied by seed. Nobody's anatomy, and no patient's data."""

import math
import zlib
from typing import Any, Literal

import numpy as np

View = Literal["PA", "AP", "lateral"]
DRAWN = 320   # height at which anatomy is drawn, in pixels


def phantom_image(seed: int = 0, size: int = 512, view: View = "PA", aspect: float = 1.0, shot: int = 0) -> np.ndarray:
    """A synthetic radiograph, uint16 `[size, round(size * aspect)]`, 0 black to 65535 white, bone light.

    The same seed gives one body; its views share what a body has (width, heart, ribs), `shot` tells its exposures
    apart. Patient left is at the image's right, as radiographs are hung.
    """
    import cv2

    body = np.random.default_rng([seed, 0])
    rng = np.random.default_rng([seed, 1 + zlib.crc32(view.encode()), size, shot])
    # Anatomy has soft edges: drawn small and enlarged, it is many times faster. Grain comes at full size.
    drawn = min(size, DRAWN)
    height, width = drawn, round(drawn * aspect)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    scale = 2.0 / min(height, width)
    x, y = (x - (width - 1) / 2) * scale, (y - (height - 1) / 2) * scale     # -1..1 over the shorter side
    tilt, right, down = rng.normal(0, 0.02), rng.normal(0, 0.025), rng.normal(0, 0.025)
    cosine, sine = math.cos(tilt), math.sin(tilt)
    x, y = x * cosine - y * sine + right, x * sine + y * cosine + down
    anatomy = _body(body)
    depth = (_lateral if view == "lateral" else _frontal)(x, y, anatomy, view == "AP", rng)
    if size > drawn:
        depth = cv2.resize(depth, (round(size * aspect), size), interpolation=cv2.INTER_CUBIC)
    return _expose(depth, rng)


def _body(rng: np.random.Generator) -> dict[str, float]:
    """A body's measures, in units of half the image's shorter side."""
    return {
        "cage": rng.normal(0.70, 0.035),          # half width of the rib cage at its widest
        "fat": float(rng.uniform(0.05, 0.17)),    # soft tissue outside the ribs
        "apex": rng.normal(-0.72, 0.03),          # y of the lungs' tops
        "base": rng.normal(0.50, 0.05),           # y of the right diaphragm's dome
        "heart": rng.normal(0.30, 0.035),         # half width
        "tilt": rng.normal(0.55, 0.1),            # of the heart's axis
        "bone": float(rng.uniform(0.7, 1.25)),    # density of bone
        "aorta": float(rng.uniform(0.075, 0.12)),
        "slope": rng.normal(0.10, 0.035),         # of the posterior ribs
        "breast": float(max(rng.normal(0.0, 0.14), 0)),
        "vessels": float(rng.integers(1 << 31)),
    }


def _frontal(x: np.ndarray, y: np.ndarray, b: dict[str, float], ap: bool, rng: np.random.Generator) -> np.ndarray:
    """How much the rays meet, `[H, W]`: about 1 through the mediastinum, 0.15 through a lung, 0 through air."""
    side, u = np.sign(x), np.abs(x)
    cage, apex = b["cage"], b["apex"] + (0.05 if ap else 0)
    base = b["base"] - (0.14 if ap else 0) + rng.normal(0, 0.03)              # AP: less breath
    # Torso under the shoulders, neck above; arms leave the image at the sides.
    half = (cage + b["fat"]) * (1 + 0.10 * _step(y, 0.1, 0.5))
    shoulder = apex - 0.13 + 0.55 * np.clip(u - 0.2, 0, None) ** 1.5
    neck = _step(0.22 - u, 0, 0.02)
    torso = np.maximum(_step(y, shoulder, 0.05) * _step(half + 0.5 * _step(-y, 0.30, 0.25) - u, 0, 0.03), neck)
    depth = torso * (0.50 + 0.34 * np.sqrt(np.clip(1 - (u / (half + 0.25)) ** 2, 0, 1)))
    armpit = _blob(u, y, half + 0.16, 0.25, 0.12, 0.55)
    depth *= 1 - 0.75 * armpit * _step(u, half - 0.02, 0.03)
    # Lungs: a superellipse inside the cage, cut by the diaphragm's dome and the mediastinum.
    middle = (apex + 0.75) / 2
    lung_height = (0.75 - apex) / 2
    wall = cage * (1 - 0.05 * _step(-y, 0.2, 0.3))
    inside = 1 - (np.clip(u / wall, 0, 2) ** 2.4 + np.abs((y - middle) / lung_height) ** 2.6)
    dome = np.where(side < 0, base, base + 0.055) + 0.85 * (u - cage * 0.48) ** 2 + 0.5 * np.clip(
        u - cage * 0.75, 0, None)                                             # costophrenic angle
    lung = _step(inside, 0.0, 0.05) * _step(dome - y, 0, 0.012) * _step(u, 0.10 + 0.05 * _step(y, 0, 0.3), 0.035)
    depth -= 0.44 * lung * np.clip(0.62 + 0.5 * inside, 0, 1)
    below = _step(y, dome, 0.012) * torso
    depth += 0.16 * below * _step(wall + 0.03 - u, 0, 0.05)
    depth -= 0.20 * _blob(x, y, cage * 0.5, base + 0.21, 0.12, 0.055) * rng.uniform(0.2, 1)   # gas in the stomach
    # Heart and great vessels, toward the image's right.
    wide = b["heart"] * (1.18 if ap else 1.0)
    cx, cy = wide * 0.45, base - 0.13
    c, s = math.cos(b["tilt"]), math.sin(b["tilt"])
    hx, hy = (x - cx) * c + (y - cy) * s, -(x - cx) * s + (y - cy) * c
    heart = _step(1 - (hx / (wide * 1.02)) ** 2 - (hy / (wide * 0.78)) ** 2, 0, 0.07)
    atrium = _step(1 - ((x + wide * 0.10) / (wide * 0.58)) ** 2 - ((y - cy + 0.05) / (wide * 0.95)) ** 2, 0, 0.08)
    aorta = _step(1 - np.hypot(x - 0.10, y - (apex + 0.42)) / b["aorta"], 0, 0.1)
    media = _step(0.115 + 0.03 * _step(y, -0.1, 0.2) - u, 0, 0.03) * torso
    depth += np.maximum.reduce([0.30 * heart, 0.26 * atrium, 0.20 * aorta, 0.22 * media]) * (1 - 0.45 * below)
    depth += _vessels(x, y, b, lung, ((-0.17, -0.06), (0.19, -0.10)))
    depth += b["bone"] * _frontal_bones(x, y, b, ap, wall, torso)
    depth -= 0.20 * _step(0.045 - np.abs(x - 0.012 * np.sin(4 * y)), 0, 0.015) * _step(-y, 0.16, 0.06)  # trachea
    if b["breast"] > 0.03:
        depth += 0.5 * b["breast"] * _step(1 - ((u - 0.42) / 0.34) ** 2 - ((y - 0.30) / 0.33) ** 2, 0, 0.12) * torso
    return depth


def _frontal_bones(
    x: np.ndarray, y: np.ndarray, b: dict[str, float], ap: bool, wall: np.ndarray, torso: np.ndarray
) -> np.ndarray:
    u = np.abs(x)
    bones = np.zeros_like(x)
    t = np.clip(u / wall, 0, 1.1)
    for i in range(10):                                       # posterior ribs: flat, then down along the wall
        start = b["apex"] + 0.055 + 0.122 * i
        reach = _step(wall * min(0.62 + 0.09 * i, 1.0) + 0.02 - u, 0, 0.02) * _step(u, 0.07, 0.02)
        curve = start - 0.10 * np.sin(np.pi * np.clip(t, 0, 1) ** 0.8) * (1 - 0.04 * i) + (b["slope"] + 0.02 * i) * t
        bones += 0.115 * _band(y - curve - 0.20 * t**6, 0.026 + 0.0008 * i) * reach
    for i in range(7):                                        # anterior ribs: down toward the breast bone
        start = b["apex"] + 0.20 + 0.13 * i
        curve = start + 0.36 * np.clip(1 - t, 0, 1) ** 1.2 + 0.02 * i - 0.05
        reach = _step(wall - u, 0, 0.02) * _step(u, 0.24 + 0.02 * i, 0.05)
        bones += 0.062 * _band(y - curve, 0.030) * reach
    rise = 0.02 if ap else 0.13
    clavicle = b["apex"] + 0.16 - rise * np.clip(u / 0.6, 0, 1.2) + 0.05 * np.sin(np.clip(u, 0, 0.8) * 7)
    bones += 0.17 * _band(y - clavicle, 0.030) * _step(u, 0.09, 0.02) * _step(0.80 - u, 0, 0.04)
    blade = wall * (0.80 if ap else 0.98)                      # AP: shoulder blades lie over the lungs
    bones += 0.08 * _step(1 - ((u - blade - 0.10) / 0.13) ** 2 - ((y + 0.33) / 0.33) ** 2, 0, 0.08)
    bones += 0.30 * _step(1 - np.hypot(u - wall - 0.20, y - b["apex"] - 0.16) / 0.14, 0, 0.05)
    phase = (y - b["apex"]) / 0.118 * 2 * np.pi                # vertebrae and the discs between them
    spine = _step(0.085 - u, 0, 0.012)
    bones += spine * (0.10 + 0.045 * np.tanh(2.5 * np.cos(phase)))
    bones += 0.06 * _band(u - 0.052, 0.016) * np.clip(np.cos(phase + 0.8), 0, 1)
    bones += 0.05 * _step(1 - (x / 0.018) ** 2, 0, 0.5) * np.clip(np.cos(phase + 2.2), 0, 1) ** 2
    return bones * torso


def _lateral(x: np.ndarray, y: np.ndarray, b: dict[str, float], _: bool, rng: np.random.Generator) -> np.ndarray:
    """As `_frontal`, from the side: breast bone at the image's left, spine at its right."""
    apex, base, deep = b["apex"] + 0.04, b["base"], b["cage"] * 0.78
    front = -deep * (0.62 + 0.42 * np.sin(np.clip((y - apex) / (base + 0.35 - apex), 0, 1) * np.pi * 0.62))
    back = deep * (0.78 + 0.20 * np.sin(np.clip((y - apex) / 1.35, 0, 1) * np.pi))
    fat = b["fat"] + 0.05 + 0.5 * b["breast"] * np.exp(-(((y - 0.22) / 0.22) ** 2))
    neck = _step(y, apex - 0.12, 0.06)
    torso = _step(x, front - fat * neck, 0.03) * _step(back + 0.12 - x, 0, 0.03)
    depth = torso * (0.74 + 0.12 * _step(-y, 0.45, 0.12))       # shoulders darken nothing, they add
    middle = (front + back) / 2
    t = np.clip((x - middle) / (back - middle), -1.1, 1.1)
    dome = base + 0.02 + 0.22 * np.clip(t + 0.35, 0, None) ** 2 + 0.05 * t
    lung = _step(x, front + 0.05, 0.03) * _step(back - 0.03 - x, 0, 0.04) * _step(dome - y, 0, 0.015)
    lung *= _step(y, apex + 0.10 * t**2, 0.06)
    depth -= 0.46 * lung * (0.75 + 0.25 * _step(y, -0.4, 0.2))
    depth += 0.14 * _step(y, dome, 0.015) * torso
    hx, hy = x - (front + 0.30), y - (base - 0.20)
    c, s = math.cos(-0.6), math.sin(-0.6)
    wide = b["heart"]
    heart = 1 - ((hx * c + hy * s) / (wide * 1.15)) ** 2 - ((-hx * s + hy * c) / (wide * 0.82)) ** 2
    depth += 0.24 * _step(heart, 0, 0.08) * torso * _step(dome + 0.03 - y, 0, 0.02)
    depth += 0.10 * _band(np.hypot(x - 0.06, y + 0.22) - 0.20, 0.07) * _step(-y, 0.12, 0.1)     # aortic arch
    depth -= 0.16 * _step(0.04 - np.abs(x - 0.04 - 0.12 * (y + 0.5)), 0, 0.015) * _step(-y, 0.12, 0.06)
    depth += _vessels(x, y, b, lung, ((0.03, -0.05),))
    bones = np.zeros_like(x)
    for i in range(10):
        for offset in (0.0, 0.025 + 0.01 * math.sin(7 * i)):    # the two sides' ribs nearly cover each other
            curve = apex + 0.02 + 0.115 * i + offset + 0.30 * np.clip(0.9 - t, 0, 2) ** 1.25 * (0.55 + 0.03 * i)
            bones += 0.05 * _band(y - curve, 0.022) * _step(x, front + 0.06, 0.04) * _step(back - x, 0, 0.03)
    along = (y - apex) / 0.125 * 2 * np.pi
    column = back - 0.115 + 0.02 * np.sin(3 * y)
    bones += _step(0.075 - np.abs(x - column), 0, 0.015) * (0.15 + 0.06 * np.tanh(2.5 * np.cos(along)))
    bones += 0.10 * _band(x - column - 0.15, 0.03) * np.clip(np.cos(along + 1), 0, 1)
    bones += 0.16 * _band(x - front - 0.005, 0.024) * _step(y, apex + 0.14, 0.03) * _step(base - 0.1 - y, 0, 0.03)
    bones += 0.10 * _step(1 - np.hypot((x - 0.12) / 0.30, (y - apex + 0.02) / 0.16), 0, 0.3)
    return depth + b["bone"] * bones * torso


def _vessels(
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


def _expose(depth: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """What the detector and its processing make of it: uint16 `[H, W]`."""
    import cv2

    soft: Any = cv2.GaussianBlur(depth.astype(np.float32), (0, 0), max(depth.shape[0] / 900, 0.5))
    coarse = rng.standard_normal((24, 24), np.float32)
    soft += 0.012 * cv2.resize(coarse, depth.shape[::-1], interpolation=cv2.INTER_CUBIC) * (soft > 0.1)
    grain = cv2.GaussianBlur(rng.standard_normal(depth.shape, np.float32), (0, 0), 0.7)
    soft += grain * (0.010 + 0.018 * np.clip(soft, 0, 1))
    # Film's shoulder: dense parts crowd below white instead of clipping.
    light = (1 - np.exp(-np.clip(soft - 0.03, 0, None) * rng.uniform(1.15, 1.45))) / 0.86
    light = np.clip(light, 0, 1) ** rng.uniform(1.25, 1.6)
    return np.rint(light * 65535).astype(np.uint16)


def _step(value: Any, edge: Any, width: float) -> np.ndarray:
    """A soft step from 0 to 1 where `value` passes `edge`."""
    return 0.5 + 0.5 * np.tanh((value - edge) / width)


def _band(distance: np.ndarray, half: float) -> np.ndarray:
    """A rib's profile: dense rims, lighter marrow."""
    d = np.abs(distance) / half
    return np.exp(-(d**4)) * (0.72 + 0.45 * np.clip(d, 0, 1) ** 2)


def _blob(x: np.ndarray, y: np.ndarray, cx: Any, cy: float, rx: float, ry: float) -> np.ndarray:
    return np.exp(-(((x - cx) / rx) ** 2) - ((y - cy) / ry) ** 2)
