"""The script that compares trainings: each variant is a training, and differs from the base in what it names."""

import json

import pytest

from benchmarks import recipe
from sapggan_lib.base.config import to_mapping
from sapggan_lib.training.config import resolve


@pytest.fixture
def configuration():
    """A variant's configuration, from the command's own options."""
    options = recipe.build_parser().parse_args(["images", "--out", "out"])
    return lambda variant: to_mapping(resolve(recipe.configuration(options, variant, 0)))


@pytest.mark.parametrize("variant", sorted(set(recipe.VARIANTS) - {"base"}))
def test_a_variant_differs_in_what_it_names(configuration, variant):
    base, changed = configuration("base"), configuration(variant)
    assert {key for key in base if base[key] != changed[key]} == set(recipe.VARIANTS[variant])
    assert changed["kimg"] == 40 and changed["seed"] == 0


def test_the_table_has_a_line_for_each_training(tmp_path):
    folder = tmp_path / "base, seed 1"
    folder.mkdir()
    rows = [{"kimg": 1.0, "loss_d": 0.5}, {"kimg": 20.0, "fd": 114.12, "seconds": 100.0, "spread": 40.0},
            {"kimg": 40.0, "fd": 57.35, "seconds": 200.4, "spread": 41.06}]  # fmt: skip
    (folder / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    line = "base, seed 1             20: 114.1  40: 57.4  (200 s, spread 41.1)"
    assert recipe.table(tmp_path) == line
