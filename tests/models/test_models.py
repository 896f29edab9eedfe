"""Models by name: shapes, sizes, files, and images out of them."""

import copy
import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from sapggan_lib.base.errors import SapgganError
from sapggan_lib.models import build_discriminator, build_generator, generate, load_generator, save_generator
from sapggan_lib.models.pggan import stage_at
from sapggan_lib.models.stylegan import blur

NARROW = {"resolution": 16, "widths": (16, 8, 8)}


def test_sapggan_at_512_has_the_papers_size():
    # by hand: 3x3 layers 2 * 512^2 * 9 at 8, 16, 32, then 256, 128, 64, 32; 4x4 start or end; SE; joins in D
    with torch.device("meta"):
        networks = build_generator("sapggan"), build_discriminator("sapggan")
    for network in networks:
        assert 20e6 < sum(p.numel() for p in network.parameters()) < 26e6


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("attention", ["se", "sagan", "none"])
@pytest.mark.parametrize("place", ["between", "end"])
def test_sapggan_maps_latents_to_scales_to_logits(channels, attention, place):
    options = NARROW | {"channels": channels, "attention": attention, "se_place": place}
    images = build_generator("sapggan", latent=16, **options)(torch.randn(4, 16))
    assert [tuple(image.shape) for image in images] == [(4, channels, r, r) for r in (4, 8, 16)]
    assert build_discriminator("sapggan", **options)(images).shape == (4,)


def test_gates_do_not_dim_what_the_discriminator_sees_at_high_resolution():
    """At the start, the gradient of the logit by scale is with SE what it is without."""
    def gradients(attention):
        torch.manual_seed(0)
        discriminator = build_discriminator("sapggan", 64, widths=(16, 16, 16, 8, 8), attention=attention)
        shared = dict(plain.named_parameters()) if attention == "se" else {}
        with torch.no_grad():
            for name, parameter in discriminator.named_parameters():
                if name in shared:
                    parameter.copy_(shared[name])
        images = [image.requires_grad_() for image in discriminator.real_views(torch.linspace(-1, 1, 8 * 64**2).reshape(
            8, 1, 64, 64))]  # fmt: skip
        norms = [gradient.norm() for gradient in torch.autograd.grad(discriminator(images).sum(), images)]
        return discriminator, torch.stack(norms)

    plain, without = gradients("none")
    torch.testing.assert_close(gradients("se")[1], without)


def test_the_start_has_one_bias_for_each_map():
    start = build_generator("sapggan", latent=16, **NARROW).blocks[0]
    assert start.bias.shape == (16, 1, 1) and start.dense.bias is None


@pytest.mark.parametrize("name", ["pggan", "stylegan", "dcgan"])
@pytest.mark.parametrize("resolution", [16, 64])
@pytest.mark.parametrize("channels", [1, 3])
def test_baselines_map_latents_to_an_image_to_logits(name, resolution, channels):
    widths = (8,) * (resolution.bit_length() - 2)
    images = build_generator(name, resolution, channels, latent=16, widths=widths)(torch.randn(4, 16))
    assert [image.shape for image in images] == [(4, channels, resolution, resolution)]
    assert build_discriminator(name, resolution, channels, widths=widths)(images).shape == (4,)


@pytest.mark.parametrize("name", ["sapggan", "pggan", "stylegan", "dcgan"])
@pytest.mark.parametrize("resolution", [16, 1024])
def test_every_model_is_built_from_16_to_1024(name, resolution):
    with torch.device("meta"):
        build_generator(name, resolution), build_discriminator(name, resolution)


@pytest.mark.parametrize("name", ["pggan", "stylegan"])
def test_growing_is_continuous(name):
    """A new level at alpha 0 shows the old level's image enlarged, and at alpha 1 its own; D agrees."""
    options = {"resolution": 16, "widths": (8, 8, 8)}
    generator = build_generator(name, latent=16, **options).eval()
    discriminator = build_discriminator(name, **options)
    z = torch.randn(4, 16)

    def at(level, alpha):
        generator.set_stage(level, alpha)
        discriminator.set_stage(level, alpha)
        images = generator(z)
        return images[0], discriminator(images)

    small, small_logits = at(1, 1.0)
    start, start_logits = at(2, 0.0)
    torch.testing.assert_close(start, small.repeat_interleave(2, 2).repeat_interleave(2, 3))
    torch.testing.assert_close(start_logits, small_logits)
    torch.testing.assert_close(at(2, 1 - 1e-6)[0], at(2, 1.0)[0], atol=1e-4, rtol=1e-4)


