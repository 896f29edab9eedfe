"""The generator's page: its arithmetic against PyTorch, what is in the file, what is refused."""

import base64
import copy
import hashlib
import json
import re

import numpy as np
import pytest
import torch

from sapggan_lib import cli
from sapggan_lib.base.errors import SapgganError
from sapggan_lib.base.files import ROOT, write_json
from sapggan_lib.models import build_generator, latents, load_generator, save_generator, to_uint8
from sapggan_lib.models.layers import SqueezeExcite
from sapggan_lib.notebook import SHIPPED, record_path
from sapggan_lib.page import write_page, write_run_page
from sapggan_lib.page.card import card_html
from sapggan_lib.page.of_run import drawn_images
from sapggan_lib.page.write import ASSETS, MAX_BYTES, pack
from sapggan_lib.store import write_store
from tests.javascript import ENGINES, evaluate, find

NARROW = {"resolution": 32, "latent": 16, "widths": (16, 12, 8, 6)}
RUN = """({cases}) => cases.map(({header, numbers, z, options}) => {
    const generator = Generator.load(header, numbers);
    options.pulled = (options.pulled ?? []).map(gates => gates?.map(gate => gate ?? NaN));
    return z.map(one => {
        const {images, gates} = Generator.answer(generator, {z: one, ...options});
        return {images: images.map(({levels}) => Array.from(levels)),
                gates: gates.map(gate => gate && Array.from(gate))};
    });
})"""
if not any(map(find, ENGINES)):
    pytest.skip("needs Chromium or node, and neither is installed", allow_module_level=True)


def trained(name="sapggan", stage=None, **options):
    """A generator whose every parameter has moved away from where it began."""
    generator = build_generator(name, **NARROW | options)
    with torch.no_grad():
        for parameter in generator.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
        if name == "stylegan":
            generator.mean_style.normal_()
    if stage:
        generator.set_stage(*stage)
    return generator.eval()


def half(generator):
    """The same in numbers of half precision, as they are shipped."""
    return copy.deepcopy(generator).half().float()


CASES = {
    "shipped": lambda: load_generator(SHIPPED),
    "se": lambda: trained(),
    "se at the end, colour": lambda: trained(channels=3, se_place="end"),
    "sagan": lambda: trained(attention="sagan"),
    "none": lambda: trained(attention="none"),
    "128 pixels": lambda: half(build_generator("sapggan", 128, latent=8, widths=(16, 8, 8, 8, 8, 4)).eval()),
    "pggan": lambda: trained("pggan"),
    "pggan fading": lambda: trained("pggan", stage=(2, 0.375)),
    "stylegan": lambda: trained("stylegan"),
    "stylegan fading, colour": lambda: trained("stylegan", stage=(2, 0.375), channels=3),
}
SEEDS = {"shipped": 8, "se": 64}


def in_page(generator, z, **options):
    header, numbers = pack(generator)
    return {"header": header, "numbers": numbers, "z": z.tolist(), "options": options}


def compute(engine, cases, folder):
    return evaluate(engine, RUN, {"cases": cases}, folder)


@pytest.fixture(scope="module", params=["browser", "node", "node without WebAssembly"])
def engine(request):
    if not find(request.param.split()[0]):
        pytest.skip(f"{request.param.split()[0]} is not installed; the other one runs this")
    return request.param


@pytest.fixture(scope="module")
def drawn(engine, tmp_path_factory):
    """For each case PyTorch's images and the page's."""
    torch.manual_seed(0)
    generators = {name: make() for name, make in CASES.items()}
    z = {name: latents(SEEDS.get(name, 4), generator.latent, seed=0) for name, generator in generators.items()}
    cases = [in_page(generator, z[name]) for name, generator in generators.items()]
    answers = compute(engine, cases, tmp_path_factory.mktemp("javascript"))
    with torch.no_grad():
        return {name: ([to_uint8(image) for image in generator(z[name])], answer)
                for (name, generator), answer in zip(generators.items(), answers, strict=True)}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_every_image_is_within_one_gray_level_of_pytorchs(drawn, case):
    expected, answers = drawn[case]
    assert all(len(answer["images"]) == len(expected) for answer in answers)
    for level, images in enumerate(expected):
        found = np.array([answer["images"][level] for answer in answers], dtype=int).reshape(images.shape)
        assert np.abs(found - images.astype(int)).max() <= 1


