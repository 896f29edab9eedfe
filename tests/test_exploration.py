import numpy as np
import pytest
import torch

from sapggan_lib import exploration
from sapggan_lib.config import PreprocessConfig
from sapggan_lib.models import build_generator, generate
from sapggan_lib.phantom import write_phantoms


def images(n=40, side=16):
    return np.random.default_rng(0).integers(0, 255, (n, side, side), np.uint8)


@pytest.fixture
def generator():
    return build_generator("sapggan", resolution=16, widths=(8, 8, 8), latent=8).eval()


def test_a_walk_begins_and_ends_at_samples_and_a_pyramid_ends_at_one(generator):
    walk = exploration.walk(generator, 3, 4, [0, 0.5, 1])
    assert [scale.shape for scale in walk] == [(3, 4, 4), (3, 8, 8), (3, 16, 16)]
    ends = np.concatenate([generate(generator, 1, seed=seed) for seed in (3, 4)])
    assert np.abs(walk[-1][[0, 2]].astype(int) - ends).max() <= 1  # normalised to the sphere: rounding alone
    assert (walk[-1][1] != walk[-1][0]).any()
    scales = exploration.sample_pyramid(generator, seed=3)
    assert [scale.shape for scale in scales] == [(4, 4), (8, 8), (16, 16)]
    assert np.abs(scales[-1].astype(int) - ends[0]).max() <= 1


def test_a_walk_from_a_seed_to_itself_stays_there(generator):
    first, half = exploration.walk(generator, 3, 3, [0, 0.5])[-1].astype(int)
    assert np.abs(first - half).max() <= 1


def test_scales_disagree_by_their_mean_difference_in_gray_levels():
    class TwoScales(torch.nn.Module):
        latent = 2

        def forward(self, z):
            return [torch.full((len(z), 1, 4, 4), 0.5), torch.zeros(len(z), 1, 8, 8)]

    assert exploration.scale_disagreement(TwoScales(), n=2) == {4: 63.75}


def test_truncation_goes_from_one_image_for_all_to_the_plain_samples():
    stylegan = build_generator("stylegan", resolution=16, widths=(8, 8, 8), latent=8).eval()
    grid = exploration.truncated(stylegan, [0.0, 0.5, 1.0], n=2)
    assert grid.shape == (6, 16, 16)
    np.testing.assert_array_equal(grid[0], grid[3])
    np.testing.assert_array_equal(grid[[2, 5]], generate(stylegan, 2))


def test_the_closest_pair_is_found():
    stack = images(5)
    stack[3] = stack[1] // 2 * 2
    assert exploration.closest_pair(stack)[:2] == (1, 3)


def test_a_quiz_mixes_as_many_real_images_as_generated_ones_of_one_size():
    real, fake = np.full((9, 8, 8), 200, np.uint8), np.full((5, 16, 16), 50, np.uint8)
    shown, answers = exploration.quiz(real, fake, n=8)
    assert answers.count(True) == answers.count(False) == 4 and answers != sorted(answers)
    assert all(image.shape == (16, 16) for image in shown)
    assert [image.max() == 200 for image in shown] == answers
    assert exploration.quiz(real, fake, n=8)[1] == answers
    assert len(exploration.quiz(real, fake[:2], n=8)[0]) == 4


@pytest.fixture(scope="module")
def radiograph(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scans")
    write_phantoms(folder, n=1, size=64, workers=1)
    return next(path for path in folder.rglob("*") if path.is_file() and path.name[0] != ".")


def test_pixels_are_shrunk_to_the_side_asked_for(radiograph):
    whole, small = exploration.read_pixels(radiograph), exploration.read_pixels(radiograph, side=32)
    assert max(whole.shape) >= 64 and max(small.shape) == 32 and small.dtype == whole.dtype


def test_each_step_of_preprocessing_shows_its_setting(radiograph):
    pixels = exploration.read_pixels(radiograph)
    steps = exploration.preprocessing_steps(pixels, PreprocessConfig(size=32, crop=0.25, clip_limit=0))
    assert list(steps) == ["as a viewer shows it", "CLAHE", "random crop", "resized"]
    np.testing.assert_array_equal(steps["CLAHE"], steps["as a viewer shows it"])
    assert steps["random crop"].shape[0] == round(steps["CLAHE"].shape[0] * 0.75)
    assert steps["resized"].shape == (32, 32) and all(image.dtype == np.uint8 for image in steps.values())


def test_a_window_makes_what_is_outside_it_black_or_white(radiograph):
    pixels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    windowed = exploration.preprocessing_steps(pixels, PreprocessConfig(size=16), (25, 75))["window"].ravel()
    assert (windowed[:64] == 0).all() and (windowed[192:] == 255).all()
    assert (np.diff(windowed[64:192].astype(int)) > 0).all()
    empty = exploration.preprocessing_steps(pixels, PreprocessConfig(size=16), (50, 50))["window"]
    assert set(np.unique(empty)) <= {0, 127, 255}


def test_both_formats_are_timed_at_every_size():
    table = exploration.reading_growth(images(), [0.01, 0.1], n=4)
    assert table["format"].tolist() == ["npy", "pickle"] * 2 and (table["seconds"] > 0).all()
    assert table["images"].tolist() == [39, 39, 391, 391]
