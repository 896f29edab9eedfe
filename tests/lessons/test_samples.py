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


def test_luck_is_the_hypergeometric_chance_and_not_a_coins():
    assert lesson.luck(12, 10) == pytest.approx(37 / 924)  # 5 or 6 of the 6 generated ones among 6 calls
    assert lesson.luck(12, 12) == pytest.approx(1 / 924) and lesson.luck(12, 6) == 1
    assert lesson.luck(12, 9) == pytest.approx(96 / 792)   # 5 calls: 9 right with 4 hits, which 6 calls cannot have
    assert lesson.luck(2, 2) == 0.5


def test_luck_is_what_the_luckiest_blind_players_get():
    random, truth = np.random.default_rng(0), np.arange(12) < 6
    right = [(random.permutation(12) < 6) == truth for _ in range(20_000)]
    assert np.mean(np.sum(right, 1) >= 10) == pytest.approx(lesson.luck(12, 10), abs=0.005)


def test_the_closest_pair_is_the_one_that_was_planted():
    planted = images()
    planted[17] = planted[5].clip(3) - 3
    first, second, levels = lesson.closest_pair(planted)
    assert (first, second) == (5, 17) and 2.9 < levels <= 3


def test_a_planted_collapse_is_said_first_and_copies_are_found():
    random = np.random.default_rng(0)
    real = random.integers(0, 255, (20, 16, 16), np.uint8)
    one = np.repeat(real[:1], 20, 0) + random.integers(0, 2, (20, 16, 16), np.uint8)
    collapsed, copies = lesson.variety_findings(lesson.variety(one, real))
    assert collapsed.startswith("The samples are **collapsed**") and "nearly one image" in copies
    two = np.concatenate([one[:10], 255 - one[:10]])  # wide apart, and yet two images
    assert "nearly one image" in lesson.variety_findings(lesson.variety(two, real))[1]
    healthy, apart = lesson.variety_findings(lesson.variety(images(20)[::-1], real))
    assert healthy.startswith("The samples are as varied as") and "nearly one image" not in apart


def test_samples_alike_beyond_the_error_are_less_varied():
    real = {"spread": 40.0, "closest": 10.0, "likeness": 0.4, "error": 0.02}
    said = lesson.variety_findings({"real": real, "generated": real | {"likeness": 0.5}})[0]
    assert said.startswith("The samples are less varied than") and "0.50 ± 0.04 (MS-SSIM)" in said
    assert "as varied as" in lesson.variety_findings({"real": real, "generated": real | {"likeness": 0.44}})[0]


def test_variety_compares_as_many_images_of_one_size():
    measured = lesson.variety(images(12, side=32), images(8, side=16))
    assert measured["generated"].keys() == measured["real"].keys() == {"spread", "closest", "likeness", "error"}
    assert measured["generated"]["spread"] < measured["real"]["spread"]  # shrunk noise


@pytest.mark.parametrize(
    ("walk", "says"),
    [(np.linspace(0, 200, 5), "are gradual"), ([0, 2, 198, 199, 200], "jump"), ([0, 1, 2, 3, 4], "stand nearly still")],
)
def test_walks_are_gradual_jump_or_stand_still(walk, says):
    side = {"spread": 40.0, "closest": 10.0, "likeness": 0.4, "error": 0.02}
    frames = np.ones((5, 8, 8), np.uint8) * np.array(walk, np.uint8)[:, None, None]
    *_, scales, walks = lesson.findings({"real": side, "generated": side}, {4: 12.0, 8: 3.0}, [frames])
    assert walks.startswith(f"The walks {says}: ") and scales.startswith("The scales do not agree: the worst, of 4 pix")
    *_, scales, _ = lesson.findings({"real": side, "generated": side}, {4: 8.0, 8: 3.0}, [frames])
    assert scales.startswith("The scales agree")
    assert len(lesson.findings({"real": side, "generated": side}, {}, [frames])) == 3
