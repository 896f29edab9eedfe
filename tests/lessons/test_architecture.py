import numpy as np
import torch

from sapggan_lib.lessons import architecture as lesson
from sapggan_lib.losses import LOSSES
from sapggan_lib.models import build_discriminator, build_generator, pyramid


def networks(attention="se"):
    torch.manual_seed(0)
    plan = {"resolution": 16, "widths": (8, 8, 8), "attention": attention}
    return build_generator("sapggan", latent=8, **plan), build_discriminator("sapggan", **plan)


def test_the_table_counts_every_parameter_once():
    generator, discriminator = networks()
    table = lesson.parameter_table(generator, discriminator)
    assert table["resolution"].tolist() == [4, 8, 16]
    assert table["generator"].sum() == sum(p.numel() for p in generator.parameters())
    assert table["discriminator"].sum() == sum(p.numel() for p in discriminator.parameters())


def test_gradients_at_the_largest_scale_alone_still_reach_all_blocks_and_differ_from_multi_scale_ones():
    generator, discriminator = networks()
    latents, real = torch.randn(8, 8), pyramid(torch.rand(8, 1, 16, 16), 3)
    loss = LOSSES["ra-hinge"].generator
    many = lesson.gradient_norms(generator, discriminator, loss, latents, real, multi_scale=True)
    one = lesson.gradient_norms(generator, discriminator, loss, latents, real, multi_scale=False)
    assert list(many) == [4, 8, 16] and all(norm > 0 for norm in [*many.values(), *one.values()])
    assert many[4] != one[4]
    assert np.isclose(many[16], one[16])  # the last block feeds the largest scale alone
    assert all(p.grad is None for p in [*generator.parameters(), *discriminator.parameters()])


def test_gates_are_what_the_module_computes_and_none_without_se():
    generator, _ = networks()
    latents = torch.randn(4, 8)
    gates = lesson.attention_gates(generator, latents)
    assert {resolution: gate.shape for resolution, gate in gates.items()} == {4: (4, 8), 8: (4, 8), 16: (4, 8)}
    assert all(np.allclose(gate, 1, atol=1e-5) for gate in gates.values())  # untrained: the identity
    for block in generator.blocks:
        torch.nn.init.constant_(block.attention.excite.bias, 1.0)
    closed = 2 / (1 + np.exp(-1.0))
    assert all(np.allclose(gate, closed, atol=1e-5) for gate in lesson.attention_gates(generator, latents).values())
    assert lesson.attention_gates(networks("none")[0], latents) == {}
    assert not any(module._forward_hooks for module in generator.modules())


def test_maps_after_se_are_those_before_it_times_the_gates():
    generator, _ = networks()
    latents = torch.randn(2, 8)
    before, after = lesson.excited_maps(generator, latents)[8]
    assert before.shape == (2, 8, 8, 8)
    gates = torch.from_numpy(lesson.attention_gates(generator, latents)[8])
    torch.testing.assert_close(after, before * gates[..., None, None])
