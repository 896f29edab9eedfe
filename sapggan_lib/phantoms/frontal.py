"""A chest from the front: what the rays meet, with or without a finding."""

import math

import numpy as np

from sapggan_lib.phantoms.shapes import band, blob, step, vessels


def frontal(
    x: np.ndarray, y: np.ndarray, b: dict[str, float], ap: bool, rng: np.random.Generator, finding: str,
    chance: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """How much the rays meet, `[H, W]`: about 1 through the mediastinum, 0.15 through a lung, 0 through air."""
    side, u = np.sign(x), np.abs(x)
    cage, apex = b["cage"], b["apex"] + (0.05 if ap else 0)
    base = b["base"] - (0.14 if ap else 0) + rng.normal(0, 0.03)              # AP: less breath
    # Torso under the shoulders, neck above; arms leave the image at the sides.
    half = (cage + b["fat"]) * (1 + 0.10 * step(y, 0.1, 0.5))
    shoulder = apex - 0.13 + 0.55 * np.clip(u - 0.2, 0, None) ** 1.5
    neck = step(0.22 - u, 0, 0.02)
    torso = np.maximum(step(y, shoulder, 0.05) * step(half + 0.5 * step(-y, 0.30, 0.25) - u, 0, 0.03), neck)
    depth = torso * (0.50 + 0.34 * np.sqrt(np.clip(1 - (u / (half + 0.25)) ** 2, 0, 1)))
    armpit = blob(u, y, half + 0.16, 0.25, 0.12, 0.55)
    depth *= 1 - 0.75 * armpit * step(u, half - 0.02, 0.03)
    # Lungs: a superellipse inside the cage, cut by the diaphragm's dome and the mediastinum.
    middle = (apex + 0.75) / 2
    lung_height = (0.75 - apex) / 2
    wall = cage * (1 - 0.05 * step(-y, 0.2, 0.3))
    inside = 1 - (np.clip(u / wall, 0, 2) ** 2.4 + np.abs((y - middle) / lung_height) ** 2.6)
    dome = np.where(side < 0, base, base + 0.055) + 0.85 * (u - cage * 0.48) ** 2 + 0.5 * np.clip(
        u - cage * 0.75, 0, None)                                             # costophrenic angle
    lung = step(inside, 0.0, 0.05) * step(dome - y, 0, 0.012) * step(u, 0.10 + 0.05 * step(y, 0, 0.3), 0.035)
    depth -= 0.44 * lung * np.clip(0.62 + 0.5 * inside, 0, 1)
    below = step(y, dome, 0.012) * torso
    depth += 0.16 * below * step(wall + 0.03 - u, 0, 0.05)
    depth -= 0.20 * blob(x, y, cage * 0.5, base + 0.21, 0.12, 0.055) * rng.uniform(0.2, 1)   # gas in the stomach
    # Heart and great vessels, toward the image's right.
    wide = b["heart"] * (1.18 if ap else 1.0) * (chance.uniform(1.35, 1.6) if finding == "cardiomegaly" else 1)
    cx, cy = wide * 0.45, base - 0.13
    c, s = math.cos(b["tilt"]), math.sin(b["tilt"])
    hx, hy = (x - cx) * c + (y - cy) * s, -(x - cx) * s + (y - cy) * c
    heart = step(1 - (hx / (wide * 1.02)) ** 2 - (hy / (wide * 0.78)) ** 2, 0, 0.07)
    atrium = step(1 - ((x + wide * 0.10) / (wide * 0.58)) ** 2 - ((y - cy + 0.05) / (wide * 0.95)) ** 2, 0, 0.08)
    aorta = step(1 - np.hypot(x - 0.10, y - (apex + 0.42)) / b["aorta"], 0, 0.1)
    media = step(0.115 + 0.03 * step(y, -0.1, 0.2) - u, 0, 0.03) * torso
    depth += np.maximum.reduce([0.30 * heart, 0.26 * atrium, 0.20 * aorta, 0.22 * media]) * (1 - 0.45 * below)
    depth += vessels(x, y, b, lung, ((-0.17, -0.06), (0.19, -0.10)))
    depth += b["bone"] * _frontal_bones(x, y, b, ap, wall, torso)
    depth -= 0.20 * step(0.045 - np.abs(x - 0.012 * np.sin(4 * y)), 0, 0.015) * step(-y, 0.16, 0.06)  # trachea
    if b["breast"] > 0.03:
        depth += 0.5 * b["breast"] * step(1 - ((u - 0.42) / 0.34) ** 2 - ((y - 0.30) / 0.33) ** 2, 0, 0.12) * torso
    if finding == "cardiomegaly":
        return depth, np.maximum(heart, atrium) * (1 - below) > 0.5
    region = np.zeros_like(x)
    hurt = chance.choice((-1, 1))
    if finding == "opacity":
        cu, cy = chance.uniform(0.28, 0.50), chance.uniform(apex + 0.35, base - 0.15)
        region = np.clip(1 - ((hurt * x - cu) / chance.uniform(0.1, 0.2)) ** 2
                         - ((y - cy) / chance.uniform(0.1, 0.2)) ** 2, 0, 1) * lung
    if finding == "effusion":
        level = base + 0.05 - chance.uniform(0.05, 0.3)
        region = step(y, level - 0.2 * np.clip(u / wall, 0, 1) ** 3, 0.02) * lung * (side == hurt)
    return depth + 0.3 * region, region


def _frontal_bones(
    x: np.ndarray, y: np.ndarray, b: dict[str, float], ap: bool, wall: np.ndarray, torso: np.ndarray
) -> np.ndarray:
    u = np.abs(x)
    bones = np.zeros_like(x)
    t = np.clip(u / wall, 0, 1.1)
    for i in range(10):                                       # posterior ribs: flat, then down along the wall
        start = b["apex"] + 0.055 + 0.122 * i
        reach = step(wall * min(0.62 + 0.09 * i, 1.0) + 0.02 - u, 0, 0.02) * step(u, 0.07, 0.02)
        curve = start - 0.10 * np.sin(np.pi * np.clip(t, 0, 1) ** 0.8) * (1 - 0.04 * i) + (b["slope"] + 0.02 * i) * t
        bones += 0.115 * band(y - curve - 0.20 * t**6, 0.026 + 0.0008 * i) * reach
    for i in range(7):                                        # anterior ribs: down toward the breast bone
        start = b["apex"] + 0.20 + 0.13 * i
        curve = start + 0.36 * np.clip(1 - t, 0, 1) ** 1.2 + 0.02 * i - 0.05
        reach = step(wall - u, 0, 0.02) * step(u, 0.24 + 0.02 * i, 0.05)
        bones += 0.062 * band(y - curve, 0.030) * reach
    rise = 0.02 if ap else 0.13
    clavicle = b["apex"] + 0.16 - rise * np.clip(u / 0.6, 0, 1.2) + 0.05 * np.sin(np.clip(u, 0, 0.8) * 7)
    bones += 0.17 * band(y - clavicle, 0.030) * step(u, 0.09, 0.02) * step(0.80 - u, 0, 0.04)
    blade = wall * (0.80 if ap else 0.98)                      # AP: shoulder blades lie over the lungs
    bones += 0.08 * step(1 - ((u - blade - 0.10) / 0.13) ** 2 - ((y + 0.33) / 0.33) ** 2, 0, 0.08)
    bones += 0.30 * step(1 - np.hypot(u - wall - 0.20, y - b["apex"] - 0.16) / 0.14, 0, 0.05)
    phase = (y - b["apex"]) / 0.118 * 2 * np.pi                # vertebrae and the discs between them
    spine = step(0.085 - u, 0, 0.012)
    bones += spine * (0.10 + 0.045 * np.tanh(2.5 * np.cos(phase)))
    bones += 0.06 * band(u - 0.052, 0.016) * np.clip(np.cos(phase + 0.8), 0, 1)
    bones += 0.05 * step(1 - (x / 0.018) ** 2, 0, 0.5) * np.clip(np.cos(phase + 2.2), 0, 1) ** 2
    return bones * torso
