"""Detectors of anomalies: planted ones are found, an empty plant is not, and formulas equal plain references."""

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from sapggan_lib.base.errors import SapgganError
from sapggan_lib.models import ModelConfig
from sapggan_lib.training import TrainConfig, train
from sapggan_lib.uses import FAnoGAN, PaDiM, build_method, fanogan, feature_maps, opacities, places
from sapggan_lib.uses.anomaly import Together

RANDOM = np.random.default_rng(0)
TEMPLATE = np.kron(RANDOM.integers(60, 180, (4, 4)), np.ones((8, 8)))


def normal_images(n, seed):
    noise = np.random.default_rng(seed).normal(0, 6, (n, 32, 32))
    return (TEMPLATE + noise).clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def cases():
    """Ten normal images, then ten with white stripes in rows 8 to 16, columns 16 to 24; and which are so."""
    images, abnormal = normal_images(20, 1), np.arange(20) >= 10
    images[abnormal, 8:16:2, 16:24] = 255
    return images, abnormal


@pytest.fixture
def plain_maps(monkeypatch):
    """In place of the network's features the pixels of 8x8 fields: 64 features at 16 places."""
    def maps(images, blocks, side, **_):
        fields = images.reshape(len(images), 4, 8, 4, 8).transpose(0, 2, 4, 1, 3)
        yield torch.from_numpy(fields.reshape(len(images), 64, 16).astype(np.float32))

    monkeypatch.setattr(places, "feature_maps", maps)
    monkeypatch.setattr(opacities, "feature_maps", maps)
    return lambda images: next(maps(images, (), 4)).double().numpy()


@pytest.mark.parametrize("name", ["drawn-opacities", "pca", "nearest-image", "mean-intensity"])
def test_a_planted_anomaly_is_found(name, cases, plain_maps):
    images, abnormal = cases
    scores, _ = build_method(name).fit(normal_images(40, 0)).score(images)
    assert scores.shape == (20,) and roc_auc_score(abnormal, scores) > 0.9


@pytest.mark.parametrize("method", [
    places.PaDiM(side=4, dims=64), places.Neighbours(side=4),
    Together((places.Neighbours(side=4), opacities.DrawnOpacities())),
])  # fmt: skip
def test_methods_by_places_find_it_where_it_is(method, cases, plain_maps):
    images, abnormal = cases
    scores, maps = method.fit(normal_images(40, 0)).score(images)
    assert roc_auc_score(abnormal, scores) == 1
    assert (maps[abnormal].reshape(10, -1).argmax(1) == 1 * 4 + 2).all()


@pytest.mark.parametrize("name", ["pca", "nearest-image", "mean-intensity"])
def test_an_empty_plant_is_not_found(name):
    scores, _ = build_method(name).fit(normal_images(60, 0)).score(normal_images(400, 2))
    assert abs(roc_auc_score(np.arange(400) % 2, scores) - 0.5) < 0.06          # two standard errors


def test_padim_equals_a_plain_reference(plain_maps):
    normal, tested = normal_images(50, 0), normal_images(3, 3)
    _, maps = PaDiM(side=4, dims=64, regularisation=0.5).fit(normal).score(tested)
    for place in range(16):
        vectors, new = plain_maps(normal)[:, :, place], plain_maps(tested)[:, :, place]
        inverse = np.linalg.inv(np.cov(vectors.T) + 0.5 * np.eye(64))
        away = new - vectors.mean(0)
        np.testing.assert_allclose(maps.reshape(3, 16)[:, place], np.sqrt(np.sum(away @ inverse * away, 1)), rtol=1e-3)


def test_pca_leaves_what_a_singular_value_decomposition_leaves():
    normal, tested = normal_images(60, 0), normal_images(2, 3)
    scores, maps = build_method("pca").fit(normal).score(tested)
    flat = normal.reshape(60, -1).astype(float)
    _, _, axes = np.linalg.svd(flat - flat.mean(0), full_matrices=False)
    away = tested.reshape(2, -1) - flat.mean(0)
    left = away - away @ axes[:50].T @ axes[:50]
    np.testing.assert_allclose(maps.reshape(2, -1), left**2, rtol=0.02, atol=0.1)
    np.testing.assert_allclose(scores, (left**2).mean(1), rtol=0.01)


