"""Drawn chest radiographs: bodies made of a few curves, varied by seed. Nobody's anatomy, and no patient's data."""

import math
import zlib
from typing import Any, Literal

import cv2
import numpy as np

from sapggan_lib.base.errors import SapgganError, near_match
from sapggan_lib.phantoms.chest import FINDINGS, frontal, lateral

View = Literal["PA", "AP", "lateral"]
Box = tuple[int, int, int, int]
Depth = tuple[np.ndarray, np.ndarray, np.random.Generator]
DRAWN = 320   # height at which anatomy is drawn, in pixels


def phantom_image(
    seed: int = 0, size: int = 512, view: View = "PA", aspect: float = 1.0, shot: int = 0, finding: str = ""
) -> np.ndarray:
    """A synthetic radiograph, uint16 `[size, round(size * aspect)]`, 0 black to 65535 white, bone light.

    The same seed gives one body; its views share what a body has (width, heart, ribs), `shot` tells its exposures
    apart. Patient left is at the image's right, as radiographs are hung. `finding`, one of `FINDINGS`, is added to
    that body where a frontal view shows it; all else stays as it is without. Raises `SapgganError` for another.
    """
    depth, _, rng = _depth(seed, size, view, aspect, shot, finding)
    if size > len(depth):
        depth = cv2.resize(depth, (round(size * aspect), size), interpolation=cv2.INTER_CUBIC)
    return _expose(depth, rng)


def finding_boxes(seed: int, size: int, view: View, aspect: float, shot: int, finding: str) -> list[Box]:
    """Where `phantom_image` of the same arguments shows the finding: x, y, width and height in pixels, left to right.

    Around each opacity, the fluid, the whole enlarged heart; empty in a lateral view and without a finding.
    """
    _, region, _ = _depth(seed, size, view, aspect, shot, finding)
    _, _, found, _ = cv2.connectedComponentsWithStats(region.astype(np.uint8))
    boxes = found[1:, :4] * size / len(region)                                # the first is the background
    return sorted((int(x), int(y), math.ceil(wide), math.ceil(high)) for x, y, wide, high in boxes)


def _depth(seed: int, size: int, view: View, aspect: float, shot: int, finding: str) -> Depth:
    """What the rays meet, where the finding is, both `[H, W]` as drawn; and the generator for the grain."""
    if finding not in ("", *FINDINGS):
        raise SapgganError(f'phantom: unknown finding "{finding}"; {near_match(finding, FINDINGS)}')
    rng = np.random.default_rng([seed, 1 + zlib.crc32(view.encode()), size, shot])
    # Anatomy has soft edges: drawn small and enlarged, it is many times faster. Grain comes at full size.
    height = min(size, DRAWN)
    width = round(height * aspect)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    body = _body(np.random.default_rng([seed, 0]))
    scale = 2.0 / min(height, width) / body["size"]
    x, y = (x - (width - 1) / 2) * scale, (y - (height - 1) / 2) * scale     # -1..1 over the shorter side
    tilt, right, down = rng.normal(0, 0.02), rng.normal(0, 0.035), rng.normal(0, 0.05)
    cosine, sine = math.cos(tilt), math.sin(tilt)
    x, y = x * cosine - y * sine + right, x * sine + y * cosine + down
    if view == "lateral":
        return lateral(x, y, body, rng), np.zeros(x.shape, bool), rng
    chance = np.random.default_rng([seed, 2])
    return *frontal(x, y, body, view == "AP", rng, finding, chance), rng


def _body(rng: np.random.Generator) -> dict[str, float]:
    """A body's measures, in units of half the image's shorter side."""
    normal, uniform = rng.normal, rng.uniform
    return {
        "size": normal(1.06, 0.09),               # of the whole body in the image
        "cage": normal(0.70, 0.035),              # half width of the rib cage at its widest
        "apex": normal(-0.72, 0.03),              # y of the lungs' tops
        "shoulder": normal(-0.05, 0.08),          # how far below them the shoulders are
        "neck": uniform(0.15, 0.35),              # how far its curve runs out onto the shoulders
        "arm": uniform(-0.35, 0.25),              # -y where the arms leave the torso
        "fat": uniform(0.05, 0.22), "belly": uniform(0.6, 1.3),    # outside the ribs; how much thicker below them
        "base": normal(0.40, 0.08), "lower": normal(0.05, 0.03),   # y of the right dome; how much lower the left is
        "angle": normal(0.30, 0.05),              # depth of the costophrenic angles
        "heart": normal(0.30, 0.035), "aorta": uniform(0.05, 0.11),
        "bone": uniform(0.6, 1.25), "slope": normal(0.10, 0.035),  # their density; of the posterior ribs
        "breast": max(normal(0.0, 0.14), 0.0), "breast_y": normal(0.36, 0.06),
        "gas": max(uniform(-0.8, 1.2), 0.0), "gas_x": uniform(0.35, 0.65),    # in the stomach
        "vessels": float(rng.integers(1 << 31)),
    }  # fmt: skip


def _expose(depth: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """What the detector and its processing make of it: uint16 `[H, W]`."""
    soft: Any = cv2.GaussianBlur(depth.astype(np.float32), (0, 0), max(depth.shape[0] / 900, 0.5))
    coarse = rng.standard_normal((24, 24), np.float32)
    soft += 0.012 * cv2.resize(coarse, depth.shape[::-1], interpolation=cv2.INTER_CUBIC) * (soft > 0.1)
    grain = cv2.GaussianBlur(rng.standard_normal(depth.shape, np.float32), (0, 0), 0.7)
    soft += grain * (0.010 + 0.018 * np.clip(soft, 0, 1))
    # Film's shoulder: dense parts crowd below white instead of clipping.
    light = 1 - np.exp(-np.clip(soft - 0.03, 0, None) * rng.uniform(0.75, 1.6))
    light = np.clip(light, 0, 1) ** rng.uniform(0.8, 1.35)
    return np.rint(light * 65535).astype(np.uint16)
