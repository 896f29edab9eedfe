"""What `sapggan train` makes of its options: classes and labels of a store, a configuration."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sapggan_lib.base.config import from_mapping
from sapggan_lib.cli.options import PATH, parse_settings, read_yaml

if TYPE_CHECKING:
    from sapggan_lib.training import TrainConfig


def condition_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that `read_condition` takes."""
    for option in (
        click.option("--classes", metavar="A,B", help="Values that are classes, all others one.  [default: each]"),
        click.option("--labels", type=PATH, metavar="CSV", help="A table that names the store's files."),
        click.option("--condition", metavar="COLUMN", help="Of the manifest or of --labels: classes to learn."),
    ):
        command = option(command)
    return command


def read_condition(store: Any, condition: str | None, labels: Path | None, classes: str | None) -> tuple[Any, Any]:
    """Classes and labels of a store's images; none without a condition."""
    if condition:
        from sapggan_lib.training import read_labels

        return read_labels(store, condition, labels, [name.strip() for name in (classes or "").split(",") if name])
    if labels or classes:
        raise click.UsageError("--labels and --classes need --condition COLUMN")
    return (), None


def training_config(
    file: Path | None,        # YAML with fields of TrainConfig
    network: dict[str, Any],  # fields of its model that the store gives
    settings: Sequence[str],  # KEY=VALUE
    flags: dict[str, Any],    # by key, None where not given
) -> "TrainConfig":
    """The configuration: flags go over settings, these over the file, and this over what the store gives."""
    from sapggan_lib.training import TrainConfig

    mapping = read_yaml(file) if file else {}
    network |= dict(mapping.pop("model", {}))
    for key, value in (parse_settings(settings) | {k: v for k, v in flags.items() if v is not None}).items():
        target = network if key.startswith("model.") else mapping
        target[key.removeprefix("model.")] = value
    return from_mapping(TrainConfig, {"model": network} | mapping, str(file or "train"))
