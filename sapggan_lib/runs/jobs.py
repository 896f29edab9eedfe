"""Which notebooks a run executes, with which parameters: profiles, strict names and types, cache keys."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sapggan_lib.base.config import load_yaml
from sapggan_lib.base.errors import SapgganError, near_match
from sapggan_lib.base.files import ROOT, hash_listing, sha256_file
from sapggan_lib.notebook import NOTEBOOKS, RUNS, hide, is_place, parameter_names, resolve_parameters


@dataclass(frozen=True)
class Job:
    """One notebook of a run."""

    name: str                        # "04_model_comparison"
    source: Path
    parameters: dict[str, Any]       # all of them, resolved, without run_dir
    needs: tuple[str, ...]           # notebooks whose results it reads
    key: str                         # hash of source, parameters, library, input files and the needed jobs' keys
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
    for key in content:
        if key not in ("description", "all", "notebooks"):
            raise SapgganError(f'{path}: unknown key "{key}"; {near_match(key, ["description", "all", "notebooks"])}')
    sources = {source.stem: source for source in available()}
    for notebook in content.get("notebooks", {}):
        if notebook not in sources:
            raise SapgganError(f'{path}: unknown notebook "{notebook}"; {near_match(notebook, sources)}')
    parameters = {}
    known = {stem: parameter_names(source) for stem, source in sources.items()}
    for key in content.get("all", {}):
        _check_known(key, known, f"{path}: all")
    for stem, source in sources.items():
        shared = {key: value for key, value in content.get("all", {}).items() if key in known[stem]}
        own = content.get("notebooks", {}).get(stem) or {}
        parameters[stem] = resolve_parameters(source, shared | own, f"{path}: {stem}")
    return parameters


def plan(names: Sequence[str], profile: str, settings: Mapping[str, Any] | None = None, **common: Any) -> list[Job]:
    """The jobs for the notebooks `names` (all when empty; "04" is enough) and what they need, in running order.

    `settings` are the user's (`--set`): `key` for every notebook that has it, or `04.key` for one. `common` values
    (data, publishable) go to every notebook that knows them. Wrong names and types raise `SapgganError`, and so does
    a file or folder that is not there.
    """
    sources = {source.stem: source for source in available()}
    parameters = load_profile(profile)
    known = {stem: parameter_names(source) for stem, source in sources.items()}
    for stem in sources:
        parameters[stem] |= {key: value for key, value in common.items() if key in known[stem]}
    for key, value in (settings or {}).items():
        notebook, _, parameter = key.rpartition(".")
        targets = {_find(notebook, sources): known[_find(notebook, sources)]} if notebook else known
        _check_known(parameter, targets, "--set")
        for stem in targets:
            if parameter in known[stem]:
                where = f"--set {stem}.{parameter}" if notebook else "--set"
                parameters[stem] = resolve_parameters(sources[stem], parameters[stem] | {parameter: value}, where)
    needs = {stem: _needs(source, sources) for stem, source in sources.items()}
    wanted: list[str] = []

    def want(stem: str) -> None:
        for needed in needs[stem]:
            want(needed)
        if stem not in wanted:
            wanted.append(stem)

    for name in names or sources:
        want(_find(name, sources))
    flags = [parameters[stem]["publishable"] for stem in wanted if "publishable" in parameters[stem]]
    publishable = all(flags) if flags else bool(common.get("publishable"))
    library = _hash_files(sorted((ROOT / "sapggan_lib").rglob("*.py")))
    inputs: dict[str, str] = {}      # contents by place: every notebook has the same folder, and it may be large
    jobs: dict[str, Job] = {}
    for stem in wanted:
        parameters[stem].pop("run_dir", None)
        cells = [cell["source"] for cell in json.loads(sources[stem].read_text(encoding="utf-8"))["cells"]]
        used = {}
        for name, value in hide(parameters[stem])[1].items():
            for place in filter(is_place, value if isinstance(value, list) else [value]):
                used[place] = inputs[place] = inputs.get(place) or _hash_contents(place, f"{stem}: {name}")
        facts = [cells, parameters[stem], library, used, publishable, [jobs[needed].key for needed in needs[stem]]]
        key = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
        jobs[stem] = Job(stem, sources[stem], parameters[stem], needs[stem], key, publishable)
    return list(jobs.values())


def _hash_contents(place: str, where: str) -> str:
    """Of a file its contents; of a folder the names, sizes and times of its files."""
    path = ROOT / place              # notebooks run in the project's folder
    try:
        return hash_listing(path) if path.is_dir() else sha256_file(path)
    except FileNotFoundError:
        raise SapgganError(f"{where}: {place} does not exist") from None
    except OSError as error:
        raise SapgganError(f"{where}: {place} cannot be read ({error.strerror})") from error


def _find(name: str, sources: Mapping[str, Path]) -> str:
    matches = [stem for stem in sources if stem == Path(name).stem or stem.startswith(f"{name}_")]
    if not matches:
        raise SapgganError(f'notebook "{name}" does not exist; {near_match(name, sources)}')
    return matches[0]


def _needs(source: Path, sources: Mapping[str, Path]) -> tuple[str, ...]:
    metadata = json.loads(source.read_text(encoding="utf-8"))["metadata"]
    return tuple(_find(name, sources) for name in metadata.get("sapggan", {}).get("needs", []))


def _check_known(key: str, known: Mapping[str, set[str]], where: str) -> None:
    everything = set().union(*known.values())
    if key not in everything:
        raise SapgganError(f'{where}: no notebook has a parameter "{key}"; {near_match(key, everything)}')


def _hash_files(paths: Sequence[Path]) -> str:
    return hashlib.sha256(b"".join(hashlib.sha256(path.read_bytes()).digest() for path in paths)).hexdigest()