def test_the_stage_is_saved_with_the_weights_and_images_come_at_full_size(tmp_path):
    generator = build_generator("pggan", 16, latent=16, widths=(8, 8, 8))
    generator.set_stage(1, 0.25)
    save_generator(tmp_path / "generator.safetensors", generator, {})
    loaded = load_generator(tmp_path)
    assert (loaded.level, loaded.alpha.item(), loaded.fading) == (1, 0.25, True)
    assert generate(loaded, 2).shape == (2, 16, 16)


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1 - 1e-6, 1 - 1e-12, 1.0])
def test_a_restored_stage_fades_where_the_saved_one_did(alpha):
    saved, restored = (build_generator("pggan", latent=16, **NARROW) for _ in range(2))
    saved.set_stage(1, alpha)  # the last but one: 1 in float32, in which the state is saved
    restored.load_state_dict(saved.state_dict())
    assert (restored.level, restored.fading, restored.alpha) == (saved.level, saved.fading, saved.alpha)


@pytest.mark.parametrize(
    ("images", "stage"),
    [(0, (0, 1)), (99, (0, 1)), (100, (1, 0)), (150, (1, 0.5)), (250, (1, 1)), (325, (2, 0.25)), (9999, (2, 1))],
)
def test_stages_alternate_fade_and_stay(images, stage):
    assert stage_at(images, 100, 3) == stage


@pytest.mark.parametrize(
    ("images", "stage"),
    [(0, (1, 1)), (99, (1, 1)), (100, (2, 0)), (150, (2, 0.5)), (250, (2, 1)), (325, (3, 0.25)), (9999, (3, 1))],
)
def test_stylegan_begins_at_8x8(images, stage):
    """By hand from the authors' schedule: lod_initial_resolution 8, here up to 32x32."""
    generator = build_generator("stylegan", 32, latent=8, widths=(8, 8, 8, 8))
    assert stage_at(images, 100, generator.levels, generator.start) == stage


def test_truncation_pulls_styles_to_the_mean():
    generator = build_generator("stylegan", 16, latent=16, widths=(8, 8, 8))
    for _ in range(50):
        generator(torch.randn(8, 16))
    # near the mean: an untrained generator's spread need not grow steadily on the way
    spread = [float(generate(generator, 8, truncation=t).std(0).mean()) for t in (0.0, 0.1, 1.0)]
    assert spread[0] == 0 and spread[0] < spread[1] < spread[2]
    with pytest.raises(SapgganError, match="stylegan alone"):
        generate(build_generator("sapggan", latent=16, **NARROW), 1, truncation=0.5)


def test_stylegan_has_noise_and_mixed_styles_in_training_alone():
    generator, z = build_generator("stylegan", 16, latent=16, widths=(8, 8, 8)), torch.randn(2, 16)
    assert not torch.equal(generator(z)[0], generator(z)[0])
    generator.eval()
    assert torch.equal(generator(z)[0], generator(z)[0])


def test_batch_norm_statistics_of_its_own_are_means_over_batches_of_fixed_latents():
    """The first layer's by hand: it is linear in z, so its mean is that of all latents."""
    generator = build_generator("dcgan", 16, latent=16, widths=(8, 8, 8))
    before, random = copy.deepcopy(generator.state_dict()), torch.get_rng_state()
    own = generator.with_own_statistics(batches=3, batch=8)
    z = torch.randn(24, 16, generator=torch.Generator().manual_seed(0))
    x = torch.einsum("ni,iojk->nojk", z, generator.blocks[0][0].weight)          # [24, 8, 4, 4]
    torch.testing.assert_close(own.blocks[0][1].running_mean, x.mean((0, 2, 3)))
    variance = torch.stack([part.var((0, 2, 3)) for part in x.split(8)]).mean(0)
    torch.testing.assert_close(own.blocks[0][1].running_var, variance)
    assert not own.training and generator.training and torch.equal(torch.get_rng_state(), random)
    assert all(torch.equal(value, before[name]) for name, value in generator.state_dict().items())


def test_batch_norm_statistics_of_its_own_need_no_other_process(monkeypatch):
    """One of several processes writes, and must not wait for numbers that the others never send."""
    generator = build_generator("dcgan", 16, latent=16, widths=(8, 8, 8))
    alone = generator.with_own_statistics().state_dict()
    monkeypatch.setattr("sapggan_lib.models.dcgan.rank_and_world", lambda: (0, 2))
    for name, value in generator.with_own_statistics().state_dict().items():
        assert torch.equal(value, alone[name]), name


def noisy_stylegan():
    generator = build_generator("stylegan", 16, latent=16, widths=(8, 8, 8)).eval()
    for name, parameter in generator.named_parameters():
        if name.endswith("noise_strength"):
            torch.nn.init.ones_(parameter)
    return generator


