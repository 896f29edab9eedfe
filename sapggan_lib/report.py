"""A run as web pages: every executed notebook in HTML and an index, readable from a file with no network."""

import hashlib
import html
import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sapggan_lib.files import write_text
from sapggan_lib.page import PAGE

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
h1 { line-height: 1.2 } a { color: #0b5394 }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(17rem, 1fr)); gap: 1rem; padding: 0 }
.cards > li { list-style: none; border: 1px solid #ddd; border-radius: 6px; padding: 1rem }
.thumbnails { display: flex; flex-wrap: wrap; gap: .5rem }
.thumbnails img { max-height: 6rem; max-width: 100%; border: 1px solid #eee }
table { border-collapse: collapse; width: 100%; table-layout: fixed; overflow-wrap: anywhere }
td, th { border-bottom: 1px solid #ddd; padding: .3rem .6rem; text-align: left; vertical-align: top }
th { width: 9rem } .failed { color: #a00 }
"""
PAGE_STYLE = """
nav.run { padding: .5rem 1rem; background: #f4f4f4; font: 15px system-ui, sans-serif; position: relative; z-index: 9 }
body.jp-Notebook .jp-InputArea-editor, body.jp-Notebook .jp-OutputArea-output { overflow-x: auto }
body.jp-Notebook .jp-RenderedText pre { white-space: pre; word-break: normal }  /* printed tables keep their columns */
/* progress, not errors: */
body.jp-Notebook .jp-RenderedText[data-mime-type$="stderr"] { background: #f4f4f4; max-height: 16rem; overflow-y: auto }
"""


def write_report(folder: Path) -> Path:
    """Write `NOTEBOOK.html` for each executed notebook of the run in `folder`, and `index.html`; returns its path."""
    record = json.loads((folder / "record.json").read_text(encoding="utf-8"))
    executed = sorted(folder.glob("[0-9][0-9]_*.ipynb"))
    names = [path.stem for path in executed]
    for path in executed:
        page = path.with_suffix(".html")
        facts = hashlib.sha256(path.read_bytes() + repr(names).encode()).hexdigest()
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
    from nbconvert import HTMLExporter

    exporter = HTMLExporter(
        embed_images=True, mathjax_url="", require_js_url="", jquery_url="", mermaid_js_url="", widget_renderer_url=""
    )
    body, _ = exporter.from_filename(str(path))
    body = re.sub(r"<script[^>]*\bsrc=[^>]*>\s*</script>", "", body)
    place = names.index(path.stem)
    links = ['<a href="index.html">All notebooks</a>']
    links += [f'<a href="{quote(name)}.html">{arrow} {html.escape(name)}</a>'
              for arrow, index in (("←", place - 1), ("→", place + 1)) if 0 <= index < len(names)
              for name in [names[index]]]  # fmt: skip
    navigation = f'<nav class="run">{" · ".join(links)}</nav>'
    body = body.replace("</head>", f"<style>{PAGE_STYLE}</style></head>", 1)
    return re.sub(r"(<body[^>]*>)", lambda match: match.group(1) + navigation, body, count=1)


def index_page(record: dict[str, Any], titles: dict[str, str]) -> str:
    """The run's front page: a card for each notebook with its figures, then the record."""
    cards = []
    for name, outcome in sorted((dict.fromkeys(titles, "") | record["outcomes"]).items()):
        figures = record["notebooks"].get(name, {}).get("figures", [])
        images = "".join(
            f'<a href="figures/{quote(figure)}"><img src="figures/{quote(figure)}" '
            f'alt="{html.escape(figure[3:-4].replace("_", " "))}"></a>'
            for figure in figures
        )
        heading = html.escape(titles.get(name, name))
        link = f'<a href="{quote(name)}.html">{heading}</a>' if name in titles else heading
        state = "failed" if outcome.startswith("failed") else ""
        cards.append(
            f"<li><h3>{html.escape(name[:2])} {link}</h3><p class='{state}'>{html.escape(outcome)}</p>"
            f"<div class='thumbnails'>{images}</div></li>"
        )
    data: dict[str, Any] = next((entry["data"] for entry in record["notebooks"].values() if entry.get("data")), {})
    commit = record["git"]["commit"][:12] or "unknown"
    facts = {
        "Profile": record["profile"],
        "Publishable": "yes" if record["publishable"] else "no",
        "Finished": f"{record['finished']}, after {record['seconds']:,.0f} s",
        "Commit": commit + (" with local changes" if record["git"]["dirty"] else ""),
        "Device": record["device"],
        "Data": ", ".join(f"{key} {value}" for key, value in data.items()),
        "Versions": ", ".join(f"{name} {version}" for name, version in record["versions"].items()),
    }
    page = ""
    if record.get("page"):
        page = (f"<p><a href='{PAGE}'>{html.escape(record['page'])}</a>, on one page: new radiographs, walks, scales "
                "and gates, in the browser and without a network.</p>")  # fmt: skip
    rows = "".join(f"<tr><th>{name}</th><td>{html.escape(str(value))}</td></tr>" for name, value in facts.items())
    return (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        f"<title>sapggan: {html.escape(record['run'])}</title><style>{STYLE}</style></head><body>"
        f"<h1>Self Attention PGGAN: run “{html.escape(record['run'])}”</h1>{page}"
        f"<ul class='cards'>{''.join(cards)}</ul>"
        f"<h2>Record</h2><table>{rows}</table><p>Everything else is in <a href='record.json'>record.json</a>, "
        "<code>results/</code> and <code>figures/</code> beside this page.</p></body></html>\n"
    )


def title(path: Path) -> str:
    """The first heading of a notebook."""
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        for line in "".join(cell["source"]).splitlines():
            if cell["cell_type"] == "markdown" and line.startswith("# "):
                return line[2:].strip()
    return path.stem
