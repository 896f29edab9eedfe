"""What a notebook's results depend on beside its cells and parameters: input files, and the library that it imports."""

import ast
import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from sapggan_lib.base.errors import SapgganError
from sapggan_lib.base.files import ROOT, hash_listing, sha256_file
from sapggan_lib.notebook import hide, is_place

LIBRARY = ROOT / "sapggan_lib"
Rooms = dict[str, tuple[str, set[str]]]  # by a room's name the hash of its files, and what they import


def read_library() -> Rooms:
    """All rooms of the library: folders, and modules beside them."""
    rooms = {}
    for place in LIBRARY.iterdir():
        files = [place] if place.suffix == ".py" else sorted(place.rglob("*.py"))
        code = [path.read_text(encoding="utf-8") for path in files]
        if code:                             # else a folder of caches, left where a module has moved
            rooms[place.stem] = hash_json(code), imported_rooms(code)
    return rooms


def imported_rooms(code: Iterable[str]) -> set[str]:
    """What pieces of Python code import from the library, anywhere in them; none of what is not Python."""
    names: list[str] = []
    for piece in code:
        try:
            nodes = list(ast.walk(ast.parse(piece)))
        except SyntaxError:
            continue
        for node in nodes:
            if isinstance(node, ast.Import):
                names += [name.name for name in node.names]
            elif isinstance(node, ast.ImportFrom):
                names += [f"{node.module}.{name.name}" for name in node.names]
    return {name.split(".")[1] for name in names if name.startswith("sapggan_lib.")}


def hash_library(cells: Iterable[Mapping[str, Any]], rooms: Rooms) -> dict[str, str]:
    """The hash of each room that a notebook's cells import, directly or through other rooms."""
    from IPython.core.inputtransformer2 import TransformerManager

    plain = TransformerManager().transform_cell  # without magics
    new = imported_rooms(plain("".join(cell["source"])) for cell in cells if cell["cell_type"] == "code")
    found: dict[str, str] = {}
    while new := new & rooms.keys() - found.keys():
        for room in new:
            found[room] = rooms[room][0]
        new = set().union(*(rooms[room][1] for room in new))
    return found


def hash_inputs(parameters: Mapping[str, Any], notebook: str, known: dict[str, str]) -> dict[str, str]:
    """The hash of each file and folder that `parameters` name; taken from `known` or added to it, as it may be large.

    Of a file its contents; of a folder the names, sizes and times of its files. Raises `SapgganError` for one that
    is not there.
    """
    found = {}
    for name, value in hide(parameters)[1].items():
        for place in filter(is_place, value if isinstance(value, list) else [value]):
            path = ROOT / place              # notebooks run in the project's folder
            try:
                if place not in known:
                    known[place] = hash_listing(path) if path.is_dir() else sha256_file(path)
            except FileNotFoundError:
                raise SapgganError(f"{notebook}: {name}: {place} does not exist") from None
            except OSError as error:
                raise SapgganError(f"{notebook}: {name}: {place} cannot be read ({error.strerror})") from error
            found[place] = known[place]
    return found


def hash_json(value: Any) -> str:
    """SHA-256 of a JSON value, in hexadecimal."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
