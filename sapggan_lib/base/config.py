"""Configurations as frozen dataclasses, built from mappings so that a typing error never passes unseen."""

import dataclasses
import json
import re
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from sapggan_lib.base.errors import SapgganError, near_match

T = TypeVar("T")


@dataclass(frozen=True)
class PreprocessConfig:
    """The paper's preprocessing; defaults are ours where the paper is silent (clip limit, tiles)."""

    size: int = 512                                       # side of the stored images, in pixels
    crop: float = 0.05                                    # share of height and width that the random crop removes
    clip_limit: float = 2.0                               # CLAHE: most by which contrast is multiplied; 0 turns it off
    tiles: int = 8                                        # CLAHE: tiles per side
    channels: Literal[1, 3] = 1                           # 3: gray duplicated, as in the paper
    format: Literal["npy", "pickle"] = "npy"              # pickle: as in the paper
    unknown_view: Literal["drop", "keep"] = "drop"        # files whose header does not tell the view
    burned_in: Literal["drop", "keep"] = "drop"           # files that say that text is burned into their pixels
    keep_paths: bool = False                              # the manifest names files, not keyed hashes of their paths
    seed: int = 0                                         # of the random crop, with each image's own pixels


def from_mapping(cls: type[T], mapping: Mapping[str, Any], where: str) -> T:
    """Build the dataclass `cls` from `mapping`, refusing unknown keys and wrong types.

    `where` names the source in errors (a file, a command-line option). Lists become tuples, whole numbers are
    taken for floats, nested mappings become nested dataclasses. Raises `SapgganError` with the near match.
    """
    if not isinstance(mapping, Mapping):
        raise SapgganError(f"{where}: expected a mapping of {cls.__name__} keys, got {type(mapping).__name__}")
    hints = typing.get_type_hints(cls)
    for key in mapping:
        if key not in hints:
            raise SapgganError(f'{where}: unknown key "{key}"; {near_match(str(key), hints)}')
    values = {key: _convert(value, hints[key], f'{where}: "{key}"') for key, value in mapping.items()}
    try:
        return cls(**values)
    except SapgganError as error:  # the dataclass itself refuses a value
        raise SapgganError(f"{where}: {error}") from None


def to_mapping(config: Any) -> dict[str, Any]:
    """The inverse of `from_mapping`: plain values that JSON and YAML can hold."""
    return json.loads(json.dumps(dataclasses.asdict(config)))


def load_yaml(text: str) -> Any:
    """Plain values from YAML. Unlike in YAML 1.1, `1e-4` and `1e16` are numbers, as JSON and Python write them."""
    import yaml

    class Loader(yaml.SafeLoader):
        pass

    number = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$")
    Loader.add_implicit_resolver("tag:yaml.org,2002:float", number, list("-+.0123456789"))
    return yaml.load(text, Loader)


def _convert(value: Any, kind: Any, where: str) -> Any:
    """`value` as the type hint `kind` says: a dataclass, a Literal, one type or None, many of one type, or plain."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if dataclasses.is_dataclass(kind):
        return value if isinstance(value, kind) else from_mapping(kind, value, where)  # type: ignore[arg-type]
    if origin in (typing.Union, types.UnionType):
        return None if value is None else _convert(value, arguments[0], where)
    if origin is Literal:
        if any(value == choice and type(value) is type(choice) for choice in arguments):
            return value
        choices = [str(choice) for choice in arguments]
        close = near_match(str(value), choices)
        hint = f"; {close}" if close.startswith("did you mean") else ""
        raise SapgganError(f"{where} must be one of {', '.join(choices)}, not {value!r}{hint}")
    if origin in (tuple, list):
        if not isinstance(value, (list, tuple)):
            raise SapgganError(f"{where} must be a list, not {value!r}")
        return origin(_convert(item, arguments[0], where) for item in value)
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        raise SapgganError(f"{where} must be {kind.__name__}, not {type(value).__name__} {value!r}")
    return value
