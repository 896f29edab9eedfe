import numpy as np
import pytest
import torch
from torch import nn

from sapggan_lib.base.errors import SapgganError
from sapggan_lib.evaluation import Features, FrechetCallback, build_extractor, extract_features
from sapggan_lib.models import Generator, ModelConfig, load_generator
from sapggan_lib.training import TrainConfig, train


class Toy(Generator):
    """z [N, 4] to flat images [N, 1, 16, 16]."""

    latent, resolution, config = 4, 16, {"name": "toy"}

    def __init__(self, level):
        super().__init__()
        self.level = nn.Parameter(torch.tensor(level))

    def forward(self, z):
        return [(self.level + 0.2 * z.mean(1)).view(-1, 1, 1, 1).expand(-1, 1, 16, 16)]


def callback(images, n=8):
    extractor = build_extractor("efficientnet-lite0", device="cpu")
    return FrechetCallback(extract_features(images, extractor), extractor, n=n)


def test_the_curve_falls_as_the_generator_nears_the_data_and_random_states_stay():
    score = callback(np.random.default_rng(0).integers(100, 156, (12, 1, 1), np.uint8).repeat(16, 1).repeat(16, 2))
    np.random.seed(3)  # noqa: NPY002  the global states must not move
    torch.manual_seed(3)
    expected = np.random.rand(), torch.rand(2).tolist()  # noqa: NPY002
    np.random.seed(3)  # noqa: NPY002
    torch.manual_seed(3)
    far, near = score(1.0, Toy(0.9)), score(2.0, Toy(0.0))
    assert (np.random.rand(), torch.rand(2).tolist()) == expected  # noqa: NPY002
    assert far["fd"] > near["fd"] and far["score_images"] == 8
    assert {k: far[k] for k in ("fd", "kid")} == {k: score(1.0, Toy(0.9))[k] for k in ("fd", "kid")}


def test_real_features_of_another_extractor_are_refused(radiographs):
    extractor = build_extractor("efficientnet-lite0", device="cpu")
    real = extract_features(radiographs, extractor)
    with pytest.raises(SapgganError, match='differ in "weights"'):
        FrechetCallback(Features(real.array, real.provenance | {"weights": "00"}), extractor)


def test_training_with_a_curve_ends_in_the_same_weights(tmp_path, radiographs):
    images = radiographs[:, ::3, ::3].copy()
    config = TrainConfig(model=ModelConfig(resolution=16, latent=8, widths=(8, 8, 8)), kimg=0.016, batch=8,
                         snapshot_kimg=(0.008,))  # fmt: skip
    weights = []
    for name, on_snapshot in (("with", callback(images)), ("without", None)):
        train(images, tmp_path / name, config, on_snapshot=on_snapshot)
        weights.append(load_generator(tmp_path / name).state_dict())
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[1])
    assert '"fd"' in (tmp_path / "with" / "log.jsonl").read_text()
