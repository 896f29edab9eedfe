import errno
from pathlib import Path

import numpy as np
import pytest

from sapggan_lib.base.errors import SapgganError
from sapggan_lib.base.images import read_image, write_png


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 3)])
def test_a_png_comes_back_as_it_was_written(tmp_path, shape):
    image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    write_png(tmp_path / "new" / "a.png", image)
    with (tmp_path / "new" / "a.png").open("rb") as stream:
        np.testing.assert_array_equal(read_image(stream), image)


def test_a_full_disk_leaves_no_png(tmp_path, monkeypatch):
    write = Path.write_bytes

    def full(path, data):
        write(path, data[: len(data) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(SapgganError, match=r"a\.png: no space left"):
        write_png(tmp_path / "a.png", np.zeros((5, 7), np.uint8))
    assert not list(tmp_path.iterdir())
