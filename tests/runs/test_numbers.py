"""Numbers in text follow their files: what is stale is named, and what must be bound is missed."""

import json

import pytest

from sapggan_lib import cli
from sapggan_lib.base.errors import SapgganError
from sapggan_lib.base.files import ROOT
from sapggan_lib.runs import check_text, numbers

SCORES = {"n": 1685, "scores": {"fd": {"value": 55.62, "low": 52.6, "high": 58.649}, "kid": {"value": -0.0125}}}
ROWS = "method,epoch,fd\nDCGAN,1,385.71\nDCGAN,15.0,300.5\nOurs,15.0,1269.4\n"
TABLE = "| model | FD |\n| --- | --- |\n| ours | 1.2 [1, 1.4] |\n| theirs | 3 |\n"
COMMIT = "<!-- run/records/04_x.json git.commit -->"


@pytest.fixture
def page(tmp_path):
    """Writes a page of a project with results, and checks it: how many bindings hold, or what is wrong with them."""
    (tmp_path / "scores.json").write_text(json.dumps(SCORES))
    (tmp_path / "rows.csv").write_text(ROWS)
    (tmp_path / "run" / "records").mkdir(parents=True)
    (tmp_path / "run" / "table.md").write_text(f"above\n\n{TABLE}| another | 4 |\n")
    (tmp_path / "run" / "records" / "04_x.json").write_text(json.dumps({"git": {"commit": "3ebfa1b3" + 32 * "0"}}))
    (tmp_path / "docs").mkdir()

    def check(text, write=False):
        (tmp_path / "docs" / "page.md").write_text(text)
        return check_text(tmp_path, write)

    check.path = tmp_path / "docs" / "page.md"
    return check


def test_the_projects_text_has_the_numbers_of_its_files(capsys):
    assert cli.main(["check-text"]) == 0, "run `sapggan check-text`"
    assert int(capsys.readouterr().out.split()[0]) > 40


@pytest.mark.parametrize("text", [
    "FD 55.6<!-- scores.json scores.fd.value -->",
    "**56 [53, 58.6]**<!-- scores.json scores.fd.value, scores.fd.low, scores.fd.high -->, and",
    "KID -12.5<!-- scores.json scores.kid.value*1000 --> x 1000",
    "halves -12 or -13<!-- scores.json scores.kid.value*1000, scores.kid.value*1000 -->",
    "of 1,685<!-- scores.json n --> and 1685<!-- scores.json n -->",
    "| 15 | 300 | 300.5<!-- rows.csv [method=DCGAN, epoch=15] epoch, fd, fd -->",
    "1,269.4<!-- rows.csv [method=Ours] fd -->",
    f"![a](run/figures/04_a.png)\n\n*At `3ebfa1b`{COMMIT}.*",
])  # fmt: skip
def test_numbers_as_rounded_as_they_stand_hold(page, text):
    assert page(text) >= 1


@pytest.mark.parametrize(("text", "said"), [
    ("FD 55.5<!-- scores.json scores.fd.value -->", r"docs/page.md, line 1: shows 55.5, scores.json has 55.62 "
     r"\(scores.fd.value\)"),
    ("a\n\n12.5<!-- scores.json scores.kid.value*1000 -->", "line 3: shows 12.5, scores.json has -12.5"),
    ("385.7<!-- rows.csv [method=DCGAN,epoch=15] fd -->", "shows 385.7, rows.csv has 300.5"),
    ("385.7<!-- rows.csv [method=DCGAN] fd -->", "2 rows have method=DCGAN"),
    ("385.7<!-- rows.csv [model=DCGAN] fd -->", "cannot be checked: KeyError"),
    ("1<!-- scores.json scores.fid.value -->", "cannot be checked: KeyError"),
    ("1<!-- gone.json n -->", "cannot be checked: FileNotFoundError"),
    ("5<!-- scores.json n, n -->", "cannot be checked"),
    ("5<!-- a remark -->", "write FILE.json KEY"),
    ("FD is 55.6 [52.6, 58.6] here", r"55.6 \[52.6, 58.6\] is bound to no file"),
    ("`3ebfa1c`" + COMMIT, "shows 3ebfa1c, run/records/04_x.json has 3ebfa1b3"),
    ("![a](run/figures/04_a.png)\n\n*By notebook 04.*", "no bound commit in the caption of"),
    (f"![a](run/figures/05_a.png)\n\n*At `3ebfa1b`{COMMIT}.*", "no bound commit in the caption of"),
    ("<!-- none.md -->\n" + TABLE, "none.md has no table"),
    ("<!-- run/table.md -->\n" + TABLE.replace("1.2", "1.1"), "line 4: shows .*1.1 .*, its file has .*1.2 "),
    ("<!-- run/table.md -->\n" + TABLE.replace("ours", "theirs", 1), r"shows \| theirs \| 1.2"),
    ("<!-- run/table.md -->\n" + TABLE + 2 * "| more | 5 [4, 6] |\n", r"line 6: shows \| more(?s:.)*line 7: 5 \["),
])  # fmt: skip
def test_what_is_stale_or_missing_is_named_with_its_line(page, text, said):
    with pytest.raises(SapgganError, match=said):
        page(text)


def test_a_table_is_that_of_its_file_and_may_end_before_it(page):
    assert page("<!-- run/table.md -->\n" + TABLE + "\nand so on") == 1


def test_stale_numbers_are_replaced_as_rounded_as_they_stood_and_nothing_else_is(page):
    stale = "| 7 | 54.10 [52.6, 58.6]<!-- scores.json scores.fd.value, scores.fd.low, scores.fd.high --> | 9 |\n"
    table = "<!-- run/table.md -->\n" + TABLE
    with pytest.raises(SapgganError):
        page(stale + "at 3ebfa1c" + COMMIT + "\n" + table.replace("1.2", "1.1"), write=True)
    written = page.path.read_text()
    assert written == stale.replace("54.10", "55.62") + "at 3ebfa1b" + COMMIT + "\n" + table
    assert page(written) == 3


@pytest.mark.parametrize("name", ["README.md", "weights/README.md", "benchmarks/RESULTS.md"])
def test_a_stale_number_planted_in_the_projects_own_text_fails(tmp_path, monkeypatch, name):
    for folder in ("weights", "benchmarks", "papermill_runs"):
        (tmp_path / folder).symlink_to(ROOT / folder)
    text = (ROOT / name).read_text(encoding="utf-8")
    at = numbers.COMMENT.search(text).start()
    planted = next(m for m in reversed(list(numbers.re.finditer(numbers.NUMBER, text[:at]))))
    monkeypatch.setattr(numbers, "PAGES", ("planted.md",))
    (tmp_path / "planted.md").write_text(text[:planted.start()] + "9" + text[planted.start():], encoding="utf-8")
    with pytest.raises(SapgganError, match=f"shows {planted[0]}|shows 9"):
        check_text(tmp_path)