def test_the_nearest_image_of_an_image_that_was_learned_is_itself():
    normal = normal_images(10, 0)
    scores, maps = build_method("nearest-image").fit(normal).score(normal)
    np.testing.assert_allclose(scores, 0, atol=1e-5)
    assert maps is None


def test_together_needs_images_to_hold_out():
    with pytest.raises(SapgganError, match="give at least 20"):
        Together(()).fit(normal_images(10, 0))


def test_an_opacity_is_drawn_softly_and_only_lightens():
    image = normal_images(1, 0)[0]
    drawn = opacities.draw_opacity(image, np.random.default_rng(0))
    assert (drawn >= image).all() and (drawn > image).any() and (drawn == image).mean() > 0.3


def test_the_network_gives_its_middle_layers_at_the_asked_places():
    (maps,) = feature_maps(normal_images(2, 0), (4, 10), 14)
    assert maps.shape == (2, 40 + 112, 196) and maps.isfinite().all()


@pytest.fixture(scope="module")
def training(tmp_path_factory):
    """The folder of a training of a few steps."""
    folder = tmp_path_factory.mktemp("models") / "sapggan"
    config = TrainConfig(ModelConfig("sapggan", 16, latent=8, widths=(8, 8, 8)), kimg=0.032, batch=8, compile=False)
    train(normal_images(16, 0), folder, config, progress_fn=lambda *_: None)
    return folder


def test_the_score_of_f_anogan_is_its_formula_and_an_image_is_scored_alone(training):
    generator, discriminator = fanogan.load_networks(training)
    real = torch.rand(8, 1, 16, 16) * 2 - 1
    encoder = fanogan.Encoder(16, 1, 8)
    scores, pixels = fanogan.Residual(generator, discriminator, 0.5)(encoder, real)
    fake = generator(encoder(real))
    seen = [fanogan.features(discriminator, images) for images in (discriminator.real_views(real), fake)]
    by_hand = ((real - fake[-1]) ** 2).mean((1, 2, 3)) + 0.5 * ((seen[0] - seen[1]) ** 2).mean((1, 2, 3))
    torch.testing.assert_close(scores, by_hand)
    alone, _ = fanogan.Residual(generator, discriminator, 0.5)(encoder, real[:1])
    torch.testing.assert_close(alone, scores[:1])
    assert pixels.shape == (8, 16, 16)


def test_the_encoder_learns_and_both_networks_stay(training, cases):
    generator, discriminator = fanogan.load_networks(training)
    before = [p.clone() for p in (*generator.parameters(), *discriminator.parameters())]
    residual, real = fanogan.Residual(generator, discriminator, 1.0), torch.rand(16, 1, 16, 16) * 2 - 1
    first, last = (residual(fanogan.train_encoder(residual, real, kimg), real)[0].mean() for kimg in (0.016, 0.8))
    assert last < first
    assert all(map(torch.equal, before, (*generator.parameters(), *discriminator.parameters())))


def test_f_anogan_scores_with_and_without_a_discriminator(training, cases):
    images, _ = cases
    both, pixels = (FAnoGAN(path, kimg=0.032).fit(images).score(images)
                    for path in (training, training / "generator.safetensors"))
    assert both[1].shape == pixels[1].shape == (20, 16, 16)
    np.testing.assert_allclose(pixels[0], pixels[1].mean((1, 2)), rtol=1e-5)
    assert (both[0] > both[1].mean((1, 2))).all()


def test_wrong_use_is_one_sentence():
    with pytest.raises(SapgganError, match="needs a generator"):
        build_method("f-anogan").fit(normal_images(2, 0))
    with pytest.raises(SapgganError, match='did you mean "padim"'):
        build_method("padin")
    with pytest.raises(SapgganError, match="only 8-bit images"):
        build_method("pca").fit(np.zeros((2, 8, 8)))
