"""Training with classes: their ramp, their labels, exact resume, and each fast path against the plain step."""

import dataclasses

import numpy as np
import pytest
import torch

from sapggan_lib.base.errors import SapgganError
from sapggan_lib.losses import LOSSES
from sapggan_lib.models import MODELS, ModelConfig, load_generator
from sapggan_lib.store import open_store, write_store
from sapggan_lib.training import FastStep, TrainConfig, build, read_checkpoint, read_labels, resolve, train
from sapggan_lib.training.batches import Batches
from sapggan_lib.training.step import Step, ramp

MODEL = ModelConfig("sapggan", resolution=16, latent=8, widths=(8, 8, 8), classes=("dark", "bright"))
CPU = torch.device("cpu")
RANDOM = np.random.default_rng(0)
IMAGES, LABELS = RANDOM.integers(0, 256, (24, 16, 16), np.uint8), RANDOM.integers(0, 2, 24)


def config(kimg=0.064, name="sapggan", model=MODEL, **options):
    options = {"condition_start": 0.016, "condition_end": 0.048, "batch": 8, "device": "cpu"} | options
    return TrainConfig(dataclasses.replace(model, name=name), kimg=kimg, **options)


def test_the_ramp_by_hand():
    assert [ramp(kimg, 2, 6) for kimg in (0, 2, 3, 4, 6, 9)] == [0, 0, 0.25, 0.5, 1, 1]
    assert [ramp(kimg, 2, 2) for kimg in (0, 1.9, 2, 3)] == [0, 0, 1, 1]
    resolved = resolve(TrainConfig(MODEL, kimg=100))
    assert (resolved.condition_start, resolved.condition_end) == (25, 50)
    assert resolve(TrainConfig(MODEL, kimg=100, condition_start=80)).condition_end == 80
    with pytest.raises(SapgganError, match="must not come after condition_end"):
        resolve(TrainConfig(MODEL, condition_start=3, condition_end=2))


@pytest.mark.parametrize("name", MODELS)
def test_a_resumed_run_has_the_weights_of_one_that_never_stopped(tmp_path, name):
    options = {"name": name, "grow_kimg": 0.008, "r1_gamma": 1.0, "r1_every": 3}
    train(IMAGES, tmp_path / "whole", config(**options), labels=LABELS)
    train(IMAGES, tmp_path / "parts", config(0.032, **options), labels=LABELS)
    assert load_generator(tmp_path / "parts").class_vectors.ramp == 0.25  # of the last step, which began at 24 images
    train(IMAGES, tmp_path / "parts", config(**options), labels=LABELS, resume=True)
    for part in ("generator", "discriminator", "ema"):
        whole, parts = (read_checkpoint(tmp_path / folder)[part] for folder in ("whole", "parts"))
        assert all(torch.equal(whole[key], parts[key]) for key in whole if key != "_extra_state")
        assert whole["class_vectors.weight"].any(), part


def test_a_resumed_run_must_see_the_same_labels(tmp_path):
    train(IMAGES, tmp_path, config(0.032), labels=LABELS, data_hash="x")
    with pytest.raises(SapgganError, match="the data's hash was"):
        train(IMAGES, tmp_path, config(), labels=1 - LABELS, data_hash="x", resume=True)


@pytest.mark.parametrize("name", MODELS)
def test_until_the_ramp_begins_it_is_the_unconditional_training(tmp_path, name):
    options = {"name": name, "condition_start": 1.0, "condition_end": 2.0, "grow_kimg": 0.004}
    train(IMAGES, tmp_path / "with", config(0.024, **options), labels=LABELS)
    plain = dataclasses.replace(MODEL, classes=())
    train(IMAGES, tmp_path / "without", config(0.024, model=plain, **options))
    for part in ("generator", "discriminator"):
        there, here = (read_checkpoint(tmp_path / folder)[part] for folder in ("with", "without"))
        assert all(torch.equal(there[key], here[key]) for key in here if key != "_extra_state")


@pytest.mark.parametrize("loss", [*LOSSES])
def test_each_loss_and_penalty_trains_both_networks_classes(loss):
    step = Step(build(resolve(config(loss=loss, r1_gamma=1.0)), CPU), resolve(config(loss=loss, r1_gamma=1.0)), CPU)
    step.state.images = 48
    for _ in range(3):  # a generator's vectors learn once a discriminator's are not 0
        terms = step(torch.rand(8, 1, 16, 16) * 2 - 1, torch.arange(8) % 2)
    assert all(term.isfinite() for term in terms.values())
    for network in (step.state.generator, step.state.discriminator):
        assert network.class_vectors.weight.abs().min() > 0


def run(step_class, **options):
    settings = resolve(config(**options))
    torch.manual_seed(0)
    state = build(settings, CPU)
    state.images = 32
    step = step_class(state, settings, CPU)
    for number in range(3):
        step(torch.rand(8, 1, 16, 16) * 2 - 1, (torch.arange(8) + number) % 2)
    return {part: getattr(state, part).state_dict() for part in ("generator", "discriminator", "ema")}


