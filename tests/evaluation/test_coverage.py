import numpy as np
import pytest

from sapggan_lib.base.errors import SapgganError
from sapggan_lib.evaluation import nearest_neighbours


def draw(n, seed):
    return np.random.default_rng(seed).normal(size=(n, 6))


def test_copies_of_training_images_are_found_and_named():
    train, held_out = draw(200, 0), draw(50, 1)
    copies = train[:40] + 1e-3
    found = nearest_neighbours(train, held_out, copies)
    assert found.authenticity == 0 and found.closer_to_train > 0.55
    assert np.array_equal(found.nearest_train, np.arange(40))
    assert found.to_train.max() < 0.01 < found.to_held_out.min()


def test_new_images_look_like_held_out_ones():
    found = nearest_neighbours(draw(200, 0), draw(100, 1), draw(100, 2))
    assert abs(found.authenticity - found.held_out_authenticity) < 0.15
    assert 0.35 < found.closer_to_train < 0.65


def test_neighbours_of_nothing_are_refused():
    with pytest.raises(SapgganError, match="one held-out"):
        nearest_neighbours(draw(9, 0), draw(0, 1), draw(9, 2))