@pytest.mark.parametrize("level", [1, 2])
def test_each_generated_image_has_noise_of_its_own_whatever_batch_and_number(level):
    generator, state = noisy_stylegan(), torch.get_rng_state()
    generator.set_stage(level, 1.0)
    before = copy.deepcopy(generator.state_dict())
    images = generate(generator, 7, seed=3, batch=2, truncation=0)
    assert len(np.unique(images, axis=0)) == 7  # of one style
    np.testing.assert_allclose(images[:5].astype(int), generate(generator, 5, 3, truncation=0).astype(int), atol=1)
    assert not np.array_equal(images, generate(generator, 7, seed=4, truncation=0))
    assert torch.equal(state, torch.get_rng_state())
    for name, value in generator.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_noise_is_drawn_for_the_layers_in_use():
    generator = noisy_stylegan()
    generator.set_stage(1, 1.0)
    noise = generator.draw_noise(3, torch.Generator().manual_seed(0))
    assert [tuple(value.shape) for value in noise.values()] == [(3, 1, r, r) for r in (4, 4, 8, 8)]
    drawn = torch.cat([value.flatten() for value in noise.values()])
    assert len(drawn.unique()) == 3 * 2 * (16 + 64) and abs(float(drawn.std()) - 1) < 0.1


def test_a_walk_has_one_noise_from_end_to_end():
    generator, z = noisy_stylegan(), torch.randn(1, 16)
    same = generator(z.expand(3, -1))[-1]
    torch.testing.assert_close(same, same[:1].expand(3, -1, -1, -1))
    assert torch.equal(generator(z)[-1], generator(z)[-1])


def test_the_bilinear_filter():
    x = torch.zeros(1, 1, 5, 5)
    x[..., 2, 2] = 1
    row = torch.tensor([0.25, 0.5, 0.25])
    torch.testing.assert_close(blur(x)[0, 0, 1:4, 1:4], torch.outer(row, row))


def test_generate_does_not_depend_on_batch_or_number_and_leaves_the_random_state():
    generator = build_generator("sapggan", latent=16, **NARROW)
    state = torch.get_rng_state()
    images = generate(generator, 7, seed=3, batch=2)
    assert images.dtype == np.uint8 and images.shape == (7, 16, 16)
    np.testing.assert_allclose(images[:5].astype(int), generate(generator, 5, seed=3, batch=5).astype(int), atol=1)
    assert torch.equal(state, torch.get_rng_state())


def test_a_saved_generator_gives_the_same_images(tmp_path):
    generator = build_generator("sapggan", latent=16, channels=3, **NARROW)
    save_generator(tmp_path / "generator.safetensors", generator, {"kimg": 1.5})
    assert json.loads((tmp_path / "generator.json").read_text())["kimg"] == 1.5
    for path in (tmp_path, tmp_path / "generator.safetensors"):
        np.testing.assert_array_equal(generate(load_generator(path), 3), generate(generator, 3))


@pytest.mark.parametrize("name", ["sapggan", "pggan", "stylegan", "dcgan"])
def test_half_precision_weights_load_as_float32(tmp_path, name):
    generator = build_generator(name, 16, latent=16, widths=(8, 8, 8))
    save_generator(tmp_path / "generator.safetensors", copy.deepcopy(generator).half(), {})
    loaded = load_generator(tmp_path)
    assert {p.dtype for p in loaded.parameters()} == {torch.float32}
    for kept, before in zip(loaded.parameters(), generator.parameters(), strict=True):
        torch.testing.assert_close(kept, before, atol=1e-4, rtol=1e-3)
    assert generate(loaded, 2).shape == (2, 16, 16)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_a_file_holds_the_weights_in_their_types_and_the_same_bytes_each_time(tmp_path, dtype):
    generator = build_generator("dcgan", 16, latent=16, widths=(8, 8, 8)).to(dtype, memory_format=torch.channels_last)
    for name in ("one", "two"):
        save_generator(tmp_path / f"{name}.safetensors", generator, {})
    assert (tmp_path / "one.safetensors").read_bytes() == (tmp_path / "two.safetensors").read_bytes()
    weights, found = generator.state_dict(), load_file(tmp_path / "one.safetensors")
    assert found.keys() == weights.keys()
    for name, value in weights.items():
        assert torch.equal(found[name], value) and found[name].dtype == value.dtype


def test_weights_with_metadata_of_another_program_are_read(tmp_path):
    generator = build_generator("sapggan", latent=16, **NARROW)
    save_generator(tmp_path / "generator.safetensors", generator, {})
    save_file(generator.state_dict(), tmp_path / "generator.safetensors", metadata={"format": "pt"})
    np.testing.assert_array_equal(generate(load_generator(tmp_path), 2), generate(generator, 2))