def test_a_gate_that_is_pulled_is_pulled_in_pytorch_too(engine, tmp_path):
    generator, z = trained(), latents(4, NARROW["latent"], seed=1)
    pulled = [None, [0.0, None, 2.0, 0.5] + [None] * 8, None, [None] * 5 + [0.0]]
    own = {}
    gates = [module for module in generator.modules() if isinstance(module, SqueezeExcite)]
    for level, (gate, values) in enumerate(zip(gates, pulled, strict=True)):

        def force(_, inputs, output, level=level, values=values):
            own[level] = output.sum((2, 3)) / inputs[0].sum((2, 3))
            kept = [value is None for value in values or [None] * output.shape[1]]
            forced = inputs[0] * torch.tensor([value or 0.0 for value in values or kept])[:, None, None]
            return torch.where(torch.tensor(kept)[:, None, None], output, forced)

        gate.register_forward_hook(force)
    with torch.no_grad():
        expected = [to_uint8(image) for image in generator(z)]
    (answers,) = compute(engine, [in_page(generator, z, pulled=pulled)], tmp_path)
    for level, images in enumerate(expected):
        found = np.array([answer["images"][level] for answer in answers], dtype=int).reshape(images.shape)
        assert np.abs(found - images.astype(int)).max() <= 1
        values = np.array([answer["gates"][level] for answer in answers])
        np.testing.assert_allclose(values, own[level].numpy(), atol=1e-3)


def test_truncation_is_stylegans(engine, tmp_path):
    generator, z = trained("stylegan"), latents(3, NARROW["latent"], seed=2)
    for truncation in (0.0, 0.6):
        (answers,) = compute(engine, [in_page(generator, z, truncation=truncation)], tmp_path)
        with torch.no_grad():
            expected = to_uint8(generator(z, truncation=truncation)[0]).astype(int)
        found = np.array([answer["images"][0] for answer in answers], dtype=int).reshape(expected.shape)
        assert np.abs(found - expected).max() <= 1


def test_walks_go_along_the_great_circle_and_seeds_give_normal_numbers(engine, tmp_path):
    look = """({first, second}) => [Array.from(Generator.between(first, second, 0.3)),
                                    Array.from(Generator.latents(7, 4000)), Array.from(Generator.latents(8, 4))]"""
    first, second = latents(2, 16, seed=3)
    arguments = {"first": first.tolist(), "second": second.tolist()}
    between, normal, others = evaluate(engine, look, arguments, tmp_path)
    angle = torch.arccos(torch.cosine_similarity(first, second, dim=0))
    expected = (torch.sin(0.7 * angle) * first + torch.sin(0.3 * angle) * second) / torch.sin(angle)
    np.testing.assert_allclose(between, expected, atol=1e-5)
    assert abs(np.mean(normal)) < 0.05 and abs(np.std(normal) - 1) < 0.05 and normal[:4] != others


def test_cut_and_altered_weights_are_told_apart_from_whole_ones(engine, tmp_path):
    header, numbers = pack(trained())
    look = """({header, copies}) => copies.map(numbers => {
        try { Generator.load(header, numbers); return "whole"; } catch (error) { return error.message; }
    })"""
    altered = numbers[:100] + ("B" if numbers[100] == "A" else "A") + numbers[101:]
    copies = [numbers, numbers[:-1000], numbers[:-1], "", altered]
    found = evaluate(engine, look, {"header": header, "copies": copies}, tmp_path)
    assert found == ["whole", "cut", "cut", "cut", "altered"]


