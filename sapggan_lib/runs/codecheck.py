"""What an independent check of a run has to recreate: codecheck.yml, https://codecheck.org.uk/spec/config/1.0/."""

import json
from pathlib import Path
from typing import Any

import yaml

from sapggan_lib.base.files import ROOT, write_text
from sapggan_lib.runs.report import title

SPECIFICATION = "https://codecheck.org.uk/spec/config/1.0/"


def write_codecheck(folder: Path) -> None:
    """Write codecheck.yml into the run's folder, which is the bundle: what an author can state, made from its record.

    Its manifest lists each figure and result under its notebook's title. `codechecker`, `report`, `summary`,
    `check_time` and `certificate` are the codechecker's to add, authors' ORCIDs and the paper's `reference` theirs.
    """
    record = json.loads((folder / "record.json").read_text(encoding="utf-8"))
    paper = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))["preferred-citation"]
    authors = [{"name": f"{author['given-names']} {author['family-names']}"} for author in paper["authors"]]
    manifest = []
    for name, entry in record["notebooks"].items():
        heading = title(folder / f"{name}.ipynb") if (folder / f"{name}.ipynb").is_file() else name
        for kind in ("figures", "results"):
            manifest += [{"file": f"{kind}/{file}", "comment": f"{heading}: {_words(file)}"} for file in entry[kind]]
    options = f"--profile {record['profile']} --run {record['run']}" + " --publishable" * record["publishable"]
    made: dict[str, Any] = {"command": f"sapggan run {options}", **record["git"], "seconds": record["seconds"]}
    content = {"version": SPECIFICATION, "manifest": manifest, "paper": {"title": paper["title"], "authors": authors},
               "sapggan_run": made}  # fmt: skip
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120)
    write_text(folder / "codecheck.yml", f"%YAML 1.1\n---\n{text}")


def _words(file: str) -> str:
    """"04_frechet_curves.png" as "frechet curves (png)"."""
    stem, _, kind = file[3:].rpartition(".")
    return f"{stem.replace('_', ' ')} ({kind})"
