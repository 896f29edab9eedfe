"""The model card below the generator: the one beside the weights, or one made from what the training recorded."""

import json
import re
from pathlib import Path

import mistune

from sapggan_lib.models import WEIGHTS
from sapggan_lib.uses import card_sentence


class Renderer(mistune.HTMLRenderer):
    """HTML that loads nothing: no images, links to the web alone, headings below the page's own."""

    def link(self, text: str, url: str, title: str | None = None) -> str:
        web = url.startswith("https://")
        return f'<a rel="noreferrer" href="{mistune.escape(url)}">{text}</a>' if web else text

    def image(self, text: str, url: str, title: str | None = None) -> str:
        return ""

    def heading(self, text: str, level: int, **attributes: str) -> str:
        return f"<h{min(level + 2, 6)}>{text}</h{min(level + 2, 6)}>\n"


def card_html(markdown: str) -> str:
    """A card as HTML; markup in its text is shown, not obeyed.

    What is for programs is left out: comments (which file has a number) and the front matter that model hubs read.
    """
    plain = re.sub(r"<!--.*?-->|\A---\n.*?\n---\n", "", markdown, flags=re.DOTALL)
    return str(mistune.create_markdown(renderer=Renderer(escape=True), plugins=["table"])(plain))


def card_of(weights: Path, data: str = "") -> str:
    """The card in Markdown: NAME.md beside the weights, a README.md there that names them, or one of the training's.

    What it says of memorisation is from NAME.audit.json, which `sapggan audit --json` writes.
    """
    weights = weights / WEIGHTS if weights.is_dir() else weights
    for path in (weights.with_suffix(".md"), weights.with_name("README.md")):
        if path.is_file() and (path.stem == weights.stem or weights.name in path.read_text("utf-8", "replace")):
            return path.read_text("utf-8", "replace")
    facts = json.loads(weights.with_suffix(".json").read_text("utf-8"))
    audit = weights.with_suffix(".audit.json")
    model, train = facts["model"], facts.get("train") or {}
    side, widths = model["resolution"], ", ".join(map(str, model["widths"]))
    colour = "gray" if model["channels"] == 1 else "colour"
    attention = f", attention {model['attention']}" if "attention" in model else ""
    known = [f"{key} {train[key]}" for key in ("loss", "lr", "batch", "seed") if train.get(key) is not None]
    known += [f"{facts['kimg']:,.3g} thousand images shown"] if "kimg" in facts else []
    rows = {
        "data": data or "not recorded with the weights",
        "network": f"{model['name']}, widths {widths}, latent {model['latent']}, {colour}{attention}",
        "training": ", ".join(known) or "not recorded with the weights",
        "scores": "in the report of its run, where it has one",
        "memorisation": card_sentence(json.loads(audit.read_text("utf-8"))) if audit.is_file() else
        "not audited: it may repeat images that it was trained on",
        "intended use": "teaching, and trying the software",
        "limits": "not for diagnosis, nor for training anything that meets patients",
    }
    table = "".join(f"| {name} | {value} |\n" for name, value in rows.items())
    title = f"# {model['name'].upper()} at {side}x{side}\n\nMade from what its training recorded."
    return f"{title}\n\n| | |\n|---|---|\n{table}"
