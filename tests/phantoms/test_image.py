import numpy as np
import pytest

from sapggan_lib.base.errors import SapgganError
from sapggan_lib.phantoms.chest import FINDINGS
from sapggan_lib.phantoms.image import _body, finding_boxes, phantom_image

SEEDS = range(8)


def drawn(seed, size=128, view="PA", finding=""):
    return phantom_image(seed, size, view, 1.0, 0, finding).astype(float) / 65535


@pytest.fixture(scope="module")
def mean():
    """A mean chest, `[128, 128]`: what all bodies share."""
    return np.mean([drawn(seed) for seed in range(24)], axis=0)


@pytest.mark.parametrize("view", ["PA", "AP", "lateral"])
def test_a_phantom_has_dark_lungs_light_bone_and_black_air(view):
    for seed in SEEDS:
        image = drawn(seed, view=view)
        assert image.min() == 0 and 0.5 < image.max() <= 1
        if view != "lateral":
            lungs = np.median(np.hstack([image[45:65, 33:48], image[45:65, 85:98]]))
            assert np.median(image[45:65, 58:70]) > lungs + 0.15


def test_bodies_differ_and_the_heart_is_on_the_images_right(mean):
    assert np.std([drawn(seed) for seed in SEEDS], axis=0).mean() > 0.05
    assert mean[70:80, 78:84].mean() > mean[70:80, 44:50].mean() + 0.1


def test_the_belly_is_lighter_than_the_spine(mean):
    assert mean[115:122, 60:68].mean() > mean[30:40, 60:68].mean() + 0.1


def test_the_trachea_is_a_dark_line_between_lighter_ones():
    for seed in SEEDS:
        row = drawn(seed)[16:30].mean(axis=0)
        dips = [min(row[at - 6:at].max(), row[at + 1:at + 7].max()) - row[at] for at in range(56, 73)]
        assert max(dips) > 0.04


def test_the_lungs_reach_lowest_at_the_wall(mean):
    """A costophrenic angle is sharp: at one height below the dome it is dark at the wall and light in the middle."""
    for wall, middle in ((slice(20, 24), slice(40, 48)), (slice(104, 108), slice(80, 88))):
        assert mean[86:90, wall].mean() < mean[96:100, middle].mean() - 0.1


@pytest.mark.parametrize("view", ["PA", "AP"])
@pytest.mark.parametrize("finding", FINDINGS)
def test_a_finding_changes_the_same_body_inside_its_boxes_alone(view, finding):
    for seed in SEEDS:
        change = drawn(seed, view=view, finding=finding) - drawn(seed, view=view)
        boxes, inside = finding_boxes(seed, 128, view, 1.0, 0, finding), np.zeros((128, 128), bool)
        for x, y, width, height in boxes:
            inside[y:y + height, x:x + width] = True
        assert 1 <= len(boxes) <= 2 and 0.005 < inside.mean() < 0.35
        assert change[inside].max() > 0.05
        outside, share = (0.2, 0.8) if finding == "cardiomegaly" else (0.06, 0.97)    # its upper border moves too
        assert np.abs(change[~inside]).max() < outside
        assert np.abs(change[inside]).sum() > share * np.abs(change).sum()


def test_boxes_scale_with_the_image_and_are_those_of_every_exposure():
    (x, y, width, height), = finding_boxes(3, 320, "PA", 1.0, 0, "cardiomegaly")
    assert width > 0.25 * 320 and x < 160 < x + width
    large, = finding_boxes(3, 640, "PA", 1.0, 0, "cardiomegaly")
    np.testing.assert_allclose(large, [2 * x, 2 * y, 2 * width, 2 * height], atol=90)    # another exposure: moved
    other = finding_boxes(3, 320, "PA", 1.0, 1, "cardiomegaly")[0]
    assert other != (x, y, width, height)
    np.testing.assert_allclose(other, (x, y, width, height), atol=50)


def test_an_enlarged_heart_is_wider_than_half_the_chest():
    for seed in SEEDS:
        body = _body(np.random.default_rng([seed, 0]))
        _, _, width, _ = finding_boxes(seed, 128, "PA", 1.0, 0, "cardiomegaly")[0]
        assert 0.5 < width / (2 * body["cage"] * 64 * body["size"]) < 0.8        # the cardiothoracic ratio


def test_a_lateral_view_shows_no_finding():
    for finding in FINDINGS:
        np.testing.assert_array_equal(drawn(0, 64, "lateral", finding), drawn(0, 64, "lateral"))
        assert finding_boxes(0, 64, "lateral", 1.0, 0, finding) == []
    assert finding_boxes(0, 64, "PA", 1.0, 0, "") == []


def test_findings_are_on_either_side():
    left = [finding_boxes(seed, 64, "PA", 1.0, 0, "effusion")[0][0] > 32 for seed in range(16)]
    assert 3 <= sum(left) <= 13


def test_an_unknown_finding_is_named():
    with pytest.raises(SapgganError, match='did you mean "effusion"'):
        phantom_image(0, 64, finding="efusion")
