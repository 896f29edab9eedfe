"""Commands for what a generator is for, added to the others."""

from pathlib import Path
from typing import Any

import click

from sapggan_lib.cli.commands import sapggan
from sapggan_lib.cli.options import PATH, POSITIVE, Registered


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
    from sapggan_lib.models import WEIGHTS, generate, load_generator
    from sapggan_lib.training import load_discriminator

    fake, network = generate(load_generator(generator), n, seed), load_discriminator(generator)
    others = uses.Side.load(held_out) if held_out else None
    found = uses.audit_samples(fake, uses.Side.load(train), others, network, seed).to_dict()
    weights = generator / WEIGHTS if generator.is_dir() else generator
    facts = {"sha256": sha256_file(weights)} | found
    print(json.dumps(facts, indent=2) if as_json else uses.card_sentence(found))


@sapggan.command()
@click.argument("fit", type=PATH)
@click.argument("test", type=PATH)
@click.option("--out", type=PATH, required=True, metavar="DIR")
@click.option("--method", "methods", type=Registered("uses", "METHODS"), multiple=True, metavar="NAME",
              default=["neighbours"], show_default=True, help="padim, pca, f-anogan, ...; may be given again.")
@click.option("--generator", type=PATH, metavar="DIR", help="Of f-anogan: a training on normal images.")
@click.option("--n", type=POSITIVE, help="Normal images to learn from.  [default: all]")
@click.option("--seed", default=0, show_default=True)
def anomaly(fit: Path, test: Path, out: Path, methods: tuple[str, ...], generator: Path | None, n: int | None,
            seed: int) -> None:  # fmt: skip
    """Score images by how little they are like normal ones.

    FIT holds normal images alone, TEST those to score; each is a store, a folder of images, or a checkpoint. Writes
    scores.csv, and maps of where as NAME.npy.
    """
    import numpy as np
    import pandas as pd

    from sapggan_lib import evaluation, uses
    from sapggan_lib.base.files import atomic_path, write_text
    from sapggan_lib.store import read_image_folder

    normal = evaluation.load_images(fit, n=n, seed=seed)
    folder = test.is_dir() and not any((test / name).exists() for name in ("store.json", "generator.safetensors"))
    images, names = read_image_folder(test) if folder else (evaluation.load_images(test), None)
    columns: dict[str, Any] = {"image": names or range(len(images))}
    for name in methods:
        columns[name], maps = uses.build_method(name, generator, seed).fit(normal).score(images)
        if maps is not None:
            with atomic_path(out / f"{name}.npy") as temporary, temporary.open("wb") as stream:
                np.save(stream, maps)
    write_text(out / "scores.csv", pd.DataFrame(columns).to_csv(index=False))
    print(f"{out}: {len(images):,} images scored by {', '.join(methods)}, learned from {len(normal):,} normal ones")


@sapggan.command()
@click.argument("weights", type=PATH)
@click.argument("out", type=PATH, metavar="OUT.html")
@click.option("--phantoms", type=POSITIVE, metavar="N",
              help="A quiz with N drawn radiographs, for a generator that was trained on such.")
def page(weights: Path, out: Path, phantoms: int | None) -> None:
    """Write a generator as one web page.

    It opens from a file, loads nothing and has at most 3 MB. WEIGHTS is a training folder or a .safetensors file.
    """
    from sapggan_lib.page import write_page

    size = write_page(weights, out, phantoms)
    print(f"{out}: {size / 1e6:.1f} MB; open it in a browser, it needs no network")
