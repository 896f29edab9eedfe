"""What each `sapggan` command does with its options; each imports what it needs, so that `--help` is quick."""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from sapggan_lib.base.errors import SapgganError


def phantom(options: argparse.Namespace) -> None:
    from sapggan_lib.phantoms import write_phantoms

    paths = write_phantoms(options.out, n=options.n, seed=options.seed)
    print(f"{options.out}: {len(paths)} synthetic DICOM files")


def preprocess(options: argparse.Namespace) -> None:
    from sapggan_lib.base.config import PreprocessConfig, from_mapping
    from sapggan_lib.preprocessing import preprocess

    names = PreprocessConfig.__dataclass_fields__
    config = from_mapping(PreprocessConfig, {key: getattr(options, key) for key in names}, "preprocess")
    summary = preprocess(
        options.source, options.out, config, table=options.table, workers=options.workers, scheduler=options.scheduler,
        retry_failed=options.retry_failed,
    )
    print(summary.text())


def which(options: argparse.Namespace) -> None:
    from sapggan_lib.privacy import HASH_DIGITS, original_path

    is_index = options.index.isdigit() and len(options.index) < HASH_DIGITS
    print(original_path(options.store, int(options.index) if is_index else options.index))


def train(options: argparse.Namespace) -> None:
    from sapggan_lib.base.config import from_mapping
    from sapggan_lib.store import open_store
    from sapggan_lib.training import TrainConfig, dry_run, train

    store = open_store(options.data)
    mapping = read_yaml(options.config) if options.config else {}
    model = {"resolution": store.resolution, "channels": store.channels} | dict(mapping.pop("model", {}))
    for key, value in parse_settings(options.set).items():
        target = model if key.startswith("model.") else mapping
        target[key.removeprefix("model.")] = value
    model |= {key: value for key, value in (("name", options.model), ("resolution", options.resolution)) if value}
    mapping |= {key: getattr(options, key) for key in ("loss", "kimg") if getattr(options, key) is not None}
    config = from_mapping(TrainConfig, mapping | {"model": model}, str(options.config or "train"))
    if options.curve:
        points = tuple(config.kimg * tenth / 10 for tenth in range(1, 11))
        config = replace(config, snapshot_kimg=config.snapshot_kimg or points)
    if options.dry_run:
        return dry_run(store.images, options.out, config, resume=options.resume, data_hash=store.hash)
    curve = None
    if options.curve:
        from sapggan_lib import evaluation

        extractor = evaluation.build_extractor()
        real = evaluation.extract_features(evaluation.load_images(options.data), extractor)
        curve = evaluation.FrechetCallback(real, extractor, n=options.curve, seed=config.seed)
    train(store.images, options.out, config, resume=options.resume, on_snapshot=curve, data_hash=store.hash)


def sample(options: argparse.Namespace) -> None:
    import torch

    from sapggan_lib.base.images import write_png
    from sapggan_lib.models import generate, load_generator

    generator = load_generator(options.checkpoint).to("cuda" if torch.cuda.is_available() else "cpu")
    images = generate(generator, options.n, seed=options.seed, truncation=options.truncation)
    if options.format == "dicom":
        from sapggan_lib.dicom import write_secondary_capture

        write_secondary_capture(images, options.out)
    else:
        for index, image in enumerate(images):
            write_png(options.out / f"{options.seed:04d}_{index:06d}.png", image)
    print(f"{options.out}: {len(images)} images of {images.shape[1]}x{images.shape[2]}")


def evaluate(options: argparse.Namespace) -> None:
    import json

    from sapggan_lib import evaluation

    sources = (options.real, options.fake)
    sides = [evaluation.load_images(source, n=options.n, seed=options.seed) for source in sources]
    extractor = evaluation.build_extractor(options.extractor)
    real, fake = (evaluation.extract_features(images, extractor) for images in sides)
    result = evaluation.evaluate(real, fake, seed=options.seed)
    print(json.dumps(result.to_dict(), indent=2) if options.json else result.text())


def run(options: argparse.Namespace) -> None:
    from sapggan_lib.notebook import RUNS
    from sapggan_lib.runs import check, plan, require_reference, run, run_folder

    common: dict[str, Any] = {"publishable": options.publishable}
    for key in ("data", "table"):
        path = getattr(options, key)
        if path is not None and not path.exists():
            raise SapgganError(f"--{key} {path}: does not exist")
        if path is not None:
            common[key] = str(path.resolve())
    jobs = plan(options.notebooks, options.profile, parse_settings(options.set), **common)
    folder = run_folder(RUNS, options.run or options.profile, all(job.publishable for job in jobs))
    if options.check:
        require_reference(run_folder(RUNS, options.check, publishable=True), folder)
    index = run(jobs, folder, options.profile, options.jobs, options.force, options.scheduler)
    print(f"report: {index}")
    if options.check:
        check(folder, RUNS / options.check, jobs)


def workshop(options: argparse.Namespace) -> None:
    from sapggan_lib.runs import write_workshop

    number = write_workshop(options.out)
    print(f"{options.out}: {number} notebooks in student/ and in instructor/, with workshop.md for the instructor")


def doctor(options: argparse.Namespace) -> None:
    from sapggan_lib import doctor

    checks = doctor.examine()
    print(doctor.report(checks))
    missing = [check.name for check in checks if check.state == "missing" and check.name != "Inception"]
    if missing:
        raise SapgganError(f"missing: {', '.join(missing)}; the lines above say how to mend each")
    if options.device:
        failed = []
        for check in doctor.examine_device():
            print(doctor.report([check]), flush=True)
            failed += [check.name] if check.state == "failed" else []
        if failed:
            raise SapgganError(f"wrong on this device: {', '.join(failed)}; the lines above say how to do without")


def parse_settings(settings: Sequence[str]) -> dict[str, Any]:
    """`["key=value", ...]` with YAML values, so that 007 in quotes stays text and [1, 2] is a list."""
    import yaml

    from sapggan_lib.base.config import load_yaml

    values = {}
    for setting in settings:
        key, separator, value = setting.partition("=")
        if not separator or not key:
            raise SapgganError(f"--set {setting}: write KEY=VALUE")
        try:
            values[key.strip()] = load_yaml(value)
        except yaml.YAMLError:
            raise SapgganError(f"--set {setting}: the value is not YAML; quote it") from None
    return values


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML file that holds a mapping. Raises `SapgganError` when it is missing or something else."""
    import yaml

    from sapggan_lib.base.config import load_yaml

    if not path.is_file():
        raise SapgganError(f"{path}: no such file")
    try:
        content = load_yaml(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise SapgganError(f"{path}: not YAML ({str(error).splitlines()[0]})") from None
    if not isinstance(content, dict):
        raise SapgganError(f"{path}: expected `key: value` lines")
    return content
