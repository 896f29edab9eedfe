"""A notebook's parameters: its one typed `parameters` cell, read strictly."""

import ast
import dataclasses
import functools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sapggan_lib.base.config import from_mapping
from sapggan_lib.base.errors import SapgganError

TYPES = {
    "int": int, "float": float, "str": str, "bool": bool,
    "list[int]": list[int], "list[float]": list[float], "list[str]": list[str],
}  # fmt: skip


def parameter_class(path: Path) -> type:
    """A frozen dataclass of the notebook's one `parameters` cell, whose lines read `name: type = value`.

    Raises `SapgganError` when there is not one such cell, or a line of another form.
    """
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    tagged = [cell for cell in cells if "parameters" in cell["metadata"].get("tags", [])]
    if len(tagged) != 1:
        raise SapgganError(f"{path.name}: {len(tagged)} cells are tagged `parameters`; tag exactly one")
    fields: list[tuple[str, Any, Any]] = []
    for line in ast.parse("".join(tagged[0]["source"])).body:
        kind = TYPES.get(ast.unparse(line.annotation)) if isinstance(line, ast.AnnAssign) else None
        if not isinstance(line, ast.AnnAssign) or not isinstance(line.target, ast.Name) or not kind or not line.value:
            raise SapgganError(f"{path.name}: parameters cell, line {line.lineno}: write `name: type = value` with a "
                               f"type of {', '.join(TYPES)}")  # fmt: skip
        default = functools.partial(ast.literal_eval, line.value)  # a list of its own each time
        fields.append((line.target.id, kind, dataclasses.field(default_factory=default)))
    return dataclasses.make_dataclass("Parameters", fields, frozen=True)


def parameter_names(path: Path) -> set[str]:
    """The names that the notebook's `parameters` cell has."""
    return {field.name for field in dataclasses.fields(parameter_class(path))}


def resolve_parameters(path: Path, values: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The notebook's parameters with `values` over the defaults; unknown names and wrong types are refused."""
    return dataclasses.asdict(from_mapping(parameter_class(path), values, where))


def injected_names(cells: Sequence[str]) -> set[str]:
    """What papermill's own cell assigns, among the sources of cells that the kernel ran so far."""
    lines = [line for cell in cells if cell.startswith("# Parameters\n") for line in ast.parse(cell).body]
    return {line.targets[0].id for line in lines if isinstance(line, ast.Assign)}  # type: ignore[attr-defined]
