"""What an independent check of a run has to recreate: codecheck.yml, https://codecheck.org.uk/spec/config/1.0/."""

import json
from pathlib import Path

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
    files = [(f"{kind}/{file}", file, title(folder / f"{name}.ipynb")) for name, entry in record["notebooks"].items()
             for kind in ("figures", "results") for file in entry[kind]]  # fmt: skip
    content = {
        "version": SPECIFICATION,
        "manifest": [{"file": path, "comment": f"{heading} ({file[3:]})"} for path, file, heading in files],
        "paper": {"title": paper["title"], "authors": authors},
        "sapggan": {key: record[key] for key in ("run", "profile", "publishable", "seconds", "git", "device")},
    }
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120)
    write_text(folder / "codecheck.yml", f"%YAML 1.1\n---\n{text}")
