import numpy as np

from sapggan_lib.preprocessing.steps import apply_clahe, random_crop, resize, to_uint8


def test_clahe_limits_contrast_alike_at_8_and_12_bits():
    rng = np.random.default_rng(0)
    smooth = np.clip(rng.normal(0.5, 0.02, (1024, 1024)) + np.linspace(-0.3, 0.3, 1024), 0, 1)
    eight = apply_clahe((smooth * 255).round().astype(np.uint8)) / 255
    twelve = apply_clahe((smooth * 4095).round().astype(np.uint16) << 4) / 65535
    sixteen = apply_clahe((smooth * 65535).round().astype(np.uint16)) / 65535
    assert np.abs(eight - twelve).mean() < 0.02 and np.abs(twelve - sixteen).mean() < 0.02
    assert len(np.unique(twelve)) > 1000                        # not 8 bits in between


def test_steps_do_what_their_names_say():
    image = np.arange(200 * 100, dtype=np.uint16).reshape(200, 100)
    crop = random_crop(image, 0.05, np.random.default_rng(0))
    assert crop.shape == (190, 95) and np.shares_memory(crop, image)
    assert (apply_clahe(image, 0.0) == image).all()
    assert resize(crop, 32).shape == (32, 32) and resize(crop, 400).shape == (400, 400)
    assert to_uint8(np.array([[0, 128, 129, 65535]], np.uint16)).tolist() == [[0, 0, 1, 255]]
    np.testing.assert_allclose(resize(np.full((64, 64), 1000, np.uint16), 16), 1000)
