import numpy as np
import pandas as pd
import torch

from sapggan_lib.lessons import architecture as lesson
from sapggan_lib.models import build_discriminator, build_generator


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


def test_gates_that_are_weights_owe_nothing_to_the_image_and_holding_them_moves_nothing():
    generator, _ = networks()
    for block in generator.blocks:
        torch.nn.init.normal_(block.attention.excite.bias)  # other gates for each map, the same for each image
    table = lesson.gate_variation(generator, torch.randn(8, 8))
    assert table["resolution"].tolist() == [4, 8, 16] and (table["over maps"] > 0.1).all()
    np.testing.assert_allclose(table[["over images", "share", "held"]], 0, atol=1e-3)


def test_gates_that_depend_on_the_image_at_one_scale_are_found_there():
    generator, _ = networks()
    torch.nn.init.normal_(generator.blocks[1].attention.excite.weight, std=3.0)
    latents = torch.randn(8, 8)
    table = lesson.gate_variation(generator, latents).set_index("resolution")
    gates = lesson.attention_gates(generator, latents)[8]
    assert np.isclose(table["over images"][8], np.sqrt(gates.var(0, ddof=1).mean()), rtol=1e-3)
    assert table["share"][8] > 0.3 and table["held"][8] > 0.01 and table["held"][[4, 16]].max() < 1e-3
    assert lesson.gate_variation(networks("none")[0], latents).empty


def test_findings_call_a_gate_a_weight_where_little_of_its_variance_lies_between_images():
    table = pd.DataFrame([(8, 0.4, 0.4, 0.5, 0.17), (64, 0.01, 0.4, 0.001, 0.0)],
                         columns=["resolution", "over images", "over maps", "share", "held"])  # fmt: skip
    first, second, last = lesson.findings(table, {4: 2.5, 64: 1.0})
    assert first.startswith("At 8 pixels 50.0% of the gates' variance") and "depend on the image" in first
    assert "17.0% of the distance" in first and "fixed weight of its map" in second
    assert last.endswith("largest alone: 2.5 (4 pixels), 1 (64 pixels).")