@pytest.mark.parametrize("options", [{"r1_gamma": 1.0, "r1_every": 2}, {"loss": "wgan-gp"}])
def test_compiled_blocks_train_the_same_classes(options):
    def compiled(state, settings, device):
        return FastStep(state, dataclasses.replace(settings, compile=True), device, "aot_eager")

    plain, fast = run(Step, **options), run(compiled, **options)
    for part, tensors in plain.items():
        for name, value in tensors.items():
            torch.testing.assert_close(fast[part][name], value, atol=1e-5, rtol=1e-4)


def test_a_replayed_step_reads_the_labels_where_the_recorded_one_did():
    step = Step(build(resolve(config()), CPU), resolve(config()), CPU)
    step.take(torch.tensor([0, 1]))
    (kept,) = step.labels
    step.take(torch.tensor([1, 0]))
    assert step.labels[0] is kept and kept.tolist() == [1, 0]


def test_labels_stay_with_their_images_also_across_passes():
    images = np.repeat(np.arange(10, dtype=np.uint8) * 20, 256).reshape(10, 16, 16)
    batches = Batches(images, MODEL, 4, 0, CPU, np.arange(10) % 2)
    for position in range(0, 40, 4):
        shown, labels = batches(position), batches.labels(position)
        number = ((shown[:, 0, 0, 0] + 1) * 127.5 / 20).round().long()
        assert torch.equal(number % 2, labels)
    batches.close()


@pytest.mark.parametrize(("labels", "message"), [
    (None, "labels go with model"), (LABELS[:5], "a number below 2 for each of 24"),
    (LABELS + 1, "a number below 2 for each of 24"),
])  # fmt: skip
def test_labels_that_do_not_fit_are_refused(tmp_path, labels, message):
    with pytest.raises(SapgganError, match=message):
        train(IMAGES, tmp_path, config(), labels=labels)
    with pytest.raises(SapgganError, match=r"labels go with model\.classes"):
        train(IMAGES, tmp_path, config(model=dataclasses.replace(MODEL, classes=())), labels=LABELS)


def test_the_discriminator_learns_which_label_goes_with_which_images():
    """Known answer: classes that differ in brightness alone; the right label raises a real image."""
    settings = resolve(config(condition_start=0.0, condition_end=0.0))
    torch.manual_seed(0)
    step, labels = Step(build(settings, CPU), settings, CPU), torch.arange(8) % 2
    images = (labels[:, None, None, None] - 0.5 + 0.2 * torch.rand(8, 1, 16, 16)).float()
    for _ in range(12):
        step(images, labels)
    discriminator = step.state.discriminator
    with torch.no_grad():
        views = discriminator.real_views(images)
        as_bright, as_dark = (discriminator(views, torch.full_like(labels, label)) for label in (1, 0))
    gain = as_bright - as_dark
    assert gain[labels == 1].mean() > gain[labels == 0].mean()


@pytest.fixture
def store(tmp_path):
    rows = [{"path": f"study/im{i}.png", "status": "kept", "index": i, "view": "PA" if i % 2 else "AP"}
            for i in range(6)]  # fmt: skip
    write_store(tmp_path / "store", np.zeros((6, 16, 16), np.uint8), [*rows, {"path": "lost.png", "status": "dropped"}])
    findings = ("No Finding", "Effusion", "Effusion|Mass", "Mass", "Nodule|Effusion", "No Finding")
    lines = [f"im{i}.png,{finding},{i}" for i, finding in enumerate(findings)]
    (tmp_path / "Data_Entry.csv").write_text("\n".join(["Image Index,Finding Labels,Patient ID", *lines]))
    return open_store(tmp_path / "store")


def test_labels_come_from_the_manifest_or_from_a_table_by_file_name(tmp_path, store):
    classes, labels = read_labels(store, "view")
    assert classes == ("AP", "PA") and labels.tolist() == [0, 1] * 3
    table = tmp_path / "Data_Entry.csv"
    classes, labels = read_labels(store, "Finding Labels", table)       # the rarest finding of each image
    assert classes == ("Effusion", "Mass", "No Finding", "Nodule") and labels.tolist() == [2, 0, 1, 1, 3, 2]
    classes, labels = read_labels(store, "Finding Labels", table, ["Effusion", "No Finding"])
    assert classes == ("Effusion", "No Finding", "other") and labels.tolist() == [1, 0, 0, 2, 0, 1]


def test_what_a_table_lacks_is_named(tmp_path, store):
    table = tmp_path / "Data_Entry.csv"
    with pytest.raises(SapgganError, match='no column "Finding Label"; did you mean "Finding Labels"'):
        read_labels(store, "Finding Label", table)
    with pytest.raises(SapgganError, match=r'no image of class "Efusion".*did you mean "Effusion"'):
        read_labels(store, "Finding Labels", table, ["Efusion", "Mass"])
    table.write_text("\n".join(line for line in table.read_text().splitlines() if not line.startswith("im3")))
    with pytest.raises(SapgganError, match=r"names 5 of the 6 files .* it lacks im3\.png"):
        read_labels(store, "Finding Labels", table)
