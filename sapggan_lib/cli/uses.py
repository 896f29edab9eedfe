"""Commands for what a generator is for, added to the others."""

from pathlib import Path

import click

from sapggan_lib.cli.commands import sapggan
from sapggan_lib.cli.options import PATH, POSITIVE


@sapggan.command()
@click.argument("generator", type=PATH)
@click.argument("train", type=PATH)
@click.argument("held_out", type=PATH, required=False)
@click.option("--n", type=POSITIVE, default=2048, show_default=True, help="Samples.")
@click.option("--seed", default=0, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object: numbers alone, no image and no place.")
def audit(generator: Path, train: Path, held_out: Path | None, n: int, seed: int, as_json: bool) -> None:
    """Look for training images in what a generator makes.

    GENERATOR is a training folder or a .safetensors file; TRAIN all images that it saw, HELD_OUT images of the same
    source and other patients, each a store or a folder. Keep the JSON as NAME.audit.json beside NAME.safetensors.
    """
    import json

    from sapggan_lib import uses
    from sapggan_lib.base.files import sha256_file
    from sapggan_lib.evaluation import load_images
    from sapggan_lib.models import WEIGHTS
    from sapggan_lib.training import CHECKPOINT

    others = uses.Side.load(held_out) if held_out else None
    folder = generator if (generator / CHECKPOINT).is_file() else None
    found = uses.audit_samples(load_images(generator, n, seed), uses.Side.load(train), others, folder, seed).to_dict()
    weights = generator / WEIGHTS if generator.is_dir() else generator
    facts = {"sha256": sha256_file(weights)} | found
    print(json.dumps(facts, indent=2) if as_json else uses.card_sentence(found))
