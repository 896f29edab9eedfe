"""The notebooks' widgets in a headless Chromium: `python -m tests.browser_widgets SCREENSHOTS [01 02 06]`.

Runs copies of the notebooks, moves their sliders, plays the quiz and watches the progress bars. Run by `make browser`,
which installs playwright; Chromium must be there. Not part of the tests: it takes minutes and a browser.
"""

import contextlib
import hashlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from sapggan_lib.base.files import ROOT
from sapggan_lib.base.progress import HEADLESS_VARIABLE
from sapggan_lib.notebook import record_path
from sapggan_lib.notebook.workspace import INTERACTIVE, NOTEBOOKS

RUN = INTERACTIVE / "browser"
SETTINGS = {
    "notebook-extension/tracker": '{"windowingMode": "none"}',  # cells out of sight stay in the page
    "apputils-extension/notification": '{"fetchNews": "false", "checkForUpdates": false}',
}
SLIDERS = {"01": ["window", "clip limit", "tiles per side", "crop"], "02": ["scale"], "06": ["position", "scale"]}
MINUTES = 10  # for a notebook
KERNEL_READY = """async () => {
    const context = window.jupyterapp.shell.currentWidget.sessionContext;
    await context.ready;
    await context.session.kernel.info;
}"""  # run before it, JupyterLab asks which kernel


@contextlib.contextmanager
def jupyterlab(folder: Path):
    """JupyterLab on copies of the notebooks in `folder`, whose kernels import this checkout. Yields its address."""
    for path in NOTEBOOKS.glob("*.ipynb"):  # copies: JupyterLab saves outputs into what it opens
        fresh = path.read_text(encoding="utf-8").replace('run_dir: str = \\"\\" ', f'run_dir: str = \\"{RUN}\\" ')
        assert str(RUN) in fresh, path
        (folder / path.name).write_text(fresh, encoding="utf-8")
    for name, text in SETTINGS.items():
        file = folder / ".settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    variables = {name: value for name, value in os.environ.items() if name != HEADLESS_VARIABLE} | {
        "PYTHONPATH": str(ROOT), "JUPYTER_PREFER_ENV_PATH": "1", "JUPYTERLAB_SETTINGS_DIR": str(folder / ".settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(folder / ".workspaces"),
    }  # fmt: skip
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}"]
    command += [f"--ServerApp.root_dir={folder}", "--IdentityProvider.token=", "--expose-app-in-browser"]
    with (folder / ".server.log").open("w") as log:
        server = subprocess.Popen(command, env=variables, cwd=folder, stdout=log, stderr=log)
        try:
            for _ in range(120):
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                    break
                assert server.poll() is None, f"JupyterLab ended: {(folder / '.server.log').read_text()}"
                time.sleep(0.5)
            yield f"http://127.0.0.1:{port}/lab"
        finally:
            server.terminate()
            server.wait(30)


def picture_bytes(image) -> str:
    """A hash of the PNG that an image widget shows."""
    numbers = image.evaluate("async i => Array.from(new Uint8Array(await (await fetch(i.src)).arrayBuffer()))")
    return hashlib.sha256(bytes(numbers)).hexdigest()


def wait_for_change(image, before: str, what: str) -> str:
    """The picture's new hash, once it differs from `before`."""
    for _ in range(300):  # a minute, on a machine that is busy
        now = picture_bytes(image)
        if now != before:
            return now
        time.sleep(0.2)
    raise AssertionError(f"{what}: the picture stays the same")


