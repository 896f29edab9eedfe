"""Learning to find what is drawn into normal images."""

import cv2
import numpy as np
import torch

from sapggan_lib.uses.augmentation import Cases, fit
from sapggan_lib.uses.detector import Detector, gray
from sapggan_lib.uses.places import feature_maps


class DrawnOpacities:
    """Logistic regression that tells normal images from the same with a soft opacity drawn in, by pooled features.

    No abnormal image is needed, as in CutPaste (Li 2021, arXiv 2104.04015); what is drawn decides what is found.
    """

    def fit(self, images: np.ndarray) -> Detector:
        random = np.random.default_rng(0)
        drawn = np.stack([draw_opacity(image, random) for image in gray(images)])
        model = fit(Cases(pooled(images), pooled(drawn)), strength=1e-4)  # small, as features outnumber images
        return Detector(lambda images: (model.decision_function(pooled(images)), None))


def pooled(images: np.ndarray) -> np.ndarray:
    """Mean, mean of the highest twentieth, and spread of each feature over the image: `[N, 3 D]`."""
    maps = torch.cat([*feature_maps(images, (10,), 14, smooth=False)])
    highest = maps.topk(max(1, maps.shape[2] // 20), dim=2).values.mean(2)
    return torch.cat([maps.mean(2), highest, maps.std(2)], 1).numpy()


def draw_opacity(image: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """A soft, mottled opacity drawn beside the middle of a gray image uint8 `[H, W]`: lighter, at most as bone is."""
    height, width = image.shape
    y, x = np.mgrid[0:height, 0:width] / np.array([height, width])[:, None, None]
    centre = 0.5 + random.choice([-1, 1]) * random.uniform(0.12, 0.30), random.uniform(0.25, 0.72)
    mask = np.zeros(image.shape)
    for _ in range(random.integers(2, 6)):
        (dx, dy), (rx, ry) = random.normal(0, 0.05, 2), random.uniform(0.03, 0.11, 2)
        blob = np.exp(-(((x - centre[0] - dx) / rx) ** 2) - ((y - centre[1] - dy) / ry) ** 2)
        mask = np.maximum(mask, blob)
    texture = cv2.resize(random.standard_normal((24, 24)), (width, height), interpolation=cv2.INTER_CUBIC)
    inner = image[height // 5 : 4 * height // 5, width // 5 : 4 * width // 5]
    level = np.percentile(inner, random.uniform(70, 95))
    added = random.uniform(0.25, 0.8) * mask * np.clip(1 + 0.35 * texture, 0, 2) * np.maximum(level - image, 0)
    return (image + added).clip(0, 255).astype(np.uint8)
