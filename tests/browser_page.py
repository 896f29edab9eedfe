"""The generator's page in a headless Chromium: `python -m tests.browser_page SCREENSHOTS`.

Opens it from a file at the widths of a desktop and of a phone, moves all that can be moved, and measures: gray levels
against PyTorch, time an image, requests. Run by `make browser`, which installs playwright; Chromium must be there.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

from sapggan_lib.models import build_generator, latents, load_generator, save_generator, to_uint8
from sapggan_lib.notebook import SHIPPED
from sapggan_lib.page import write_page
from tests.javascript import find_browser

SEEDS = 64
LIMITS = {64: 100, 128: 400}   # milliseconds an image, by its side
DRAW = """async latents => {
    const drawn = [];
    for (const z of latents) {
        const {images, ms} = await ask({z});
        drawn.push([Array.from(images.at(-1).levels), ms]);
    }
    return drawn;
}"""
READY = "#status:not(:empty), #problem:not([hidden])"


class Visit:
    """A page opened from a file, with all that it asks for and complains about."""

    def __init__(self, browser, path: Path, before: str = "", **options):
        self.path, self.requests, self.complaints = path, [], []
        self.page = browser.new_context(**options).new_page()
        self.page.add_init_script(before)
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.goto(path.as_uri())
        self.page.locator(READY).first.wait_for()

    def close(self) -> None:
        """End the visit; it must have been a quiet one."""
        away = [url for url in self.requests if url != self.path.as_uri() and not url.startswith("blob:")]
        assert not away and not self.complaints, (away, self.complaints)
        self.page.context.close()

    def picture(self) -> str:
        return self.page.evaluate("document.querySelector('#image').toDataURL()")

    def changes(self, what: str, action) -> None:
        """`action` must change the picture."""
        before = self.picture()
        action()
        for _ in range(100):
            if self.picture() != before:
                return
            self.page.wait_for_timeout(100)
        raise AssertionError(f"{what}: the picture stays the same")


def write_pages(folder: Path) -> dict[str, Path]:
    """The shipped generator with a quiz, an untrained one of 128 pixels, and three damaged copies."""
    pages = {name: folder / f"{name}.html" for name in ("shipped", "large", "cut", "altered", "stump")}
    write_page(SHIPPED, pages["shipped"], drawn=4)
    torch.manual_seed(0)
    large = build_generator("sapggan", resolution=128, latent=64, widths=(128, 128, 64, 64, 32, 16))
    save_generator(folder / "large.safetensors", large.half(), {})  # as exact in the page as in the file
    write_page(folder / "large.safetensors", pages["large"])
    text = pages["shipped"].read_text(encoding="utf-8")
    pages["cut"].write_text(text[:-300_000], encoding="utf-8")
    pages["stump"].write_text(text[:text.index("function startWorker")], encoding="utf-8")
    at = len(text) - 300_000
    pages["altered"].write_text(text[:at] + ("B" if text[at] == "A" else "A") + text[at + 1:], encoding="utf-8")
    return pages


def measure(visit: Visit, weights: Path) -> str:
    """A line of the table: the page's images of 64 seeds against PyTorch's, and how long each took."""
    generator = load_generator(weights)
    z = latents(SEEDS, generator.latent, seed=0)
    with torch.no_grad():
        expected = to_uint8(generator(z)[-1])
    drawn = visit.page.evaluate(DRAW, z.tolist())
    images = np.array([levels for levels, _ in drawn]).reshape(expected.shape)
    difference = np.abs(images - expected.astype(int)).max()
    times, side = np.array([ms for _, ms in drawn]), expected.shape[1]
    line = (f"{side:4} px  {SEEDS} seeds  at most {difference} gray level(s) from PyTorch  "
            f"{np.median(times):5.0f} ms an image (slowest {times.max():.0f}; limit {LIMITS[side]})")  # fmt: skip
    assert difference <= 1 and np.median(times) <= LIMITS[side], line
    return line


def use(visit: Visit, screenshots: Path) -> None:
    """Everything that can be moved, by keys alone."""
    page = visit.page
    keys = page.keyboard
    visit.changes("space", lambda: keys.press("Space"))
    visit.changes("right", lambda: keys.press("ArrowRight"))
    page.locator("#gates-part").scroll_into_view_if_needed()
    page.locator("#gate-scales label").nth(2).click()
    first = page.locator(".bar").first
    first.focus()
    keys.press("ArrowRight")
    second = page.locator(".bar").nth(1)
    assert second.evaluate("bar => bar === document.activeElement")
    visit.changes("a gate pulled", lambda: [keys.press("PageUp"), keys.press("PageUp")])
    visit.changes("a gate switched", lambda: [keys.press("Enter"), keys.press("Enter")])
    assert "switched off" in second.get_attribute("aria-valuetext")
    visit.changes("all gates 1", page.locator("#gates-one").click)
    page.screenshot(path=screenshots / "page_gates.png")
    visit.changes("gates given back", page.locator("#gates-own").click)
    box = page.locator(".bar").nth(3).bounding_box()
    page.mouse.move(box["x"] + 5, box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + 5, box["y"] + 4, steps=4)
    page.mouse.up()
    assert "set by you" in page.locator(".bar").nth(3).get_attribute("aria-valuetext")
    visit.changes("the walk", lambda: page.locator("#position").fill("0.8"))
    with page.expect_download() as download:
        page.locator("#save").click()
    assert download.value.suggested_filename.startswith("synthetic-")
    download.value.save_as(screenshots / "page_saved.png")
    page.locator("[data-language=ko]").click()
    assert page.locator("html").get_attribute("lang") == "ko" and "합성" in page.inner_text("#notice")
    page.locator("[data-language=en]").click()
    for _ in range(8):
        page.locator("#quiz-real").click()
    assert page.inner_text("#quiz-state").startswith("You were right 4 of 8 times")
    assert page.locator("#notice").evaluate("notice => notice.getBoundingClientRect().top") == 0


def use_fingers(visit: Visit, screenshot: Path) -> None:
    """A tap draws, a tap chooses a bar, and another switches it."""
    visit.changes("a tap on the image", lambda: visit.page.locator("#image").tap())
    bar = visit.page.locator(".bar").nth(7)
    bar.tap()
    assert "as the network sets it" in bar.get_attribute("aria-valuetext")
    visit.changes("the bar's slider", lambda: visit.page.locator("#gate").fill("2"))
    visit.changes("a second tap", bar.tap)
    assert "as the network sets it" in bar.get_attribute("aria-valuetext")
    visit.changes("a third tap", bar.tap)
    assert "switched off" in bar.get_attribute("aria-valuetext")
    visit.page.screenshot(path=screenshot)


def main(screenshots: Path) -> None:
    from playwright.sync_api import sync_playwright

    chromium = find_browser()
    if not chromium:
        sys.exit("make browser: no Chromium found: install one (apt-get install chromium, or the system's package)")
    screenshots.mkdir(parents=True, exist_ok=True)
    looks = {
        "desktop": {"viewport": {"width": 1280, "height": 800}},
        "dark": {"viewport": {"width": 1280, "height": 800}, "color_scheme": "dark"},
        "phone": {"viewport": {"width": 412, "height": 860}, "is_mobile": True, "has_touch": True},
        "narrow": {"viewport": {"width": 320, "height": 640}, "is_mobile": True},
        "sideways": {"viewport": {"width": 860, "height": 412}, "is_mobile": True, "has_touch": True},
        "phone_ko": {"viewport": {"width": 412, "height": 860}, "is_mobile": True, "locale": "ko-KR"},
    }
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        pages = write_pages(Path(folder))
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for name, weights in (("shipped", SHIPPED), ("large", Path(folder) / "large.safetensors")):
            visit = Visit(browser, pages[name])
            print(measure(visit, weights), flush=True)
            visit.close()
        visit = Visit(browser, pages["shipped"], viewport={"width": 1280, "height": 800})
        use(visit, screenshots)
        visit.close()
        visit = Visit(browser, pages["shipped"], before="delete window.Worker; delete window.WebAssembly")
        visit.changes("without worker and WebAssembly", visit.page.locator("#new").click)
        visit.close()
        for look, options in looks.items():
            visit = Visit(browser, pages["shipped"], **options)
            visit.page.wait_for_timeout(500)
            assert visit.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{look}: wider than it"
            visit.page.screenshot(path=screenshots / f"page_{look}.png")
            visit.page.screenshot(path=screenshots / f"page_{look}_whole.png", full_page=True)
            if options.get("has_touch"):
                use_fingers(visit, screenshots / f"page_{look}_gates.png")
            visit.close()
        told = {"cut": "ends too early", "altered": "was altered", "stump": "has not begun to draw"}
        for name, sentence in told.items():
            visit = Visit(browser, pages[name])
            assert sentence in visit.page.inner_text("#problem") and visit.page.locator("#explore").is_hidden()
            visit.close()
        browser.close()
    print(f"no request left the page; cut and altered pages say so; screenshots in {screenshots}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m tests.browser_page SCREENSHOTS")
    main(Path(sys.argv[1]).resolve())