def run_all(page, name: str, screenshots: Path) -> None:
    """Run all cells of the open notebook; its progress must be bars that move, not log lines."""
    record, started = record_path(RUN, name), time.time()
    page.evaluate("void window.jupyterapp.commands.execute('notebook:run-all-cells')")
    bars = page.locator(".widget-hprogress, .jupyter-widget-hprogress")
    seen = set()
    while not (record.exists() and record.stat().st_mtime > started):
        assert time.time() - started < MINUTES * 60, f"{name}: not done in {MINUTES} minutes"
        errors = page.locator("[data-mime-type='application/vnd.jupyter.error']")
        assert errors.count() == 0, errors.first.inner_text()
        if bars.count() and (label := bars.last.evaluate("bar => bar.parentElement.innerText")) not in seen:
            seen.add(label)
            if len(seen) == 3:
                bars.last.scroll_into_view_if_needed()
                page.screenshot(path=screenshots / f"{name[:2]}_progress.png")
        time.sleep(0.2)
    print(f"{name}: done in {time.time() - started:.0f} s, {bars.count()} progress bars, {len(seen)} states seen")
    assert name.startswith("02") or len(seen) > 2, f"{name}: no live progress bar"
    log_lines = page.locator(".jp-OutputArea-output", has_text="images/s,")
    assert log_lines.filter(has_not=page.locator(".jupyter-widgets")).count() == 0, "log lines in place of a bar"


def move_sliders(page, number: str, screenshots: Path) -> None:
    """Each slider of the notebook's explorer, by keyboard, must change the picture."""
    explorer = page.locator(".jp-OutputArea .jupyter-widgets.widget-vbox:has(.noUi-handle)").first
    explorer.scroll_into_view_if_needed()
    image = explorer.locator("img")
    explorer.screenshot(path=screenshots / f"{number}_explorer_before.png")
    shown = picture_bytes(image)
    for label in SLIDERS[number]:
        slider = explorer.locator(".widget-inline-hbox", has_text=label)
        slider.locator(".noUi-handle").first.focus()
        page.keyboard.press("ArrowRight" if label == "window" else "ArrowLeft")  # one step: one new picture
        shown = wait_for_change(image, shown, f"{number}, {label}")
        print(f"{number}: {label} changes the picture")
    page.screenshot(path=screenshots / f"{number}_page.png")
    explorer.screenshot(path=screenshots / f"{number}_explorer_after.png")


def play_quiz(page, screenshots: Path) -> None:
    """Say "real" to every image of the quiz: half the answers are right."""
    quiz = page.locator(".jp-OutputArea .jupyter-widgets.widget-vbox:has(button)").first
    quiz.scroll_into_view_if_needed()
    image, message = quiz.locator("img"), quiz.locator(".widget-html")
    quiz.screenshot(path=screenshots / "06_quiz_start.png")
    questions = int(message.inner_text().split()[2])
    for question in range(questions):
        shown = picture_bytes(image)
        quiz.get_by_role("button", name="real", exact=True).click()
        if question < questions - 1:
            wait_for_change(image, shown, f"quiz, image {question + 1}")
        if question == questions // 2:
            quiz.screenshot(path=screenshots / "06_quiz_middle.png")
    over = f"{questions // 2} of {questions} right; wrong: "
    quiz.get_by_text(over).wait_for(timeout=10_000)
    quiz.screenshot(path=screenshots / "06_quiz_end.png")
    print(f"quiz: {message.inner_text()}")


def main(screenshots: Path, numbers: list[str]) -> None:
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if not chromium:
        sys.exit("browser: no Chromium found; install it, for example: apt-get install -y chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        sys.exit("browser: playwright is missing; run `make browser`, or: pip install playwright")
    screenshots.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(RUN, ignore_errors=True)  # of the last time: work that is done shows no progress
    with tempfile.TemporaryDirectory() as folder, jupyterlab(Path(folder)) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for number in numbers:
            name = next(NOTEBOOKS.glob(f"{number}_*.ipynb")).stem
            page = browser.new_page(viewport={"width": 1400, "height": 1000})
            page.goto(f"{address}/workspaces/{number}/tree/{name}.ipynb", wait_until="domcontentloaded")
            page.locator(".jp-Notebook .jp-Cell").first.wait_for(timeout=120_000)
            page.wait_for_function(f"window.jupyterapp.shell.currentWidget?.context?.path == '{name}.ipynb'")
            page.evaluate(KERNEL_READY)
            run_all(page, name, screenshots)
            move_sliders(page, number, screenshots)
            if number == "06":
                play_quiz(page, screenshots)
            page.close()
        browser.close()
    print(f"all well; screenshots in {screenshots}")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("usage: python -m tests.browser_widgets SCREENSHOTS [01 02 06]")
    main(Path(sys.argv[1]).resolve(), sys.argv[2:] or list(SLIDERS))