@pytest.mark.parametrize(("change", "message"), [
    ({"resolution": 1 << 20}, "power of two"),
    ({"latent": 10**9}, r"generator\.json describes [\d,]{14,} numbers and generator\.safetensors holds"),
    ({"latent": 10**30}, "generator"),
    ({"widths": [1 << 18] * 3}, r"describes [\d,]{17,} numbers"),
    ({"widths": "wide"}, "must be a list"),
    ({"se_ratio": 0}, "se_ratio must be"),
    ({"colour": True}, 'unknown key "colour"'),
])  # fmt: skip
def test_what_describes_a_generator_is_held_against_its_weights_before_memory_is_taken(tmp_path, change, message):
    save_generator(tmp_path / "generator.safetensors", build_generator("sapggan", latent=16, **NARROW), {})
    content = json.loads((tmp_path / "generator.json").read_text())
    content["model"] |= change
    (tmp_path / "generator.json").write_text(json.dumps(content))
    with pytest.raises(SapgganError, match=message):
        load_generator(tmp_path)


@pytest.mark.parametrize("content", ["[" * 100_000, "{}", "[]", '{"model": 3}', "\0"])
def test_a_damaged_description_is_refused(tmp_path, content):
    save_generator(tmp_path / "generator.safetensors", build_generator("sapggan", latent=16, **NARROW), {})
    (tmp_path / "generator.json").write_text(content)
    with pytest.raises(SapgganError, match="not a generator"):
        load_generator(tmp_path)


@pytest.mark.parametrize("entry", [
    {"shape": [1 << 40]}, {"shape": [1 << 62, 0]}, {"data_offsets": [0, 1 << 40]}, {"data_offsets": [-8, 0]},
    {"data_offsets": [4, 12]}, {"shape": [-1, -2]}, {"dtype": "F8"}, {"shape": "2"},
])  # fmt: skip
def test_a_header_that_does_not_fit_the_file_is_refused(tmp_path, entry):
    path = tmp_path / "generator.safetensors"
    save_generator(path, build_generator("sapggan", latent=16, **NARROW), {})
    data = path.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    header["to_image.0.bias"] |= entry
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data[start:])
    with pytest.raises(SapgganError, match="not a generator"):
        load_generator(path)


@pytest.mark.parametrize("stage", [[99.0, 1.0], [-1.0, 1.0], [2.0, float("nan")], [1e9, 1.0]])
def test_a_stage_that_a_growing_generator_lacks_is_refused(tmp_path, stage):
    generator = build_generator("pggan", latent=16, **NARROW)
    save_generator(tmp_path / "generator.safetensors", generator, {})
    save_file(generator.state_dict() | {"_extra_state": torch.tensor(stage)}, tmp_path / "generator.safetensors")
    with pytest.raises(SapgganError, match="no stage"):
        load_generator(tmp_path)


@pytest.mark.parametrize("cut", [4, 100, -1])
def test_cut_weights_are_refused(tmp_path, cut):
    save_generator(tmp_path / "generator.safetensors", build_generator("sapggan", latent=16, **NARROW), {})
    whole = (tmp_path / "generator.safetensors").read_bytes()
    (tmp_path / "generator.safetensors").write_bytes(whole[:cut])
    with pytest.raises(SapgganError, match="not a generator"):
        load_generator(tmp_path)


def test_a_damaged_generator_is_refused(tmp_path):
    save_generator(tmp_path / "generator.safetensors", build_generator("sapggan", latent=16, **NARROW), {})
    (tmp_path / "generator.safetensors").write_bytes(b"no weights")
    with pytest.raises(SapgganError, match="not a generator"):
        load_generator(tmp_path)
    with pytest.raises(SapgganError, match="not found"):
        load_generator(tmp_path / "elsewhere")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "sapgan"}, 'did you mean "sapggan"'),
        ({"resolution": 48}, "power of two"),
        ({"resolution": 16, "widths": (8, 8)}, "widths must be 3"),
        ({"channels": 2}, "channels must be 1 or 3"),
        ({"resolution": 16, "widths": (8, 8, 8.5)}, "widths must be 3 even numbers"),
        ({"latent": 0}, "latent must be a whole number above 0, not 0"),
        ({"se_ratio": 0}, "se_ratio must be a whole number above 0, not 0"),
        ({"attention": "sa"}, 'attention must be one of se, sagan, none, not "sa"'),
        ({"se_place": "start"}, 'se_place must be one of between, end, not "start"'),
    ],
)
def test_what_does_not_fit_is_named(arguments, message):
    with pytest.raises(SapgganError, match=message):
        build_generator(**arguments)
