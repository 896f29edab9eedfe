import json
import os

import nbformat
from bs4 import BeautifulSoup

from sapggan_lib.runs.report import index_page, write_report

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
