"""A run for its readers: web pages that open from a file with no network, and what an independent check recreates."""

import hashlib
import html
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from sapggan_lib.base.files import ROOT, write_text

TEMPLATES = Path(__file__).parent / "templates"
PAGE = "generator.html"                # of a run's generator, beside its report
SPECIFICATION = "https://codecheck.org.uk/spec/config/1.0/"
MATH = re.compile(  # code first, so that dollars in it are passed over; prices are no equations, as in Pandoc
    r"<(code|pre)\b.*?</\1>|\$\$(?P<block>[^$]+)\$\$|\$(?=\S)(?P<inline>[^$<]+)(?<=\S)\$(?!\d)", re.DOTALL
)


def write_report(folder: Path) -> Path:
    """Write `NOTEBOOK.html` for each executed notebook of the run in `folder`, and `index.html`; returns its path."""
    record = json.loads((folder / "record.json").read_text(encoding="utf-8"))
    executed = sorted(folder.glob("[0-9][0-9]_*.ipynb"))
    names = [path.stem for path in executed]
    looks = b"".join((TEMPLATES / name).read_bytes() for name in ("notebook.html", "notebook.css"))
    for path in executed:
        page = path.with_suffix(".html")
        facts = hashlib.sha256(path.read_bytes() + looks + repr(names).encode()).hexdigest()
        mark = f"<!-- made of {facts} -->\n"          # not by time: clocks step, and copies have any
        if not page.exists() or not page.read_text(encoding="utf-8").endswith(mark):
            write_text(page, notebook_page(path, names) + mark)
    for page in folder.glob("[0-9][0-9]_*.html"):
        if page.stem not in names:
            page.unlink()
    index = folder / "index.html"
    write_text(index, index_page(record, {path.stem: title(path) for path in executed}))
    return index


def notebook_page(path: Path, names: list[str]) -> str:
    """The executed notebook as one HTML page with links to its neighbours and nothing loaded from a network."""
    from jinja2 import pass_context
    from nbconvert import HTMLExporter

    place = names.index(path.stem)
    links = [("←", name) for name in names[max(place - 1, 0):place]] + [("→", name) for name in names[place + 1:][:1]]
    exporter = HTMLExporter(embed_images=True, template_file=str(TEMPLATES / "notebook.html"))
    to_html = exporter.environment.filters["markdown2html"]
    exporter.register_filter("markdown2html", pass_context(lambda context, text: equations(to_html(context, text))))
    return exporter.from_filename(str(path), resources={"run_links": links})[0]


def equations(page: str) -> str:
    """HTML with MathML, which browsers draw, in place of TeX between dollars; code with dollars stays as it is."""
    from latex2mathml.converter import convert

    def mathml(found: re.Match[str]) -> str:
        tex, display = (found["block"], "block") if found["block"] else (found["inline"], "inline")
        return convert(html.unescape(tex), display=display) if tex else found[0]

    return MATH.sub(mathml, page)


def index_page(record: dict[str, Any], titles: dict[str, str]) -> str:
    """The run's front page: a card for each notebook with its figures, then the record."""
    from jinja2 import Environment, FileSystemLoader

    data: dict[str, Any] = next((entry["data"] for entry in record["notebooks"].values() if entry.get("data")), {})
    facts = {
        "Profile": record["profile"],
        "Publishable": "yes" if record["publishable"] else "no",
        "Finished": f"{record['finished']}, after {record['seconds']:,.0f} s",
        "Commit": commit_of(record["git"]),
        "Device": record["device"],
        "Data": ", ".join(f"{key} {value}" for key, value in data.items()),
        "Versions": ", ".join(f"{name} {version}" for name, version in record["versions"].items()),
    }
    outcomes = sorted((dict.fromkeys(titles, "") | record["outcomes"]).items())
    page = Environment(autoescape=True, loader=FileSystemLoader(TEMPLATES)).get_template("index.html")
    return page.render(record=record, page=PAGE, outcomes=outcomes, titles=titles, facts=facts, commit=commit_of) + "\n"


def commit_of(git: Mapping[str, Any]) -> str:
    """The state of the checkout, for people."""
    return (git["commit"][:12] or "unknown") + (" with local changes" if git["dirty"] else "")


def title(path: Path) -> str:
    """The first heading of a notebook."""
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        for line in "".join(cell["source"]).splitlines():
            if cell["cell_type"] == "markdown" and line.startswith("# "):
                return line[2:].strip()
    return path.stem


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
