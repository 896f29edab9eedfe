"""A chest from the side: what the rays meet."""

import math

import numpy as np

from sapggan_lib.phantoms.shapes import band, step, vessels


def lateral(x: np.ndarray, y: np.ndarray, b: dict[str, float], rng: np.random.Generator) -> np.ndarray:
    """As `frontal`, from the side: breast bone at the image's left, spine at its right."""
    apex, base, deep = b["apex"] + 0.04, b["base"], b["cage"] * 0.78
    front = -deep * (0.62 + 0.42 * np.sin(np.clip((y - apex) / (base + 0.35 - apex), 0, 1) * np.pi * 0.62))
    back = deep * (0.78 + 0.20 * np.sin(np.clip((y - apex) / 1.35, 0, 1) * np.pi))
    fat = b["fat"] + 0.05 + 0.5 * b["breast"] * np.exp(-(((y - 0.22) / 0.22) ** 2))
    neck = step(y, apex - 0.12, 0.06)
    torso = step(x, front - fat * neck, 0.03) * step(back + 0.12 - x, 0, 0.03)
    depth = torso * (0.74 + 0.12 * step(-y, 0.45, 0.12))       # shoulders darken nothing, they add
    middle = (front + back) / 2
    t = np.clip((x - middle) / (back - middle), -1.1, 1.1)
    dome = base + 0.02 + 0.22 * np.clip(t + 0.35, 0, None) ** 2 + 0.05 * t
    lung = step(x, front + 0.05, 0.03) * step(back - 0.03 - x, 0, 0.04) * step(dome - y, 0, 0.015)
    lung *= step(y, apex + 0.10 * t**2, 0.06)
    depth -= 0.46 * lung * (0.75 + 0.25 * step(y, -0.4, 0.2))
    depth += 0.14 * step(y, dome, 0.015) * torso
    hx, hy = x - (front + 0.30), y - (base - 0.20)
    c, s = math.cos(-0.6), math.sin(-0.6)
    wide = b["heart"]
    heart = 1 - ((hx * c + hy * s) / (wide * 1.15)) ** 2 - ((-hx * s + hy * c) / (wide * 0.82)) ** 2
    depth += 0.24 * step(heart, 0, 0.08) * torso * step(dome + 0.03 - y, 0, 0.02)
    depth += 0.10 * band(np.hypot(x - 0.06, y + 0.22) - 0.20, 0.07) * step(-y, 0.12, 0.1)     # aortic arch
    depth -= 0.16 * step(0.04 - np.abs(x - 0.04 - 0.12 * (y + 0.5)), 0, 0.015) * step(-y, 0.12, 0.06)
    depth += vessels(x, y, b, lung, ((0.03, -0.05),))
    bones = np.zeros_like(x)
    for i in range(10):
        for offset in (0.0, 0.025 + 0.01 * math.sin(7 * i)):    # the two sides' ribs nearly cover each other
            curve = apex + 0.02 + 0.115 * i + offset + 0.30 * np.clip(0.9 - t, 0, 2) ** 1.25 * (0.55 + 0.03 * i)
            bones += 0.05 * band(y - curve, 0.022) * step(x, front + 0.06, 0.04) * step(back - x, 0, 0.03)
    along = (y - apex) / 0.125 * 2 * np.pi
    column = back - 0.115 + 0.02 * np.sin(3 * y)
    bones += step(0.075 - np.abs(x - column), 0, 0.015) * (0.15 + 0.06 * np.tanh(2.5 * np.cos(along)))
    bones += 0.10 * band(x - column - 0.15, 0.03) * np.clip(np.cos(along + 1), 0, 1)
    bones += 0.16 * band(x - front - 0.005, 0.024) * step(y, apex + 0.14, 0.03) * step(base - 0.1 - y, 0, 0.03)
    bones += 0.10 * step(1 - np.hypot((x - 0.12) / 0.30, (y - apex + 0.02) / 0.16), 0, 0.3)
    return depth + b["bone"] * bones * torso
