import json
import os
import re
import shutil

import nbformat
from bs4 import BeautifulSoup

from sapggan_lib.runs import report
from sapggan_lib.runs.report import TEMPLATES, equations, index_page, write_report

EVIL = "\"><script>alert('x')</script>"


def record(**changes):
    entry = {"figures": ["01_a.png"], "results": [], "data": {}}
    return {"run": "r", "profile": "smoke", "publishable": True, "finished": "now", "seconds": 1, "device": "CPU",
            "outcomes": {"01_a": "done in 1 s"}, "git": {"commit": "", "dirty": False}, "versions": {},
            "notebooks": {"01_a": entry}} | changes  # fmt: skip


def write_run(folder, text):
    cells = [nbformat.v4.new_markdown_cell("# A"), nbformat.v4.new_code_cell(f"print({text!r})")]
    folder.mkdir(exist_ok=True)
    nbformat.write(nbformat.v4.new_notebook(cells=cells), folder / "01_a.ipynb")
    (folder / "record.json").write_text(json.dumps(record()))


def test_names_and_titles_are_text_whatever_they_hold():
    entry = {"figures": [f"01_{EVIL}.png", "01_50% #1?.png"], "results": [], "data": {EVIL: EVIL}}
    page = index_page(record(run=EVIL, profile=EVIL, device=EVIL, versions={EVIL: EVIL}, notebooks={EVIL: entry},
                             outcomes={EVIL: EVIL}), {EVIL: EVIL})  # fmt: skip
    assert "<script" not in page and "'x'" not in page
    assert 'src="figures/01_50%25%20%231%3F.png" alt="50% #1?"' in page


def test_pages_carry_the_alternative_text_of_figures(tmp_path):
    write_run(tmp_path, "")
    notebook = nbformat.read(tmp_path / "01_a.ipynb", 4)
    picture = {"output_type": "display_data", "data": {"image/png": "iVBOR"}}
    alt = f"Two curves & {EVIL}"
    notebook.cells[1].outputs = [
        nbformat.from_dict(picture | {"metadata": {"image/png": {"alt": alt}}}),
        nbformat.from_dict(picture | {"metadata": {}}),
    ]
    page = record(notebooks={"01_a": {"figures": ["01_a.png"], "results": [], "data": {}, "alt": {"01_a.png": alt}}})
    nbformat.write(notebook, tmp_path / "01_a.ipynb")
    (tmp_path / "record.json").write_text(json.dumps(page))
    write_report(tmp_path)
    for name, texts in (("01_a.html", [alt, ""]), ("index.html", [alt])):
        page = BeautifulSoup((tmp_path / name).read_text(), "html.parser")
        assert [image["alt"] for image in page.find_all("img")] == texts and "alert" not in str(page.find_all("script"))


def test_a_page_is_small_and_has_the_looks_of_its_template_alone(tmp_path, monkeypatch):
    write_run(tmp_path, "")
    write_report(tmp_path)
    page = (tmp_path / "01_a.html").read_text()
    assert (TEMPLATES / "notebook.css").read_text().strip() in page
    assert len(page) < 40_000  # with JupyterLab's own style sheet 280,000
    monkeypatch.setattr(report, "TEMPLATES", tmp_path / "templates")
    shutil.copytree(TEMPLATES, report.TEMPLATES)
    (report.TEMPLATES / "notebook.css").write_text("body { color: teal }")
    write_report(tmp_path)
    assert "teal" in (tmp_path / "01_a.html").read_text(), "a page made with other looks was kept"


def test_a_page_follows_its_notebook_by_content_not_by_time(tmp_path):
    write_run(tmp_path, "one text")
    write_report(tmp_path)
    page = tmp_path / "01_a.html"
    assert "one text" in page.read_text()
    made = page.stat().st_mtime_ns
    os.utime(tmp_path / "01_a.ipynb")
    write_report(tmp_path)
    assert page.stat().st_mtime_ns == made
    write_run(tmp_path, "another text")
    os.utime(tmp_path / "01_a.ipynb", (0, 0))  # as a copy or a clock that steps back may leave it
    write_report(tmp_path)
    assert "another text" in page.read_text() and "one text" not in page.read_text()


def test_a_page_without_its_notebook_goes_and_its_neighbours_link_to_it_no_more(tmp_path):
    write_run(tmp_path, "one text")
    (tmp_path / "02_b.ipynb").write_bytes((tmp_path / "01_a.ipynb").read_bytes())
    write_report(tmp_path)
    assert "02_b.html" in (tmp_path / "01_a.html").read_text()
    (tmp_path / "02_b.ipynb").unlink()
    write_report(tmp_path)
    assert "02_b.html" not in (tmp_path / "01_a.html").read_text() and not (tmp_path / "02_b.html").exists()


def test_equations_become_mathml_and_dollars_in_code_or_prices_stay():
    page = equations("<p>$$a &lt; b_1$$ with $x^2$, <code>$HOME a$</code>, from $5 to $6</p>")
    block, inline = BeautifulSoup(page, "html.parser").find_all("math")
    assert (block["display"], block.text, inline["display"], inline.text) == ("block", "a<b1", "inline", "x2")
    assert "<code>$HOME a$</code>, from $5 to $6" in page


def test_a_page_folds_the_log(tmp_path):
    write_run(tmp_path, "")
    notebook = nbformat.read(tmp_path / "01_a.ipynb", 4)
    notebook.cells[1].outputs = [nbformat.v4.new_output("stream", name="stderr", text="20 MB for weights")]
    nbformat.write(notebook, tmp_path / "01_a.ipynb")
    write_report(tmp_path)
    page = BeautifulSoup((tmp_path / "01_a.html").read_text(), "html.parser")
    (folded,) = page.find_all("details")
    assert not folded.has_attr("open") and "20 MB for weights" in folded.text


def test_the_front_page_says_who_made_each_training_and_which_notebook_is_of_another_commit():
    parts = [{"from_kimg": 0, "commit": "a" * 40, "dirty": False, "device": "CPU, 2 threads"},
             {"from_kimg": 3.5, "commit": "b" * 40, "dirty": True, "device": EVIL}]  # fmt: skip
    git = {"commit": "c" * 40, "dirty": True}
    entry = record()["notebooks"]["01_a"] | {"git": {"commit": "d" * 40, "dirty": False}}
    trainings = {"models/ours": {"kimg": 10.4, "step": 1300, "seconds": 384.2, "parts": parts}}
    page = index_page(record(git=git, trainings=trainings, notebooks={"01_a": entry}), {"01_a": "A"})
    text = " ".join(re.sub(r"<[^>]+>", " ", page).split())
    assert "models/ours 10.400 384 commit aaaaaaaaaaaa, CPU, 2 threads; commit bbbbbbbbbbbb with local changes" in text
    assert "from 3.500 kimg on" in text and "<script" not in page
    assert "cccccccccccc with local changes" in text and "made at commit dddddddddddd" in text
    assert "Trainings" not in index_page(record(), {})
