"""An audit of generators whose answer is known, on drawn radiographs."""

import json

import numpy as np
import pytest
import torch

from sapggan_lib import cli
from sapggan_lib.base.config import from_mapping
from sapggan_lib.base.errors import SapgganError
from sapggan_lib.base.files import sha256_file
from sapggan_lib.lessons.privacy import phantom_side
from sapggan_lib.models import build_generator, build_networks, save_generator
from sapggan_lib.page.card import card_of
from sapggan_lib.store import write_store
from sapggan_lib.training import TrainConfig
from sapggan_lib.uses import Membership, Share, Side, audit_samples, card_sentence, nearest, plant, realness


@pytest.fixture(scope="module")
def people():
    return phantom_side(200)


@pytest.fixture(scope="module")
def train(people):
    return Side(people.images[:80], people.people[:80])


@pytest.fixture(scope="module")
def held_out(people):
    return Side(people.images[80:140], people.people[80:140])


@pytest.fixture(scope="module")
def others(people):
    return people.images[140:]


@pytest.fixture(scope="module")
def honest(train, held_out, others):
    """The audit of a generator that makes other people and ignores its members."""
    return audit_samples(others, train, held_out, planted=20)


@pytest.mark.parametrize("kind", ["shift", "contrast", "JPEG", "blur", "crop", "blend"])
def test_planted_copies_are_found_by_kind_and_told_whose(kind, train, others, honest):
    copies = plant(train.images[:20], others[:20], seed=1)[kind]
    _, whose, found = nearest(copies, train.images)
    assert (found > honest.threshold).mean() >= 0.95 and (whose == np.arange(20)).mean() >= 0.95


def test_none_planted_none_found(honest, held_out, train):
    assert honest.verdict == "no alarm" and honest.copies.count <= 1
    assert honest.false_positives.count <= 0.01 * honest.false_positives.of
    assert nearest(held_out.images, train.images)[2].max() <= honest.threshold


def test_a_generator_that_ignores_its_members_does_not_tell_who_they_are(honest):
    assert honest.generator.low < 0.5 < honest.generator.high


def test_a_generator_that_knows_32_images_alone_alarms_and_tells_its_members(held_out, people):
    few, random = Side(people.images[:32], people.people[:32]), np.random.default_rng(0)
    noisy = few.images[random.integers(0, 32, 60)] + random.normal(0, 8, (60, 64, 64))
    found = audit_samples(noisy.clip(0, 255).astype(np.uint8), few, held_out, planted=20)
    assert found.verdict == "alarm" and found.copies.count >= 57
    assert found.generator.low > 0.5  # a seventh of them is never drawn


def test_a_few_exact_copies_alarm_where_their_share_is_no_proof(train, held_out, others):
    fake = others.copy()
    fake[:1] = train.images[:1]
    assert not Share.among(np.arange(60) < 1).above(Share.among(np.zeros(60, bool)))
    assert audit_samples(fake, train, held_out, planted=20).verdict == "alarm"


def test_samples_far_from_the_data_are_not_assessable(train, held_out):
    noise = np.random.default_rng(0).integers(0, 256, (60, 64, 64), dtype=np.uint8)
    found = audit_samples(noise, train, held_out, planted=20)
    assert found.verdict == "not assessable" and found.near_the_data.count == 0 and found.copies.count == 0


def test_without_held_out_images_training_images_are_compared_across_people(train, others):
    twice = Side(np.concatenate([train.images, train.images]), np.concatenate([train.people, train.people]))
    found = audit_samples(others, twice, planted=20)
    assert found.verdict == "no alarm" and found.generator is None and found.held_out_images == 0
    assert found.threshold < 0.99  # the same person's other image, here the same image, is no yardstick


def test_sides_that_share_a_patient_are_refused(train, others):
    with pytest.raises(SapgganError, match="split the images by patient"):
        audit_samples(others, train, train)


