import numpy as np
import pytest
import torch

from sapggan_lib.lessons import samples as lesson
from sapggan_lib.models import build_generator, generate


def images(n=40, side=16):
    return np.random.default_rng(0).integers(0, 255, (n, side, side), np.uint8)


@pytest.fixture
def generator():
    return build_generator("sapggan", resolution=16, widths=(8, 8, 8), latent=8).eval()


def test_a_walk_begins_and_ends_at_samples_and_a_pyramid_ends_at_one(generator):
    walk = lesson.walk(generator, 3, 4, [0, 0.5, 1])
    assert [scale.shape for scale in walk] == [(3, 4, 4), (3, 8, 8), (3, 16, 16)]
    ends = np.concatenate([generate(generator, 1, seed=seed) for seed in (3, 4)])
    assert np.abs(walk[-1][[0, 2]].astype(int) - ends).max() <= 1  # normalised to the sphere: rounding alone
    assert (walk[-1][1] != walk[-1][0]).any()
    scales = lesson.sample_pyramid(generator, seed=3)
    assert [scale.shape for scale in scales] == [(4, 4), (8, 8), (16, 16)]
    assert np.abs(scales[-1].astype(int) - ends[0]).max() <= 1


def test_a_walk_from_a_seed_to_itself_stays_there(generator):
    first, half = lesson.walk(generator, 3, 3, [0, 0.5])[-1].astype(int)
    assert np.abs(first - half).max() <= 1


def test_scales_disagree_by_their_mean_difference_in_gray_levels():
    class TwoScales(torch.nn.Module):
        latent = 2

        def forward(self, z):
            return [torch.full((len(z), 1, 4, 4), 0.5), torch.zeros(len(z), 1, 8, 8)]

    assert lesson.scale_disagreement(TwoScales(), n=2) == {4: 63.75}


def test_a_quiz_mixes_as_many_real_images_as_generated_ones_of_one_size():
    real, fake = np.full((9, 8, 8), 200, np.uint8), np.full((5, 16, 16), 50, np.uint8)
    shown, answers = lesson.quiz(real, fake, n=8)
    assert answers.count(True) == answers.count(False) == 4 and answers != sorted(answers)
    assert all(image.shape == (16, 16) for image in shown)
    assert [image.max() == 200 for image in shown] == answers
    assert lesson.quiz(real, fake, n=8)[1] == answers
    assert len(lesson.quiz(real, fake[:2], n=8)[0]) == 4
