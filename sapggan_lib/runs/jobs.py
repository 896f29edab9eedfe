"""Which notebooks a run executes, with which parameters: profiles, strict names and types, cache keys."""

import ast
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sapggan_lib.base.config import load_yaml
from sapggan_lib.base.errors import SapgganError, near_match
from sapggan_lib.base.files import ROOT, hash_listing, sha256_file
from sapggan_lib.notebook import NOTEBOOKS, RUNS, hide, is_place, parameter_names, resolve_parameters

LIBRARY = ROOT / "sapggan_lib"
Rooms = dict[str, tuple[str, set[str]]]  # by a room's name the hash of its files, and what they import


@dataclass(frozen=True)
class Job:
    """One notebook of a run."""

    name: str                        # "04_model_comparison"
    source: Path
    parameters: dict[str, Any]       # all of them, resolved, without run_dir
    needs: tuple[str, ...]           # notebooks whose results it reads
    key: str                         # hash of cells, parameters, library, input files and the needed jobs' keys
    publishable: bool = False        # the whole run's: every notebook that can show input images must not


def available() -> list[Path]:
    """The notebooks, in reading order."""
    paths = sorted(NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))
    if not paths:
        raise SapgganError(f"{NOTEBOOKS}: no notebooks; run `sapggan` from a clone of the project")
    return paths


def load_profile(name: str) -> dict[str, dict[str, Any]]:
    """Parameters per notebook from `papermill_runs/profiles/NAME.yml`, `all:` spread over those that know the name."""
    path = RUNS / "profiles" / f"{name}.yml"
    profiles = sorted(profile.stem for profile in path.parent.glob("*.yml"))
    if name not in profiles:
        raise SapgganError(f'profile "{name}" does not exist; {near_match(name, profiles)}')
    content = load_yaml(path.read_text(encoding="utf-8"))
    sources = {source.stem: source for source in available()}
    _refuse_unknown(content, ["description", "all", "notebooks"], f"{path}: unknown key")
    _refuse_unknown(content.get("notebooks", {}), sources, f"{path}: unknown notebook")
    known = {stem: parameter_names(source) for stem, source in sources.items()}
    shared = content.get("all", {})
    _refuse_unknown(shared, set().union(*known.values()), f"{path}: all: no notebook has a parameter")
    parameters = {}
    for stem, source in sources.items():
        values = {key: value for key, value in shared.items() if key in known[stem]}
        values |= content.get("notebooks", {}).get(stem) or {}
        parameters[stem] = resolve_parameters(source, values, f"{path}: {stem}")
    return parameters


def plan(names: Sequence[str], profile: str, settings: Mapping[str, Any] | None = None, **common: Any) -> list[Job]:
    """The jobs for the notebooks `names` (all when empty; "04" is enough) and what they need, in running order.

    `settings` are the user's (`--set`): `key` for every notebook that has it, or `04.key` for one. `common` values
    (data, publishable) go to every notebook that knows them. Wrong names and types raise `SapgganError`, and so does
    a file or folder that is not there.
    """
    sources = {source.stem: source for source in available()}
    contents = {stem: json.loads(source.read_text(encoding="utf-8")) for stem, source in sources.items()}
    needs = {stem: tuple(_find(name, sources) for name in content["metadata"].get("sapggan", {}).get("needs", []))
             for stem, content in contents.items()}  # fmt: skip
    parameters = load_profile(profile)
    for values in parameters.values():
        values |= {key: value for key, value in common.items() if key in values}
    for setting, value in (settings or {}).items():
        _apply(setting, value, parameters, sources)
    wanted = _after_needs([_find(name, sources) for name in names or sources], needs)
    flags = [parameters[stem]["publishable"] for stem in wanted if "publishable" in parameters[stem]]
    publishable = all(flags) if flags else bool(common.get("publishable"))
    rooms, inputs = read_library(), dict[str, str]()
    jobs: dict[str, Job] = {}
    for stem in wanted:
        values = {key: value for key, value in parameters[stem].items() if key != "run_dir"}
        cells = contents[stem]["cells"]
        key = hash_json([[cell["source"] for cell in cells], values, hash_library(cells, rooms),
                         hash_inputs(values, stem, inputs), publishable, [jobs[needed].key for needed in needs[stem]]])
        jobs[stem] = Job(stem, sources[stem], values, needs[stem], key, publishable)
    return list(jobs.values())


def _apply(setting: str, value: Any, parameters: dict[str, dict[str, Any]], sources: Mapping[str, Path]) -> None:
    """Set `key` wherever it is known, or `04.key` in one notebook."""
    notebook, _, key = setting.rpartition(".")
    stems = [_find(notebook, sources)] if notebook else list(sources)
    known = set().union(*(parameters[stem] for stem in stems))
    _refuse_unknown([key], known, "--set: no notebook has a parameter")
    for stem in stems:
        if key in parameters[stem]:
            where = f"--set {setting}" if notebook else "--set"
            parameters[stem] = resolve_parameters(sources[stem], parameters[stem] | {key: value}, where)


def _after_needs(stems: Iterable[str], needs: Mapping[str, Sequence[str]]) -> list[str]:
    """`stems` and what they need, each after what it needs itself."""
    order: dict[str, None] = {}
    for stem in stems:
        order |= dict.fromkeys([*_after_needs(needs[stem], needs), stem])
    return list(order)


def _find(name: str, sources: Mapping[str, Path]) -> str:
    matches = [stem for stem in sources if stem == Path(name).stem or stem.startswith(f"{name}_")]
    if not matches:
        raise SapgganError(f'notebook "{name}" does not exist; {near_match(name, sources)}')
    return matches[0]


def _refuse_unknown(keys: Iterable[str], known: Iterable[str], message: str) -> None:
    for key in keys:
        if key not in known:
            raise SapgganError(f'{message} "{key}"; {near_match(key, known)}')


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
