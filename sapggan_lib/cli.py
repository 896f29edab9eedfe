"""The `sapggan` command: a thin layer over the library. Exit status: 0 done, 1 failed, 2 wrong use."""

import argparse
import sys
import traceback
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from sapggan_lib import __version__
from sapggan_lib.errors import SapgganError

MODELS = ["sapggan", "pggan", "stylegan", "dcgan"]
LOSSES = ["minmax", "wgan-gp", "hinge", "ra-hinge"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status. Errors are one line, with a traceback under `--debug`."""
    options = build_parser().parse_args(arguments)
    try:
        options.command(options)
        return 0
    except BrokenPipeError:  # `sapggan ... | head`
        sys.stderr.close()
        return 1
    except (Exception, KeyboardInterrupt) as error:
        if options.debug:
            traceback.print_exc()
        print(f"sapggan: {explain(error)}", file=sys.stderr)
        return 1


def explain(error: BaseException) -> str:
    """The one line for an error that ended a command."""
    if isinstance(error, SapgganError):
        return str(error)
    if isinstance(error, KeyboardInterrupt):
        return "interrupted; the same command goes on where it stopped"
    return f"unexpected {type(error).__name__}: {error}; `sapggan --debug ...` shows where, please report it"


def build_parser() -> argparse.ArgumentParser:
    """All commands and options."""
    parser = argparse.ArgumentParser(prog="sapggan", description="Self Attention PGGAN for chest radiographs")
    parser.add_argument("--version", action="version", version=f"sapggan {__version__}")
    parser.add_argument("--debug", action="store_true", help="show a traceback with an error")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def add(name: str, function: Any, text: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text)
        command.set_defaults(command=function)
        return command

    phantom = add("phantom", run_phantom, "write a folder of synthetic chest DICOM")
    phantom.add_argument("out", metavar="OUT", type=Path)
    phantom.add_argument("--n", type=positive, default=240, help="number of files (240)")
    phantom.add_argument("--seed", type=int, default=0)

    prepare = add("preprocess", run_preprocess, "turn a folder of DICOM, or of images with a table, into a store")
    prepare.add_argument("source", metavar="SRC", type=Path)
    prepare.add_argument("out", metavar="OUT", type=Path)
    prepare.add_argument("--size", type=positive, default=512, help="side of the stored images in pixels (512)")
    prepare.add_argument("--table", type=Path, metavar="CSV", help="file names and views, for a folder of images")
    prepare.add_argument("--crop", type=float, default=0.05, help="share of each side that the random crop removes")
    prepare.add_argument("--clip-limit", type=float, default=2.0, help="of CLAHE; 0 turns it off")
    prepare.add_argument("--tiles", type=positive, default=8, help="of CLAHE, per side")
    prepare.add_argument("--format", choices=["npy", "pickle"], default="npy")
    prepare.add_argument("--channels", type=int, choices=[1, 3], default=1)
    prepare.add_argument("--unknown-view", choices=["drop", "keep"], default="drop")
    prepare.add_argument("--seed", type=int, default=0)
    where = prepare.add_mutually_exclusive_group()
    where.add_argument("--workers", type=positive, help="processes (all cores)")
    where.add_argument("--scheduler", metavar="tcp://HOST:8786", help="a Dask cluster instead of local processes")

    train = add("train", run_train, "train a model on a store")
    train.add_argument("--data", type=Path, required=True, metavar="STORE")
    train.add_argument("--out", type=Path, required=True, metavar="DIR")
    train.add_argument("--model", choices=MODELS)
    train.add_argument("--loss", choices=LOSSES)
    train.add_argument("--resolution", type=positive, help="of the images (the store's)")
    train.add_argument("--kimg", type=float, help="length in thousands of real images shown")
    train.add_argument("--config", type=Path, metavar="FILE", help="YAML with any field of TrainConfig")
    train.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a field: model.widths=[64,64]")
    train.add_argument("--curve", type=positive, metavar="N", help="score N samples at ten points of the training")
    train.add_argument("--resume", action="store_true", help="go on from the checkpoint in DIR")

    sample = add("sample", run_sample, "make images with a trained generator")
    sample.add_argument("checkpoint", metavar="CHECKPOINT", type=Path, help="a training folder or a .safetensors file")
    sample.add_argument("out", metavar="OUT", type=Path)
    sample.add_argument("--n", type=positive, default=64)
    sample.add_argument("--seed", type=int, default=0)
    sample.add_argument("--truncation", type=float, default=1.0, help="below 1: more typical, less varied (1.0)")
    sample.add_argument("--format", choices=["png", "dicom"], default="png")

    evaluate = add("evaluate", run_evaluate, "score generated against real images, with intervals and the noise floor")
    evaluate.add_argument("real", metavar="REAL", type=Path, help="a store, a folder of images, or a checkpoint")
    evaluate.add_argument("fake", metavar="FAKE", type=Path, help="likewise")
    evaluate.add_argument(
        "--extractor", default="efficientnet-lite0", help="efficientnet-lite0, inception, densenet-xrv or a file"
    )
    evaluate.add_argument("--n", type=positive, help="images of each side (all; 2,048 from a checkpoint)")
    evaluate.add_argument("--seed", type=int, default=0)
    evaluate.add_argument("--json", action="store_true", help="print one JSON object")

    run = add("run", run_notebooks, "execute the notebooks and write a report")
    run.add_argument("notebooks", nargs="*", metavar="NOTEBOOK", help='"04" is enough; none: all')
    run.add_argument("--profile", default="smoke", help="smoke, workshop, cpu, gpu or paper")
    run.add_argument("--data", type=Path, metavar="DIR", help="DICOM, or images with a table; none: phantoms")
    run.add_argument("--table", type=Path, metavar="CSV", help="as in preprocess")
    run.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a parameter; 04.epochs=[1,2]")
    run.add_argument("--run", metavar="NAME", help="folder below papermill_runs (the profile's name)")
    where = run.add_mutually_exclusive_group()
    where.add_argument("--jobs", type=positive, default=1, help="notebooks at once, where they do not need each other")
    where.add_argument("--scheduler", metavar="tcp://HOST:8786", default="", help="a Dask cluster to run them on")
    run.add_argument("--publishable", action="store_true", help="show no pixel of the input images anywhere")
    run.add_argument("--force", action="store_true", help="run also what is unchanged")
    run.add_argument("--check", nargs="?", const="reference", metavar="NAME",
                     help="compare the results with the run NAME (reference); give it after the notebooks")

    workshop = add("workshop", run_workshop, "copy the notebooks for a class: students', instructor's and notes")
    workshop.add_argument("out", metavar="OUT", type=Path, help="a new folder")

    add("doctor", run_doctor, "what is installed, what will be slow or missing, and the fix")
    return parser


def run_phantom(options: argparse.Namespace) -> None:
    from sapggan_lib.phantom import write_phantoms

    paths = write_phantoms(options.out, n=options.n, seed=options.seed)
    print(f"{options.out}: {len(paths)} synthetic DICOM files")


def run_preprocess(options: argparse.Namespace) -> None:
    from sapggan_lib.config import PreprocessConfig, from_mapping
    from sapggan_lib.preprocess import preprocess

    names = PreprocessConfig.__dataclass_fields__
    config = from_mapping(PreprocessConfig, {key: getattr(options, key) for key in names}, "preprocess")
    summary = preprocess(
        options.source, options.out, config, table=options.table, workers=options.workers, scheduler=options.scheduler
    )
    print(summary.text())


def run_train(options: argparse.Namespace) -> None:
    from sapggan_lib.config import TrainConfig, from_mapping
    from sapggan_lib.store import open_store
    from sapggan_lib.training import train

    store = open_store(options.data)
    mapping = read_yaml(options.config) if options.config else {}
    model = {"resolution": store.resolution, "channels": store.channels} | dict(mapping.pop("model", {}))
    for key, value in parse_settings(options.set).items():
        target = model if key.startswith("model.") else mapping
        target[key.removeprefix("model.")] = value
    model |= {key: value for key, value in (("name", options.model), ("resolution", options.resolution)) if value}
    mapping |= {key: getattr(options, key) for key in ("loss", "kimg") if getattr(options, key) is not None}
    config = from_mapping(TrainConfig, mapping | {"model": model}, str(options.config or "train"))
    curve = None
    if options.curve:
        from sapggan_lib import evaluation

        extractor = evaluation.build_extractor()
        real = evaluation.extract_features(evaluation.load_images(options.data), extractor)
        curve = evaluation.FrechetCallback(real, extractor, n=options.curve, seed=config.seed)
        points = tuple(config.kimg * tenth / 10 for tenth in range(1, 11))
        config = replace(config, snapshot_kimg=config.snapshot_kimg or points)
    train(store.images, options.out, config, resume=options.resume, on_snapshot=curve, data_hash=store.hash)


def run_sample(options: argparse.Namespace) -> None:
    import cv2
    import torch

    from sapggan_lib.models import generate, load_generator

    generator = load_generator(options.checkpoint).to("cuda" if torch.cuda.is_available() else "cpu")
    images = generate(generator, options.n, seed=options.seed, truncation=options.truncation)
    if options.format == "dicom":
        from sapggan_lib.dicom import write_secondary_capture

        write_secondary_capture(images, options.out)
    else:
        options.out.mkdir(parents=True, exist_ok=True)
        for index, image in enumerate(images):
            path = options.out / f"{options.seed:04d}_{index:06d}.png"
            if not cv2.imwrite(str(path), image[..., ::-1] if image.ndim == 3 else image):
                raise SapgganError(f"{path}: could not be written; is the disk full?")
    print(f"{options.out}: {len(images)} images of {images.shape[1]}x{images.shape[2]}")


def run_evaluate(options: argparse.Namespace) -> None:
    import json

    from sapggan_lib import evaluation

    sources = (options.real, options.fake)
    sides = [evaluation.load_images(source, n=options.n, seed=options.seed) for source in sources]
    extractor = evaluation.build_extractor(options.extractor)
    real, fake = (evaluation.extract_features(images, extractor) for images in sides)
    result = evaluation.evaluate(real, fake, seed=options.seed)
    print(json.dumps(result.to_dict(), indent=2) if options.json else result.text())


def run_notebooks(options: argparse.Namespace) -> None:
    from sapggan_lib import check
    from sapggan_lib.notebook import RUNS
    from sapggan_lib.plan import plan
    from sapggan_lib.runs import run

    common: dict[str, Any] = {"publishable": options.publishable}
    for key in ("data", "table"):
        path = getattr(options, key)
        if path is not None and not path.exists():
            raise SapgganError(f"--{key} {path}: does not exist")
        if path is not None:
            common[key] = str(path.resolve())
    jobs = plan(options.notebooks, options.profile, parse_settings(options.set), **common)
    folder = RUNS / (options.run or options.profile)
    if folder.name == "profiles" or (folder.name == "reference" and not options.publishable):
        add = "" if folder.name == "profiles" else ", or add --publishable"
        raise SapgganError(f"{folder} is committed, for everyone to see: choose another --run{add}")
    if options.check:
        check.require_reference(RUNS / options.check, folder)
    index = run(jobs, folder, options.profile, options.jobs, options.force, options.scheduler)
    print(f"report: {index}")
    if options.check:
        check.check(folder, RUNS / options.check, jobs)


def run_workshop(options: argparse.Namespace) -> None:
    from sapggan_lib.workshop import write_workshop

    number = write_workshop(options.out)
    print(f"{options.out}: {number} notebooks in student/ and in instructor/, with workshop.md for the instructor")


def run_doctor(options: argparse.Namespace) -> None:
    from sapggan_lib import doctor

    checks = doctor.examine()
    print(doctor.report(checks))
    missing = [check.name for check in checks if check.state == "missing" and check.name != "Inception"]
    if missing:
        raise SapgganError(f"missing: {', '.join(missing)}; the lines above say how to mend each")


def positive(text: str) -> int:
    """A whole number above 0, for argparse."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def parse_settings(settings: Sequence[str]) -> dict[str, Any]:
    """`["key=value", ...]` with YAML values, so that 007 in quotes stays text and [1, 2] is a list."""
    import yaml

    values = {}
    for setting in settings:
        key, separator, value = setting.partition("=")
        if not separator or not key:
            raise SapgganError(f"--set {setting}: write KEY=VALUE")
        try:
            values[key.strip()] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise SapgganError(f"--set {setting}: the value is not YAML; quote it") from None
    return values


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML file that holds a mapping. Raises `SapgganError` when it is missing or something else."""
    import yaml

    if not path.is_file():
        raise SapgganError(f"{path}: no such file")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise SapgganError(f"{path}: not YAML ({str(error).splitlines()[0]})") from None
    if not isinstance(content, dict):
        raise SapgganError(f"{path}: expected `key: value` lines")
    return content


if __name__ == "__main__":
    sys.exit(main())
