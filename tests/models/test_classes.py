"""Networks with classes: what a label changes, what it leaves alone, and how it is named."""

import json
import math

import numpy as np
import pytest
import torch

from sapggan_lib.base.errors import SapgganError
from sapggan_lib.models import (
    MODELS,
    ModelConfig,
    build_generator,
    build_networks,
    generate,
    latents,
    load_generator,
    project,
    save_generator,
)
from sapggan_lib.page import write_page

CLASSES = ("clear", "effusion", "mass")


def networks(name, classes=CLASSES, channels=1):
    torch.manual_seed(0)
    generator, discriminator = build_networks(ModelConfig(name, 16, channels, 8, (8, 8, 8), classes=classes))
    generator.eval(), discriminator.eval()
    if classes:
        for network in (generator, discriminator):
            torch.nn.init.normal_(network.class_vectors.weight)
    return generator, discriminator


def test_the_projection_is_the_papers_by_hand():
    features, vectors = torch.tensor([[1.0, 2.0, 3.0, 4.0]]), torch.tensor([[1.0, 0.0, -1.0, 2.0]])
    assert project(torch.tensor([5.0]), features, vectors).item() == 5 + (1 - 3 + 8) / math.sqrt(4)
    assert project(torch.tensor([5.0]), features, None).item() == 5


@pytest.mark.parametrize("name", MODELS)
def test_a_label_changes_image_and_logit_of_its_own_row_alone(name):
    generator, discriminator = networks(name)
    z, labels = torch.randn(4, 8), torch.tensor([0, 1, 2, 0])
    other = torch.tensor([0, 2, 2, 0])
    images, changed = generator(z, labels), generator(z, other)
    same = [torch.equal(a, b) for a, b in zip(images[-1], changed[-1], strict=True)]
    assert same == [True, False, True, True]
    logits, moved = discriminator(images, labels), discriminator(images, other)
    assert (logits != moved).tolist() == [False, True, False, False]


@pytest.mark.parametrize("name", MODELS)
def test_the_logit_moves_by_the_features_along_the_class_vector(name):
    """The logit is linear in the vector, and twice the vector moves it twice as far; the ramp weighs it."""
    _, discriminator = networks(name)
    sides = (4, 8, 16) if name == "sapggan" else (16,)
    images, labels = [torch.randn(4, 1, side, side) for side in sides], torch.arange(4) % 3
    vectors = discriminator.class_vectors
    with torch.no_grad():
        full = discriminator(images, labels)
        vectors.ramp.fill_(0.25)
        quarter = discriminator(images, labels)
        vectors.ramp.fill_(0)
        none = discriminator(images, labels)
    torch.testing.assert_close(quarter - none, (full - none) / 4)
    assert (full - none).abs().min() > 1e-6


@pytest.mark.parametrize("name", MODELS)
def test_before_the_ramp_and_at_birth_it_is_the_unconditional_network_of_its_seed(name):
    plain, born = networks(name, ()), networks(name)
    z, labels = torch.randn(4, 8), torch.tensor([0, 1, 2, 0])
    for network in born:
        network.class_vectors.ramp.fill_(0)
    images, expected = born[0](z, labels), plain[0](z)
    assert all(torch.equal(a, b) for a, b in zip(images, expected, strict=True))
    assert torch.equal(born[1](images, labels), plain[1](expected))
    assert plain[0].state_dict().keys() == {k for k in born[0].state_dict() if "class_vectors" not in k}
    generator, _ = build_networks(ModelConfig(name, 16, 1, 8, (8, 8, 8), classes=CLASSES))
    assert not generator.class_vectors.weight.any()


@pytest.mark.parametrize("name", MODELS)
def test_files_carry_the_classes_and_generate_draws_one_or_all_in_turn(tmp_path, name):
    generator, _ = networks(name)
    generator.class_vectors.ramp.fill_(0.5)
    save_generator(tmp_path / "g.safetensors", generator, {})
    loaded = load_generator(tmp_path / "g.safetensors")
    assert loaded.config["classes"] == list(CLASSES)
    mass, effusion = (generate(loaded, 5, seed=3, batch=2, label=label) for label in ("mass", "effusion"))
    np.testing.assert_array_equal(mass, generate(generator, 5, seed=3, batch=2, label="mass"))
    assert not np.array_equal(mass, effusion)
    turns = generate(loaded, 5, seed=3, batch=2)
    np.testing.assert_array_equal(turns[2], mass[2])
    np.testing.assert_array_equal(turns[[1, 4]], effusion[[1, 4]])


def test_a_file_from_before_there_were_classes_is_read(tmp_path):
    generator, _ = networks("sapggan", ())
    save_generator(tmp_path / "g.safetensors", generator, {})
    description = json.loads((tmp_path / "g.json").read_text())
    del description["model"]["classes"]
    (tmp_path / "g.json").write_text(json.dumps(description))
    assert load_generator(tmp_path / "g.safetensors").config["classes"] == []


def test_what_does_not_fit_is_one_sentence(tmp_path, monkeypatch):
    conditional, plain = networks("sapggan")[0], networks("sapggan", ())[0]
    with pytest.raises(SapgganError, match='no class "efusion" in this generator; did you mean "effusion"'):
        generate(conditional, 1, label="efusion")
    with pytest.raises(SapgganError, match="it was trained without classes"):
        generate(plain, 1, label="mass")
    with pytest.raises(SapgganError, match="labels go with classes"):
        conditional(latents(2, 8, 0))
    with pytest.raises(SapgganError, match="at least two different names"):
        build_generator("sapggan", 16, classes=["mass", "mass"])
    save_generator(tmp_path / "g.safetensors", conditional, {})
    with pytest.raises(SapgganError, match="the page draws no classes"):
        write_page(tmp_path / "g.safetensors", tmp_path / "page.html")
