"""What the rays meet in a chest, from the front and from the side, and what a drawn finding changes in it."""

import math

import numpy as np

from sapggan_lib.phantoms.shapes import band, blob, filled, step, vessels

FINDINGS = ("opacity", "effusion", "cardiomegaly")
LARGER = (1.4, 1.7)    # how many times as wide the enlarged heart's chambers are


def frontal(
    x: np.ndarray, y: np.ndarray, b: dict[str, float], ap: bool, rng: np.random.Generator, finding: str,
    chance: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """How much the rays meet, `[H, W]`: about 2 through the heart, 0.4 through a lung, 0 through air; and whether
    the finding is there. `chance` decides what the finding is like.
    """
    side, u = np.tanh(x / 0.06), np.abs(x)                                    # -1 right of the patient, 1 left
    cage, apex = b["cage"], b["apex"] + (0.05 if ap else 0)
    base = b["base"] - (0.14 if ap else 0) + rng.normal(0, 0.03)              # AP: less breath
    v = (y - apex) / (base - apex)                                            # 0 at the lungs' tops, 1 at the dome
    # Torso under the shoulders, neck above; arms leave the image at the sides. Thin at its edge, thick at the belly.
    half = (cage + b["fat"]) * (1 + 0.10 * step(y, 0.1, 0.5))
    shoulder = apex + b["shoulder"] + 0.12 * (u - 0.19) - 0.30 * np.exp(-np.clip(u - 0.19, 0, None) / b["neck"])
    reach = half + 0.5 * step(-y, b["arm"], 0.22) - u
    torso = np.maximum(step(y, shoulder, 0.02), step(0.20 - u, 0, 0.02)) * step(reach, 0, 0.02)
    depth = 0.30 + 0.70 * step(y, shoulder + 0.10, 0.10) * step(reach, 0.09, 0.09) + 0.15 * step(0.3 - u, 0, 0.1)
    depth += b["belly"] * step(v, 1.1, 0.22) * step(cage - 0.02 - u, 0, 0.12)
    # Lungs: wide below and round above, cut by the diaphragm, which falls to a sharp angle at the wall.
    waist = 0.25
    inside = 1 - (u / cage) ** 2.4 - np.where(y < waist, ((y - waist) / (waist - apex)) ** 2.0,
                                              ((y - waist) / 1.5) ** 2)
    top = cage * 0.45
    dome = base + b["lower"] * (1 + side) / 2 + b["angle"] * np.clip((u - top) / (cage - top), 0, 1.2) ** 2.6
    dome += 0.05 * np.clip((top - u) / top, 0, 1) ** 2
    chest, below = step(inside, 0.0, 0.035) * torso, step(y, dome, 0.012) * torso
    region = np.zeros(x.shape, bool)
    if finding == "effusion":
        wet = np.maximum(below, step(y, fluid_level(x, cage, base, chance), 0.02) * torso)
        region, depth, below = chest * (wet - below) > 0.05, depth + 0.15 * chest * (wet - below), wet
    lung = chest * (1 - below)
    gas = blob(x, y, cage * b["gas_x"], base + 0.17, 0.10, 0.05) + blob(x, y, cage * 0.6, base + 0.3, 0.06, 0.07)
    depth -= b["gas"] * np.clip(gas, 0, 0.6) * below
    air = 0.44 - 0.22 * np.sqrt(np.clip(inside, 0, 1)) + 0.14 * step(v, 0.75, 0.3) + 0.10 * step(-v, -0.15, 0.1)
    depth += lung * (air - depth) + 0.12 * np.exp(-((inside / 0.07) ** 2)) * step(y, apex, 0.1) * (1 - below)
    if b["breast"] > 0.03:
        round_off = 1 - ((u - 0.46) / 0.36) ** 2 - ((y - b["breast_y"]) / 0.34) ** 2
        depth += 2.0 * b["breast"] * np.sqrt(np.clip(round_off, 0, 1)) * step(y, b["breast_y"] - 0.1, 0.15)
    # Heart and great vessels as one outline: aortic knob, pulmonary trunk and ventricle at the image's right.
    wide = b["heart"] * (1.18 if ap else 1.0)
    if finding == "cardiomegaly":
        wide = min(wide * chance.uniform(*LARGER), cage - 0.16)
    left = 0.125 + b["aorta"] * np.exp(-(((v - 0.36) / 0.085) ** 2)) + 0.03 * np.exp(-(((v - 0.53) / 0.08) ** 2))
    left += wide * step(v, 0.76, 0.17) * (1 - 0.35 * step(v, 1.15, 0.1))
    right = 0.125 + 0.02 * step(v, 0.1, 0.1) + (0.28 * wide) * np.exp(-(((v - 0.84) / 0.22) ** 2))
    rim = left * (1 + side) / 2 + right * (1 - side) / 2 - u + 0.06 * step(-v, 0, 0.08)
    heart = step(rim, 0, 0.014 + 0.03 * step(-v, -0.15, 0.1)) * torso * step(v, -0.05, 0.15)
    depth += heart * (1 - 0.8 * below) * (0.50 + 0.65 * np.clip(rim / 0.16, 0, 1) * step(v, 0.3, 0.3))
    depth += 0.16 * (blob(x, y, -0.19, apex + 0.56, 0.07, 0.13) + blob(x, y, 0.20, apex + 0.52, 0.06, 0.12)) * lung
    depth += vessels(x, y, b, lung, ((-0.17, apex + 0.56), (0.18, apex + 0.54))) * (1 - 0.8 * heart)
    depth += b["bone"] * _bones(x, y, b, ap, apex)
    pipe = step(0.036 - np.abs(x + 0.01), 0, 0.010) * step(0.40 - v, 0, 0.02)  # trachea, then the two bronchi
    fork = np.abs(u - 0.9 * (base - apex) * (v - 0.385))
    depth -= 0.24 * np.maximum(pipe, 0.35 * step(0.022 - fork, 0, 0.012) * step(0.13 - u, 0, 0.02))
    depth *= torso
    if finding == "cardiomegaly":
        region = heart * step(v, 0.42, 0.02) * (1 - below) > 0.5
    if finding == "opacity":
        added = opacities(x, y, apex, base, chance) * lung * (1 - heart)
        region, depth = added > 0.015, depth + added
    return depth, region


def _bones(x: np.ndarray, y: np.ndarray, b: dict[str, float], ap: bool, apex: float) -> np.ndarray:
    """Ribs, clavicles, shoulders and spine, `[H, W]`."""
    u, t = np.abs(x), np.linspace(0, 1, 24)
    back, front = [], []
    for i in range(10):
        start = apex + 0.04 + 0.122 * i
        end = start + 0.17 + 0.012 * i                        # where the rib turns, at the wall
        reach = b["cage"] * max(1 - min((end - 0.25) / (0.25 - apex), 0) ** 2, 0.05) ** (1 / 2.4) + 0.015
        curve = start - 0.06 * np.sin(np.pi * t**0.8) + (end - start) * (0.4 * t + 0.6 * t**4) + b["slope"] * t
        back.append((0.08 + (reach - 0.08) * t, curve, 0.025 + 0.003 * t))
        if 1 <= i < 8:                                        # and on, down toward the breast bone
            front.append((reach - (reach - 0.24 - 0.02 * i) * t, curve[-1] + 0.05 + 0.27 * t**1.3, 0.030 - 0.008 * t))
    clavicle = apex + 0.22 - (0.08 if ap else 0.22) * t**0.8 + 0.025 * np.sin(6.3 * t)
    bones = 0.11 * filled(x, y, back) + 0.055 * filled(x, y, front)
    bones += 0.15 * filled(x, y, [(0.07 + 0.68 * t, clavicle, (0.030 - 0.008 * np.sin(np.pi * t)) * (1 - t**9))])
    blade = b["cage"] * (0.86 if ap else 1.0)                  # AP: shoulder blades lie over the lungs
    bones += 0.10 * step(1 - ((u - blade - 0.12) / 0.16) ** 2 - ((y - apex - 0.42) / 0.40) ** 2, 0.4, 0.3)
    bones += 0.15 * step(1 - np.hypot((u - b["cage"] - 0.20) / 0.12, (y - apex - 0.20) / 0.12), 0.15, 0.2)
    phase = (y - apex) / 0.118 * 2 * np.pi                     # vertebrae and the discs between them
    soft = 0.012 + 0.03 * step(-y, -apex - 0.3, 0.1)
    bones += step(0.085 - u, 0, soft) * (0.16 + 0.03 * np.tanh(2.5 * np.cos(phase)))
    return bones + 0.05 * band(u - 0.052, 0.016) * np.clip(np.cos(phase + 0.8), 0, 1)


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