# ---- the file


@pytest.fixture(scope="module")
def shipped(tmp_path_factory):
    out = tmp_path_factory.mktemp("page") / "page.html"
    assert write_page(SHIPPED, out) == out.stat().st_size <= MAX_BYTES
    return out.read_text(encoding="utf-8")


def test_the_page_loads_nothing_and_runs_no_script_but_its_own(shipped):
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]+)"', shipped)
    assert policy.startswith("default-src 'none'; script-src 'sha256-") and "unsafe-inline" not in policy
    scripts = re.findall(r"<script(?: id=\"\w+\")?>(.*?)</script>", shipped, re.DOTALL)
    for text in [*scripts, *re.findall(r"<style>(.*?)</style>", shipped, re.DOTALL)]:
        assert base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() in policy
    assert len(scripts) == 2
    assert not re.search(r"<(img|link|iframe|object|embed|audio|video|base|form)\b", shipped)
    assert not re.search(r"""\b(src|srcset|action|poster|style|on\w+)\s*=\s*["']""", re.sub(r"<script.*?</script>", "",
                                                                                            shipped, flags=re.DOTALL))
    assert not re.search(r"\b(fetch|XMLHttpRequest|WebSocket|EventSource|sendBeacon|import)\s*\(|https?://",
                         "".join(scripts))  # fmt: skip


def test_the_same_weights_give_the_same_page(shipped, tmp_path):
    write_page(str(SHIPPED), tmp_path / "again.html")
    assert (tmp_path / "again.html").read_text(encoding="utf-8") == shipped


def test_the_page_in_docs_is_the_one_that_the_command_writes(shipped):
    """`sapggan page weights/sapggan_64.safetensors docs/generator.html` makes it anew."""
    pages = shipped, (ROOT / "docs" / "generator.html").read_text(encoding="utf-8")
    first, second = (re.sub(r'<section id="card".*?</section>', "", page, flags=re.DOTALL) for page in pages)
    assert first == second              # but for the card, which another version of mistune may write otherwise


def test_the_note_and_the_card_are_there_before_any_script_runs(shipped):
    body = shipped[shipped.index("<body>"):shipped.index("<script")]
    assert "not patients, and not for diagnosis" in body
    assert "6,740 PA radiographs" in body and "not for diagnosis, nor for training anything" in body


def test_both_languages_say_everything_that_the_page_asks_for():
    words = json.loads((ASSETS / "words.json").read_text(encoding="utf-8"))
    assert set(words) == {"en", "ko"} and words["en"].keys() == words["ko"].keys()
    for key, text in words["en"].items():
        places = [sorted(set(re.findall(r"\{\w+\}", spoken))) for spoken in (text, words["ko"][key])]
        assert places[0] == places[1] and text and words["ko"][key], key
    asked = set(re.findall(r'data-(?:words|label)="(\w+)"', (ASSETS / "page.html").read_text(encoding="utf-8")))
    for script in ("page.js", "gates.js", "quiz.js"):
        code = (ASSETS / script).read_text(encoding="utf-8")
        asked |= {key for key in words["en"] if re.search(rf'"{key}"', code)}
        asked |= {key + "Between" for key in re.findall(r'say\("(\w+)" \+ word', code)}
        assert set(re.findall(r'say\("(\w+)"[,)]', code)) <= words["en"].keys()
    assert asked == words["en"].keys()


def test_small_weights_are_kept_exactly_and_large_ones_in_half_precision():
    small, large = pack(trained())[0], pack(build_generator("sapggan", 32, latent=512, widths=(64, 64, 64, 64)))[0]
    assert (small["size"], large["size"]) == (4, 2)


def test_a_card_shows_markup_and_loads_nothing():
    html = card_html("# Title\n\n<script>alert(1)</script>\n\n![x](https://a.b/c.png) [here](../d.md) [web](https://e.f)"
                     " [code](javascript:alert(1))")  # fmt: skip
    assert "<script>" not in html and "<img" not in html and "javascript:" not in html and "<h3>Title</h3>" in html
    assert "here" in html and "d.md" not in html and 'href="https://e.f"' in html


