import csv
import json

import pytest

from sapggan_lib.base.errors import SapgganError
from sapggan_lib.base.files import ROOT
from sapggan_lib.evaluation import score_frame, score_rows, score_table, table_1

REFERENCE = ROOT / "papermill_runs" / "reference" / "results"


def row(method, value, low=None, high=None, floor=None, metric="FD", **scale):
    protocol = {"metric": metric, "extractor": "efficientnet-lite0", "n": 500}
    return {"method": method, "value": value, "low": low, "high": high, "floor": floor} | scale | protocol


# two seeds each, 0.4 apart: t of 1 degree of freedom and s / sqrt(2) of 0.2 make a margin of 2.541
ROWS = [
    row(f"{method}, seed {seed}", value + 0.4 * seed, value - 1, value + 1, 5, floor_n=500, **scale)
    for method, value, scale in (
        ("pggan", 40.0, {"epoch": 10, "kimg": 1, "hours": 0.5}),
        ("sapggan", 20.0, {"epoch": 10, "kimg": 1, "hours": 1.0}),
        ("pggan", 30.0, {"epoch": 50, "kimg": 5, "hours": 2.5}),
        ("sapggan", 26.0, {"epoch": 50, "kimg": 5, "hours": 5.0}),
    ) for seed in (0, 1)
]  # fmt: skip
SCORES = score_frame(ROWS)


def test_best_is_marked_only_where_intervals_over_seeds_are_clear():
    text = table_1(SCORES).markdown()
    assert "**20.2 [17.66, 22.74]**" in text and "| 26.2 [23.66, 28.74] |" in text
    assert "means over 2 seeds with their 95 % intervals" in text and "images alone: ±1 for a training" in text


def test_with_one_seed_nothing_is_bold_and_the_table_says_why():
    for scores in (SCORES[SCORES["seed"] == 0], SCORES[(SCORES["seed"] == 0) | (SCORES["method"] == "pggan")]):
        text = table_1(scores).markdown()
        assert "**" not in text and "nothing is bold, since another seed may turn the order round" in text
    assert "| 20 |" in text


def test_a_collapsed_row_is_marked_and_never_bold():
    collapsed = SCORES.assign(variety=SCORES["method"].map({"sapggan": 0.1, "pggan": 0.9}))
    text = table_1(collapsed).markdown()
    assert "| 20.2 [17.66, 22.74] † |" in text and "**" not in text and "near copies of one image" in text
    assert "†" not in table_1(SCORES.assign(variety=0.5)).markdown()


def test_a_floor_of_fewer_images_is_named_as_such():
    assert "Real against real, N = 500: 5." in table_1(SCORES).caption
    planted = table_1(SCORES.assign(floor_n=250)).caption
    assert "Real against real, N = 250 and so higher than at N = 500, for want of real images: 5." in planted
    assert "N unknown" in table_1(SCORES.assign(floor_n=float("nan"))).caption


def test_the_papers_numbers_stand_beside_ours_as_another_protocol():
    text = table_1(SCORES).markdown()
    assert "| Self Attention PGGAN (paper, another protocol) | 35.36 | 28.57 |" in text
    assert "paper" not in table_1(SCORES, by="kimg").markdown()
    assert table_1(SCORES, by="hours").markdown().startswith("| method | 0.5 h | 1 h | 2.5 h | 5 h |\n")


def test_the_table_is_written_as_csv_markdown_and_latex(tmp_path):
    paths = table_1(SCORES).save(tmp_path / "table1")
    assert [path.name for path in paths] == ["table1.csv", "table1.md", "table1.tex"]
    rows = list(csv.DictReader(paths[0].open()))
    assert len(rows) == 4 and float(rows[1]["value"]) == 20.2 and rows[1]["seeds"] == "2"
    assert rows[0]["extractor"] == "efficientnet-lite0"
    assert r"\textbf{20.2 [17.66, 22.74]}" in paths[2].read_text() and r"95 \% intervals" in paths[2].read_text()


def test_the_caption_tells_metric_extractor_and_n():
    assert table_1(SCORES).caption.startswith("FD (efficientnet-lite0), N = 500 images a side")


def test_scores_that_cannot_share_a_table_are_refused():
    with pytest.raises(SapgganError, match="no scores"):
        table_1(score_frame([]))
    with pytest.raises(SapgganError, match="different metrics"):
        table_1(score_frame([*ROWS, row("dcgan", 1.0, epoch=10, metric="FID")]))
    with pytest.raises(SapgganError, match="numbers of images"):
        table_1(score_frame([*ROWS, row("dcgan", 1.0, epoch=10) | {"n": 100}]))
    with pytest.raises(SapgganError, match='dcgan has no "epoch"'):
        table_1(score_frame([row("dcgan", 1.0, kimg=10)]))


def test_ablations_have_their_own_first_column_and_no_paper_rows():
    ends = (("ra-hinge, seed 0", 10.0), ("ra-hinge, seed 1", 10.0), ("minmax, seed 0", 30.0), ("minmax, seed 1", 30.0))
    losses = score_frame(row(name, value, kimg=2) for name, value in ends)
    text = score_table(losses, by="kimg", what="loss").markdown()
    assert text.startswith("| loss | 2 kimg |") and "| RA-hinge | **10 [10, 10]** |" in text and "paper" not in text
    kinds = score_frame(row(name, 10.0, 9, 11, kimg=2) for name in ("se", "sagan", "none"))
    table = score_table(kinds, by="kimg", what="attention")
    assert table.cells.index.name == "attention" and not table.best.any(axis=None)


def test_a_score_that_a_method_lacks_leaves_an_empty_cell():
    assert "| DCGAN |  | 9 |" in table_1(score_frame([*ROWS, row("dcgan", 9.0, epoch=50)])).markdown()


def test_a_frame_has_method_and_seed_apart_and_goes_back_into_the_rows_of_a_file():
    rows = [row(name, 3.0, epoch=1.0, kimg=0.5, hours=0.1) for name in ("hinge, seed 1", "hinge")]
    frame = score_frame(rows)
    assert frame["method"].tolist() == ["hinge", "hinge"] and frame["seed"].isna().tolist() == [False, True]
    assert score_rows(frame) == [row | {"floor_n": None, "variety": None} for row in rows]


@pytest.mark.parametrize("name", ["03_scores", "03_attention_scores", "04_scores"])
def test_the_files_of_a_run_stay_as_they_are(name):
    rows = json.loads((REFERENCE / f"{name}.json").read_text())
    assert score_rows(score_frame(rows)) == [{"floor_n": None, "variety": None} | row for row in rows]


def test_the_tables_of_a_run_come_back_from_its_scores():
    losses = score_frame(json.loads((REFERENCE / "03_scores.json").read_text()))
    table = score_table(losses, by="kimg", what="loss").markdown()
    assert table.splitlines()[:-1] == (REFERENCE / "03_loss_table.md").read_text().splitlines()[:-1]  # but the caption
