"""Whether the finished store in a folder is the one that is wanted now."""

from pathlib import Path

from sapggan_lib.base.config import PreprocessConfig, to_mapping
from sapggan_lib.base.files import sha256_file, write_json
from sapggan_lib.preprocessing.sources import Listing
from sapggan_lib.store import read_facts, read_manifest


def difference(inputs: Listing, out: Path, config: PreprocessConfig, retry_failed: bool) -> str:
    """What differs between the finished store in `out` and one of these inputs with these settings, or "".

    Contents are compared where sizes and times cannot tell. Files that failed may change when they are tried again.
    """
    facts = read_facts(out)
    for name, value in to_mapping(config).items():
        if name not in facts["config"]:
            return "holds a store of an older version, whose manifest may name files; delete it and run this again"
        if facts["config"][name] != value:
            return (f"holds a store made with {name} {facts['config'][name]}, not {value}; choose another folder, "
                    "or delete this one first")
    if facts | inputs.facts == facts:
        return ""
    same, mended = facts.get("inputs") == inputs.facts["inputs"], 0
    for item, row in zip(inputs, read_manifest(out) if same else (), strict=False):
        equal = not item.member and _content(item.file) == row["sha256"]
        if row["status"] == "failed":
            mended += not equal and not retry_failed
        else:
            same &= equal
    if not same:
        return (f"holds a store of other files than {inputs.source} and the table have now, or of another patient key; "
                "choose another folder, or delete this one first")
    if mended:
        return f"{mended:,} of the files that failed have changed since; --retry-failed tries them again"
    write_json(out / "store.json", facts | inputs.facts)      # the next time sizes and times will tell
    return ""


def _content(file: str) -> str:
    """SHA-256 of a file, "" where it cannot be read."""
    try:
        return sha256_file(file)
    except OSError:
        return ""