def test_clopper_pearson_by_hand():
    none, all_of_them = Share.among(np.zeros(10_000, bool)), Share.among(np.ones(20, bool))
    assert none.low == 0 and none.high == pytest.approx(1 - 0.05 ** (1 / 10_000)) and none.high < 0.0003
    assert all_of_them.high == 1 and all_of_them.low == pytest.approx(0.05 ** (1 / 20))
    one = Share.among(np.arange(10) == 0)  # P(at least one | low) = 5 %, P(at most one | high) = 5 %
    assert 1 - (1 - one.low) ** 10 == pytest.approx(0.05)
    assert (1 - one.high) ** 10 + 10 * one.high * (1 - one.high) ** 9 == pytest.approx(0.05)


def test_membership_by_hand():
    exact = Membership.of(np.array([3.0, 4.0]), np.array([1.0, 3.0]))  # wins: 3>1, 3=3, 4>1, 4>3
    assert exact.auroc == 3.5 / 4 and (exact.found.count, exact.wrong.count) == (1, 0)
    random = np.random.default_rng(0)
    shifted = Membership.of(random.normal(1, 1, 4000), random.normal(0, 1, 4000))
    assert shifted.low < 0.7602 < shifted.high  # Phi(1 / sqrt 2)
    assert shifted.high - shifted.low == pytest.approx(4 * 0.0053, rel=0.1)  # Hanley & McNeil


def test_the_discriminator_is_asked_in_mixed_groups_and_in_order(others):
    torch.manual_seed(0)
    config = {"model": {"name": "sapggan", "resolution": 32, "widths": [8, 8, 8, 8], "latent": 8}}
    config |= {"kimg": 1.0, "stddev_group": 4}
    training = from_mapping(TrainConfig, config, "test")
    network = build_networks(training.model, training.stddev_group)[1]
    logits = realness(network, np.concatenate([others[:10], np.zeros_like(others[:3])]))
    assert logits.shape == (13,) and np.isfinite(logits).all()
    assert abs(logits[10:] - logits[10]).max() < abs(logits[:10].mean() - logits[10])


def test_a_discriminator_that_knows_its_training_images_alarms(train, held_out, others, monkeypatch):
    verdicts = {}
    for name, known in {"knows them": 1.0, "knows nobody": 0.0}.items():

        def realness(network, images, seed, known=known):
            random = np.random.default_rng(seed).random(len(images))
            return random + known * (np.arange(len(images)) < len(images) // 2)  # members come first

        monkeypatch.setattr("sapggan_lib.uses.audit.realness", realness)
        verdicts[name] = audit_samples(others, train, held_out, network=object(), planted=20)
    assert verdicts["knows them"].verdict == "alarm" and verdicts["knows them"].discriminator.auroc == 1
    assert verdicts["knows them"].reasons == ("the discriminator, to be kept private, tells who was trained on",)
    assert verdicts["knows nobody"].verdict == "no alarm"


def test_the_command_writes_numbers_that_a_card_takes_its_sentence_from(tmp_path, capsys, people):
    rows = [{"path": f"{i}", "status": "kept", "index": i, "patient": f"p{i}"} for i in range(30)]
    write_store(tmp_path / "train", people.images[:30], rows)
    write_store(tmp_path / "held_out", people.images[30:60], [row | {"patient": f"q{row['index']}"} for row in rows])
    weights = tmp_path / "small.safetensors"
    save_generator(weights, build_generator(resolution=32, latent=8, widths=(8, 8, 8, 8)), {})
    arguments = ["audit", *map(str, (weights, tmp_path / "train", tmp_path / "held_out")), "--n", "20"]
    assert cli.main([*arguments, "--json"]) == 0
    text = capsys.readouterr().out
    facts = json.loads(text)
    assert str(tmp_path) not in text and facts["sha256"] == sha256_file(weights)
    assert facts["verdict"] == "not assessable" and facts["copies"]["of"] == 20
    weights.with_suffix(".audit.json").write_text(text)
    assert card_sentence(facts) in card_of(weights)
    write_store(tmp_path / "held_out", people.images[30:60], rows)
    assert cli.main(arguments) == 1 and "split the images by patient" in capsys.readouterr().err
    assert cli.main(["audit", str(tmp_path / "train"), str(tmp_path / "train")]) == 1  # a store is no generator
    assert "not found; a generator is a .safetensors file" in capsys.readouterr().err
