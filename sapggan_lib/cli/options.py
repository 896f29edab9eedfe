"""Kinds of options: a configuration's fields with their types and defaults, `--set`, YAML files; and what they make."""

import importlib
import typing
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sapggan_lib.base.config import from_mapping, load_yaml
from sapggan_lib.base.errors import SapgganError, near_match

if TYPE_CHECKING:
    from sapggan_lib.training import TrainConfig

PATH = click.Path(path_type=Path)
POSITIVE = click.IntRange(min=1)


class OneOf(click.Choice):
    """One of some words or numbers; another one is refused with the near match."""

    def get_invalid_choice_message(self, value: Any, ctx: click.Context | None) -> str:
        return f"{value!r} is none of the choices; {near_match(str(value), map(str, self.choices))}"


class Registered(click.ParamType):
    """A name in a room's registry, which is opened only for a name that is given: `--help` is quick without torch."""

    name = "name"

    def __init__(self, room: str, registry: str):
        self.room, self.registry = room, registry

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        known = getattr(importlib.import_module(f"sapggan_lib.{self.room}"), self.registry)
        if value not in known:
            self.fail(f"{value!r} is none of the choices; {near_match(value, known)}", param, ctx)
        return value


def field(config: type, name: str, text: str) -> Callable[[Any], Any]:
    """The option `--NAME` for a field of the dataclass `config`, with its type, choices and default."""
    kind = typing.get_type_hints(config)[name]
    choices = typing.get_args(kind)  # of a Literal
    return click.option(f"--{name.replace('_', '-')}", type=OneOf(choices) if choices else kind, help=text,
                        default=getattr(config, name), show_default=kind is not bool, is_flag=kind is bool)  # fmt: skip


def parse_settings(settings: Sequence[str]) -> dict[str, Any]:
    """`["key=value", ...]` with YAML values, so that 007 in quotes stays text and [1, 2] is a list."""
    import yaml

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

    if not path.is_file():
        raise SapgganError(f"{path}: no such file")
    try:
        content = load_yaml(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise SapgganError(f"{path}: not YAML ({str(error).splitlines()[0]})") from None
    if not isinstance(content, dict):
        raise SapgganError(f"{path}: expected `key: value` lines")
    return content


def training_config(
    file: Path | None,        # YAML with fields of TrainConfig
    network: dict[str, Any],  # fields of its model that the store gives
    settings: Sequence[str],  # KEY=VALUE
    flags: dict[str, Any],    # by key, None where not given
) -> "TrainConfig":
    """The configuration: flags go over settings, these over the file, and this over what the store gives."""
    from sapggan_lib.training import TrainConfig

    mapping = read_yaml(file) if file else {}
    if isinstance(mapping.get("model"), dict):  # else `from_mapping` says what is wrong with it
        network |= mapping.pop("model")
    for key, value in (parse_settings(settings) | {k: v for k, v in flags.items() if v is not None}).items():
        target = network if key.startswith("model.") else mapping
        target[key.removeprefix("model.")] = value
    return from_mapping(TrainConfig, {"model": network} | mapping, str(file or "train"))
