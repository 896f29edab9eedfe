"""The page's arithmetic outside the page: in Chromium where it is installed, and in node."""

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

from sapggan_lib.page.write import ARITHMETIC, join

ENGINES = {"browser": ("chromium", "chromium-browser", "google-chrome"), "node": ("node",)}


def find(engine: str) -> str | None:
    """The program of "browser" or "node", if it is installed."""
    return next((path for path in map(shutil.which, ENGINES[engine]) if path), None)


def find_browser() -> str | None:
    return find("browser")


def evaluate(engine: str, function: str, argument: Any, folder: Path) -> Any:
    """What the JavaScript `function` returns for `argument`, with the page's arithmetic at hand. Both are JSON.

    "node without WebAssembly" is what an older browser has.
    """
    engine, _, without = engine.partition(" without ")
    program = find(engine)
    assert program
    hide = f"const {without} = undefined;\n" if without else ""
    code = f"{hide}{join(*ARITHMETIC)}\nconst answer = JSON.stringify(({function})({json.dumps(argument)}));"
    if engine == "node":
        (folder / "code.js").write_text(f"{code}\nconsole.log(answer);", encoding="utf-8")
        result = subprocess.run([program, str(folder / "code.js")], capture_output=True, text=True, timeout=300)
        assert result.returncode == 0, result.stderr[-2000:]
        return json.loads(result.stdout)
    page = f"<!doctype html><meta charset='utf-8'><pre></pre><script>{code}\ndocument.querySelector('pre').textContent"
    (folder / "code.html").write_text(f"{page} = answer;</script>", encoding="utf-8")
    command = [program, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'profile'}",
               "--dump-dom", (folder / "code.html").as_uri()]  # fmt: skip
    result = subprocess.run(command, capture_output=True, text=True, timeout=300)
    found = re.search(r"<pre>(.+?)</pre>", result.stdout, re.DOTALL)
    assert found, result.stderr[-2000:]
    return json.loads(html.unescape(found.group(1)))
