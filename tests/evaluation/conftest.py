from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sapggan_lib.evaluation import networks


class StandIn(nn.Module):
    """As clean-fid uses its Inception: `.layers` maps [N, 3, 299, 299] in [-1, 1] to 2,048 features."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.AvgPool2d(13), nn.Flatten(), nn.Linear(3 * 23 * 23, 2048), nn.Tanh())

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


@pytest.fixture(scope="session")
def inception_file(tmp_path_factory) -> Path:
    """A small TorchScript file under the name of clean-fid's Inception, made like it."""
    path = tmp_path_factory.mktemp("weights") / "inception-2015-12-05.pt"
    with torch.random.fork_rng():
        torch.jit.script(StandIn()).save(str(path))
    return path


@pytest.fixture
def published(inception_file, monkeypatch) -> Path:
    """The same file, taken for the published one."""
    monkeypatch.setattr(networks, "INCEPTION_SHA256", networks.sha256_file(inception_file))
    return inception_file


@pytest.fixture(scope="session")
def radiographs() -> np.ndarray:
    """Smooth random uint8 images [24, 48, 48]."""
    import cv2

    noise = np.random.default_rng(0).normal(size=(24, 48, 48))
    smooth = np.stack([cv2.GaussianBlur(image, (0, 0), 4) for image in noise])
    return (127 + 400 * smooth).clip(0, 255).astype(np.uint8)
