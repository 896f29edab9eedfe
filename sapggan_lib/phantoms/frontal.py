"""A chest from the front: what the rays meet, with or without a finding."""

import numpy as np

from sapggan_lib.phantoms.findings import LARGER, fluid_level, opacities
from sapggan_lib.phantoms.shapes import band, blob, filled, step, vessels


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