def test_a_card_leaves_out_what_is_for_programs():
    card = "---\nlicense: apache-2.0\ntags: []\n---\n\n# Title\n\nFD 55.6<!-- scores.json fd -->\n\n---\n\nend\n\n---\n"
    html = card_html(card)
    assert "license" not in html and "scores.json" not in html
    assert html.startswith("<h3>Title</h3>") and "FD 55.6" in html and html.count("<hr") == 2 and "end" in html


def test_text_in_a_description_cannot_leave_its_script_element(tmp_path):
    save_generator(tmp_path / "evil.safetensors", trained(), {"train": {"loss": "</script><script>alert(1)</script>"}})
    write_page(tmp_path / "evil.safetensors", tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<script>alert" not in text and "&lt;script&gt;alert" in text


# ---- what is refused


def command(capsys, *arguments):
    status = cli.main(["page", *map(str, arguments)])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_the_command_writes_a_page_with_a_quiz_of_drawn_radiographs(capsys, tmp_path):
    save_generator(tmp_path / "small.safetensors", trained(), {})
    status, out, _ = command(capsys, tmp_path / "small.safetensors", tmp_path / "page.html", "--phantoms", "2")
    assert status == 0 and "page.html: 0.1 MB" in out
    (quiz,) = re.findall(r'id="quiz-images"[^>]*>(.*?)<', (tmp_path / "page.html").read_text(encoding="utf-8"))
    images = [np.frombuffer(base64.b64decode(image), np.uint8) for image in json.loads(quiz)]
    assert [image.shape for image in images] == [(32 * 32,)] * 2 and images[0].std() > 20


@pytest.mark.parametrize("case", ["missing", "cut", "another file", "dcgan", "too large", "a folder", "not finite"])
def test_what_cannot_become_a_page_is_one_sentence(capsys, tmp_path, case):
    weights, out = tmp_path / "generator.safetensors", tmp_path / "page.html"
    generator = {"dcgan": lambda: build_generator("dcgan", 32, latent=8), "too large": lambda: build_generator(
        "sapggan", 32, latent=64, widths=(256, 256, 256, 256))}.get(case, trained)()  # fmt: skip
    if case == "not finite":
        generator.blocks[0].dense.weight.data[0, 0] = torch.nan
    if case != "missing":
        save_generator(weights, generator, {})
    if case == "cut":
        weights.write_bytes(weights.read_bytes()[:-1000])
    if case == "another file":
        weights.write_text("not weights")
    if case == "a folder":
        out.mkdir()
    status, _, error = command(capsys, weights, out)
    assert status == 1 and error.count("\n") == 1 and str(tmp_path) in error and "unexpected" not in error
    assert {"dcgan": "draws sapggan, pggan, stylegan, not dcgan", "too large": "MB", "a folder": "ends in .html",
            "not finite": "holds numbers", "missing": "not found"}.get(case, "not a generator") in error  # fmt: skip
    assert not out.is_file()


# ---- the page of a run


def finished_run(folder, source, publishable=False):
    """What notebook 04 leaves: a generator, its store, and a record that says where the images are from."""
    images = np.arange(20 * 32 * 32, dtype=np.uint32).astype(np.uint8).reshape(20, 32, 32)
    private = folder.with_name("private") if publishable else folder
    store = write_store(private / "work" / "store-1", images)
    save_generator(private / "work" / "models" / "sapggan" / "generator.safetensors", trained(), {"kimg": 1.0})
    record = {"data": {"source": source, "images": 20, "store": store.hash}}
    write_json(record_path(folder, "04_model_comparison"), record)
    return private


def kimg(folder):
    """What the card of the run's page says of the training."""
    return re.findall("[0-9.]+ thousand images shown", (folder / "generator.html").read_text(encoding="utf-8"))


@pytest.mark.parametrize("publishable", [False, True])
def test_a_run_on_drawn_radiographs_shows_its_own_generator_with_a_quiz(tmp_path, publishable):
    private = finished_run(tmp_path / "run", "synthetic radiographs", publishable)
    assert write_run_page(tmp_path / "run" / "generator.html", private, publishable) == "This run's generator"
    assert kimg(tmp_path / "run") == ["1 thousand images shown"]
    text = (tmp_path / "run" / "generator.html").read_text(encoding="utf-8")
    assert len(json.loads(re.findall(r'id="quiz-images"[^>]*>(.*?)<', text)[0])) == 6
    assert str(tmp_path) not in text


def test_a_publishable_run_on_own_files_shows_the_shipped_generator_and_no_image(tmp_path):
    private = finished_run(tmp_path / "run", "own files", publishable=True)
    sentence = write_run_page(tmp_path / "run" / "generator.html", private, publishable=True)
    assert sentence.startswith("The generator that comes with the project") and "may not be shown" in sentence
    assert not kimg(tmp_path / "run")
    text = (tmp_path / "run" / "generator.html").read_text(encoding="utf-8")
    assert re.findall(r'id="quiz-images"[^>]*>(.*?)<', text) == ["[]"]


def test_another_run_on_own_files_shows_its_own_generator_and_no_image(tmp_path):
    private = finished_run(tmp_path / "run", "own files")
    page = tmp_path / "run" / "generator.html"
    assert "to be treated as its training images" in write_run_page(page, private, publishable=False)
    text = page.read_text(encoding="utf-8")
    assert kimg(tmp_path / "run") and re.findall(r'id="quiz-images"[^>]*>(.*?)<', text) == ["[]"]


@pytest.mark.parametrize("damage", ["no training", "no record", "cut weights"])
def test_a_run_without_a_generator_shows_the_shipped_one_and_no_place(tmp_path, damage):
    private = finished_run(tmp_path / "run", "synthetic radiographs")
    weights = private / "work" / "models" / "sapggan" / "generator.safetensors"
    if damage == "no training":
        weights.unlink()
    if damage == "no record":
        record_path(tmp_path / "run", "04_model_comparison").unlink()
    if damage == "cut weights":
        weights.write_bytes(weights.read_bytes()[:-10])
    sentence = write_run_page(tmp_path / "run" / "generator.html", private, publishable=False)
    assert sentence.startswith("The generator that comes with the project") and str(tmp_path) not in sentence
    assert (tmp_path / "run" / "generator.html").is_file()


def test_a_clone_without_the_trainings_keeps_the_page_that_they_gave(tmp_path):
    page, private = tmp_path / "run" / "generator.html", finished_run(tmp_path / "run", "synthetic radiographs")
    write_json(tmp_path / "run" / "record.json", {"page": write_run_page(page, private, publishable=True)})
    text = page.read_bytes()
    assert write_run_page(page, tmp_path / "empty", publishable=True) == "This run's generator"
    assert page.read_bytes() == text
    page.unlink()
    sentence = write_run_page(page, tmp_path / "empty", publishable=True)
    assert sentence == "The generator that comes with the project, since this run's own is not here"


def test_a_store_of_another_hash_gives_no_quiz(tmp_path):
    private = finished_run(tmp_path / "run", "synthetic radiographs")
    assert drawn_images(private / "work", {"store": "another"}) is None


def test_a_run_whose_page_cannot_be_written_goes_on_without(tmp_path, monkeypatch, capsys):
    def refuse(*_):
        raise SapgganError("no room")

    (tmp_path / "generator.html").write_text("of an earlier run")
    monkeypatch.setattr("sapggan_lib.page.of_run.write_page", refuse)
    assert write_run_page(tmp_path / "generator.html", tmp_path, publishable=False) == ""
    assert not (tmp_path / "generator.html").exists() and "no room" in capsys.readouterr().out
