import cv2
import numpy as np
import pytest

from sapggan_lib.preprocessing.steps import apply_clahe, random_crop, resize, to_uint8, tone_curves

LIMITS = (1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 4.0, 6.0, 8.0, 16.0)
DEPTHS = {8: 1, 12: 16, 16: 257}          # levels of a deeper image for each of 8 bits


@pytest.fixture(scope="module")
def radiograph():
    """What has contrast at each scale as one has, and crowded gray levels: 0 to 1, float64 `[2048, 2048]`."""
    noise = np.random.default_rng(0)
    scales = [cv2.resize(noise.normal(size=(side, side)), (2048, 2048), interpolation=cv2.INTER_CUBIC)
              for side in (4, 16, 64, 256)]
    return 1 / (1 + np.exp(-sum(scale / 2**step for step, scale in enumerate(scales))))


def at_depth(image, bits):
    """0 to 1 to uint8, or to uint16 over its full range."""
    levels = np.round(image * (2**bits - 1))
    return levels.astype(np.uint8) if bits == 8 else np.round(levels * (65535 / (2**bits - 1))).astype(np.uint16)


def added_contrast(image, limit, side=256, tiles=8):
    """How many times the mean slope of `image`, seen at `side` pixels, CLAHE makes it."""
    def slope(pixels):
        seen = cv2.resize(pixels / np.iinfo(pixels.dtype).max, (side, side), interpolation=cv2.INTER_AREA)
        return np.hypot(*np.gradient(seen)).mean()

    return slope(apply_clahe(image, limit, tiles)) / slope(image)


def plain_curve(tile, limit):
    """A tile's curve as a sentence would say it: raise all bars by so much that, cut at the limit, their mean is 1."""
    bars = np.bincount(tile.ravel(), minlength=256) / tile.size * 256
    low, high = 0.0, float(limit)
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if np.minimum(bars + middle, limit).mean() < 1 else (low, middle)
    bars = np.minimum(np.minimum(bars, limit) + low, limit)
    return np.clip([bars[:level].sum() + bars[level] / 2 - 0.5 for level in range(256)], 0, 255)


def plain_clahe(image, limit, tiles):
    """CLAHE pixel by pixel: between the four nearest tiles' centres and between two of 256 levels."""
    unit = np.iinfo(image.dtype).max / 255
    curves = [[plain_curve(to_uint8(part), limit) for part in np.array_split(band, tiles, axis=1)]
              for band in np.array_split(image, tiles)]
    result = np.empty_like(image)
    for (row, column), value in np.ndenumerate(image):
        y, x = (np.clip((at + 0.5) / length * tiles - 0.5, 0, tiles - 1)
                for at, length in zip((row, column), image.shape, strict=True))
        new = sum((1 - abs(y - i)) * (1 - abs(x - j)) * np.interp(value / unit, np.arange(256), curves[i][j])
                  for i in range(tiles) for j in range(tiles) if abs(y - i) < 1 and abs(x - j) < 1)
        result[row, column] = round(new * unit)
    return result


@pytest.mark.parametrize("bits", [8, 16])
def test_clahe_is_what_a_plain_loop_makes(radiograph, bits):
    image = at_depth(cv2.resize(radiograph, (40, 50), interpolation=cv2.INTER_AREA), bits)
    for limit, tiles in ((1.3, 2), (3.0, 4)):
        far = np.abs(apply_clahe(image, limit, tiles).astype(int) - plain_clahe(image, limit, tiles))
        assert far.max() <= (1 if bits == 8 else 257 * limit / 32)      # OpenCV's remap knows 32 places between levels


def test_a_curve_by_hand():
    shares = np.zeros((1, 256))
    shares[0, 100] = 1
    bars = np.full(256, (256 - 4) / 255)                                # 252 of 256 pixels are shared out
    bars[100] = 4
    np.testing.assert_allclose(np.diff(tone_curves(shares, 4.0)[0, 1:-1]), (bars[1:-2] + bars[2:-1]) / 2, atol=1e-3)
    uniform = tone_curves(np.full((1, 256), 1 / 256), 8.0)
    np.testing.assert_allclose(uniform, np.arange(256)[None], atol=1e-3)


