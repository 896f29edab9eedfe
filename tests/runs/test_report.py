import json
import os
import re

import nbformat

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
