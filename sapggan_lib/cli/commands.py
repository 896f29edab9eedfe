"""The commands: one decorated function each, one line an option. Each imports what it needs, so `--help` is quick."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from sapggan_lib import __version__
from sapggan_lib.base.config import PreprocessConfig
from sapggan_lib.cli.options import PATH, POSITIVE, OneOf, Registered, field, training_config


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(__version__, message="sapggan %(version)s")
@click.option("--debug", is_flag=True, help="Show a traceback with an error.")
def sapggan(debug: bool) -> None:
    """Self Attention PGGAN for chest radiographs."""


@sapggan.command()
@click.argument("out", type=PATH)
@click.option("--n", type=POSITIVE, default=240, show_default=True, help="Number of files.")
@click.option("--seed", default=0, show_default=True)
@click.option("--findings", type=click.FloatRange(0, 1), default=0.0, metavar="RATE",
              help="Share of patients with a drawn finding; a table tells who and where.")
def phantom(out: Path, n: int, seed: int, findings: float) -> None:
    """Write a folder of synthetic chest DICOM."""
    from sapggan_lib.phantoms import write_phantoms

    paths = write_phantoms(out, n=n, seed=seed, findings=findings)
    print(f"{out}: {len(paths)} synthetic DICOM files")


@sapggan.command()
@click.argument("source", metavar="SRC", type=PATH)
@click.argument("out", type=PATH)
@click.option("--table", type=PATH, metavar="CSV", help="File names and views, for a folder of images.")
@field(PreprocessConfig, "size", "Side of the stored images in pixels.")
@field(PreprocessConfig, "crop", "Share of each side that the random crop removes.")
@field(PreprocessConfig, "clip_limit", "Of CLAHE: most by which contrast is multiplied, from 1; 0 turns it off.")
@field(PreprocessConfig, "tiles", "Of CLAHE, per side.")
@field(PreprocessConfig, "format", "Of the images' file.")
@field(PreprocessConfig, "channels", "3: gray three times.")
@field(PreprocessConfig, "unknown_view", "Files whose header does not tell the view.")
@field(PreprocessConfig, "burned_in", "Files that say that text is burned into their pixels; keep: you looked.")
@field(PreprocessConfig, "keep_paths", "The manifest names the files: not to be shared.")
@field(PreprocessConfig, "seed", "Of the random crop.")
@click.option("--retry-failed", is_flag=True, help="Of a finished store, try the failed files again.")
@click.option("--workers", type=POSITIVE, help="Processes.  [default: all cores]")
@click.option("--scheduler", metavar="tls://HOST:8786",
              help="A Dask cluster instead of local processes; tcp:// without encryption, see docs/data.md.")
def preprocess(source: Path, out: Path, table: Path | None, retry_failed: bool, workers: int | None,
               scheduler: str | None, **settings: Any) -> None:  # fmt: skip
    """Turn DICOM, or images with a table, into a store.

    SRC is a folder of any depth, with any file names.
    """
    from sapggan_lib.preprocessing import preprocess

    if workers and scheduler:
        raise click.UsageError("--workers is not allowed with --scheduler, which has workers of its own")
    summary = preprocess(source, out, PreprocessConfig(**settings), table=table, workers=workers, scheduler=scheduler,
                         retry_failed=retry_failed)  # fmt: skip
    print(summary.text())


@sapggan.command()
@click.argument("store", type=PATH)
@click.argument("index")
def which(store: Path, index: str) -> None:
    """Tell which file a stored image was made from.

    To whoever has the key that made STORE. INDEX is the image's, or what the manifest has in its column path.
    """
    from sapggan_lib.privacy import HASH_DIGITS, original_path

    print(original_path(store, int(index) if index.isdigit() and len(index) < HASH_DIGITS else index))


@sapggan.command()
@click.option("--data", type=PATH, required=True, metavar="STORE")
@click.option("--out", type=PATH, required=True, metavar="DIR")
@click.option("--model", type=Registered("models", "MODELS"), metavar="NAME", help="sapggan, pggan, stylegan or dcgan.")
@click.option("--loss", type=Registered("losses", "LOSSES"), metavar="NAME",
              help="ra-hinge, for instance.  [default: the model's]")
@click.option("--resolution", type=POSITIVE, help="Of the images.  [default: the store's]")
@click.option("--kimg", type=float, help="Length in thousands of real images shown.")
@click.option("--condition", metavar="COLUMN", help="Of the manifest or of --labels: classes to learn.")
@click.option("--labels", type=PATH, metavar="CSV", help="A table that names the store's files.")
@click.option("--classes", metavar="A,B", help="Values that are classes, all others one.  [default: each]")
@click.option("--config", type=PATH, metavar="FILE", help="YAML with any field of TrainConfig.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="A field: model.widths=[64,64].")
@click.option("--curve", type=POSITIVE, metavar="N", help="Score N samples at ten points of the training.")
@click.option("--resume", is_flag=True, help="Go on from the checkpoint in DIR.")
@click.option("--start-from", type=PATH, metavar="RUN_OR_WEIGHTS",
              help="Begin with the scales of a smaller (or equal) sapggan: a training folder or a .safetensors file.")
@click.option("--dry-run", is_flag=True, help="Say what it would do, or why not; write nothing.")
def train(data: Path, out: Path, model: str | None, loss: str | None, resolution: int | None, kimg: float | None,
          condition: str | None, labels: Path | None, classes: str | None, config: Path | None,
          settings: tuple[str, ...], curve: int | None, dry_run: bool, **options: Any) -> None:  # fmt: skip
    """Train a model on a store.

    Options go over --set, which goes over the file.
    """
    from sapggan_lib import training as trainings
    from sapggan_lib.store import open_store

    store = open_store(data)
    network: dict[str, Any] = {"resolution": store.resolution, "channels": store.channels}
    options["data_hash"] = store.hash
    if condition:
        names = [name.strip() for name in (classes or "").split(",") if name]
        network["classes"], options["labels"] = trainings.read_labels(store, condition, labels, names)
    elif labels or classes:
        raise click.UsageError("--labels and --classes need --condition COLUMN")
    flags = {"model.name": model, "model.resolution": resolution, "loss": loss, "kimg": kimg}
    training = training_config(config, network, settings, flags)
    if curve:
        points = tuple(training.kimg * tenth / 10 for tenth in range(1, 11))
        training = replace(training, snapshot_kimg=training.snapshot_kimg or points)
    if dry_run:
        return trainings.dry_run(store.images, out, training, **options)
    if curve:
        from sapggan_lib import evaluation

        extractor = evaluation.build_extractor()
        real = evaluation.extract_features(evaluation.load_images(data), extractor)
        options["on_snapshot"] = evaluation.FrechetCallback(real, extractor, n=curve, seed=training.seed)
    trainings.train(store.images, out, training, **options)


@sapggan.command()
@click.argument("run", type=PATH)
@click.argument("out", type=PATH)
def export(run: Path, out: Path) -> None:
    """Write a training's networks in half precision, as they ship.

    RUN is a training folder, OUT the generator's .safetensors file. Its description goes beside it, and its
    discriminator, for trainings that start from them.
    """
    from sapggan_lib.training import export

    if out.suffix != ".safetensors":
        raise click.UsageError(f"{out}: name a .safetensors file")
    export(run, out)
    print(f"{out}: {out.stat().st_size / 1e6:.1f} MB")


@sapggan.command()
@click.argument("checkpoint", type=PATH)
@click.argument("out", type=PATH)
@click.option("--n", type=POSITIVE, default=64, show_default=True, help="Number of images.")
@click.option("--seed", default=0, show_default=True)
@click.option("--truncation", default=1.0, show_default=True, help="Below 1: more typical, less varied.")
@click.option("--class", "label", metavar="NAME", help="Of a generator with classes.  [default: each in turn]")
@click.option("--format", type=OneOf(["png", "dicom"]), default="png", show_default=True)
def sample(checkpoint: Path, out: Path, n: int, seed: int, truncation: float, label: str | None, format: str) -> None:
    """Make images with a trained generator.

    CHECKPOINT is a training folder or a .safetensors file.
    """
    import torch

    from sapggan_lib.base.images import write_png
    from sapggan_lib.models import generate, load_generator

    generator = load_generator(checkpoint).to("cuda" if torch.cuda.is_available() else "cpu")
    images = generate(generator, n, seed=seed, truncation=truncation, label=label)
    if format == "dicom":
        from sapggan_lib.dicom import write_secondary_capture

        write_secondary_capture(images, out)
    else:
        for index, image in enumerate(images):
            write_png(out / f"{seed:04d}_{index:06d}.png", image)
    print(f"{out}: {len(images)} images of {images.shape[1]}x{images.shape[2]}")


@sapggan.command()
@click.argument("real", type=PATH)
@click.argument("fake", type=PATH)
@click.option("--extractor", default="efficientnet-lite0", show_default=True,
              help="efficientnet-lite0, inception, densenet-xrv or a file.")
@click.option("--n", type=POSITIVE, help="Images of each side.  [default: all; 2,048 from a checkpoint]")
@click.option("--seed", default=0, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def evaluate(real: Path, fake: Path, extractor: str, n: int | None, seed: int, as_json: bool) -> None:
    """Score generated against real images.

    With intervals and the noise floor. REAL and FAKE are each a store, a folder of images, or a checkpoint.
    """
    import json

    from sapggan_lib import evaluation

    sides = [evaluation.load_images(source, n=n, seed=seed) for source in (real, fake)]
    network = evaluation.build_extractor(extractor)
    result = evaluation.evaluate(*(evaluation.extract_features(images, network) for images in sides), seed=seed)
    print(json.dumps(result.to_dict(), indent=2) if as_json else result.text())