def test_no_curve_is_steeper_than_the_limit_or_falls(radiograph):
    tile = at_depth(radiograph, 8)[700:956, 500:756]
    shares = np.bincount(tile.ravel(), minlength=256)[None] / tile.size
    for limit in LIMITS:
        slopes = np.diff(tone_curves(shares, limit)[0])
        assert slopes.min() >= 0 and slopes.max() <= limit + 1e-9
        assert slopes.max() > 0.9 * limit or limit > 4                  # and the limit is used


@pytest.mark.parametrize("bits", DEPTHS)
def test_limit_1_changes_nothing_nor_does_a_hair_more(radiograph, bits):
    image = at_depth(radiograph[::4, ::4], bits)
    assert apply_clahe(image, 0.0, 8) is apply_clahe(image, 1.0, 8) is image
    assert np.abs(apply_clahe(image, 1 + 1e-9, 8).astype(int) - image).max() <= (0 if bits == 8 else 1)


@pytest.mark.parametrize("limit", [1.5, 2.0, 4.0, 8.0])
def test_a_limit_means_the_same_at_every_size(radiograph, limit):
    sides = (256, 512, 1024, 2048)
    images = [at_depth(cv2.resize(radiograph, (side, side), interpolation=cv2.INTER_AREA), 16) for side in sides]
    contrast = [added_contrast(image, limit) for image in images]
    assert min(contrast) > 1.05 and max(contrast) < 1.05 * min(contrast)


@pytest.mark.parametrize("limit", [1.5, 2.0, 8.0])
def test_a_limit_means_the_same_at_every_depth(radiograph, limit):
    eight, twelve, sixteen = (apply_clahe(at_depth(radiograph[::4, ::4], bits), limit, 8) for bits in DEPTHS)
    assert np.abs(twelve.astype(int) - sixteen).max() <= 257 * limit    # one of 256 levels, made steeper
    assert np.abs(eight.astype(int) * 257 - sixteen).max() <= 257 * (limit + 1)
    assert abs((eight * 257.0 - sixteen).mean()) < 257 * 0.25
    assert len(np.unique(sixteen)) > 20 * len(np.unique(eight)) / limit  # not 8 bits in between


@pytest.mark.parametrize("side", [64, 256, 512, 2048])
def test_a_higher_limit_adds_more_contrast_and_no_two_are_alike(radiograph, side):
    image = at_depth(cv2.resize(radiograph, (side, side), interpolation=cv2.INTER_AREA), 16)
    contrast = [added_contrast(image, limit, min(side, 256)) for limit in LIMITS]
    assert contrast[0] == pytest.approx(1, abs=1e-3) and (np.diff(contrast) > 0.001).all()


def test_a_limit_bounds_the_contrast_for_any_number_of_tiles(radiograph):
    image = at_depth(radiograph[::4, ::4], 16)
    contrast = [added_contrast(image, 1.5, 512, tiles) for tiles in (1, 2, 4, 8, 16)]
    assert min(contrast) > 1 and max(contrast) < 1.5


def test_clahe_takes_sizes_that_tiles_do_not_divide_and_colour():
    noise = np.random.default_rng(0)
    for shape in ((16, 16), (17, 131), (131, 17), (65, 64)):
        for tiles in (1, 3, 8, 64):
            image = noise.integers(0, 65536, shape, dtype=np.uint16)
            assert apply_clahe(image, 1 + 1e-9, tiles) == pytest.approx(image, abs=1)
    gray = np.repeat(noise.integers(0, 200, (64, 64, 1), np.uint8), 3, axis=2)
    shown = apply_clahe(gray, 3.0, 8)
    assert np.abs(shown[..., 0].astype(int) - apply_clahe(gray[..., 0], 3.0, 8)).max() <= 1


def test_steps_do_what_their_names_say():
    image = np.arange(200 * 100, dtype=np.uint16).reshape(200, 100)
    crop = random_crop(image, 0.05, np.random.default_rng(0))
    assert crop.shape == (190, 95) and np.shares_memory(crop, image)
    assert resize(crop, 32).shape == (32, 32) and resize(crop, 400).shape == (400, 400)
    np.testing.assert_allclose(resize(np.full((64, 64), 1000, np.uint16), 16), 1000)


def test_to_uint8_rounds_every_level():
    levels = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    assert (to_uint8(levels) == (levels.astype(int) * 255 + 32767) // 65535).all()
