import csv
import json

import pytest

from sapggan_lib.base.errors import SapgganError
from sapggan_lib.base.files import ROOT
from sapggan_lib.evaluation import over_seeds, score_frame, score_rows, score_table, table_1

REFERENCE = ROOT / "papermill_runs" / "reference" / "results"


def row(method, value, low=None, high=None, floor=None, metric="FD", **scale):
    protocol = {"metric": metric, "extractor": "efficientnet-lite0", "n": 500}
    return {"method": method, "value": value, "low": low, "high": high, "floor": floor} | scale | protocol


ROWS = [
    row("pggan", 40.0, 35, 45, 5, epoch=10, kimg=1, hours=0.5),
    row("sapggan", 20.0, 15, 25, 5, epoch=10, kimg=1, hours=1.0),
    row("pggan", 30.0, 20, 40, 5, epoch=50, kimg=5, hours=2.5),
    row("sapggan", 18.0, 15, 21, 6, epoch=50, kimg=5, hours=5.0),
]
SCORES = score_frame(ROWS)


def test_best_is_marked_only_where_intervals_do_not_overlap():
    text = table_1(SCORES).markdown()
    assert "**20 [15, 25]**" in text and "| 18 [15, 21] |" in text


def test_the_papers_numbers_stand_beside_ours_as_another_protocol():
    text = table_1(SCORES).markdown()
    assert "| Self Attention PGGAN (paper, another protocol) | 35.36 | 28.57 |" in text
    assert "paper" not in table_1(SCORES, by="kimg").markdown()
    assert table_1(SCORES, by="hours").markdown().startswith("| method | 0.5 h | 1 h | 2.5 h | 5 h |\n")


def test_the_table_is_written_as_csv_markdown_and_latex(tmp_path):
    paths = table_1(SCORES).save(tmp_path / "table1")
    assert [path.name for path in paths] == ["table1.csv", "table1.md", "table1.tex"]
    rows = list(csv.DictReader(paths[0].open()))
    assert len(rows) == 4 and float(rows[1]["value"]) == 20 and rows[0]["extractor"] == "efficientnet-lite0"
    assert r"\textbf{20 [15, 25]}" in paths[2].read_text() and r"95 \% intervals" in paths[2].read_text()


def test_the_caption_tells_metric_extractor_n_and_floor():
    assert table_1(SCORES).caption.startswith("FD (efficientnet-lite0), N = 500 images a side")
    assert "Real against real: 5 to 6." in table_1(SCORES).caption


def test_scores_that_cannot_share_a_table_are_refused():
    with pytest.raises(SapgganError, match="no scores"):
        table_1(score_frame([]))
    with pytest.raises(SapgganError, match="different metrics"):
        table_1(score_frame([*ROWS, row("dcgan", 1.0, epoch=10, metric="FID")]))
    with pytest.raises(SapgganError, match='dcgan has no "epoch"'):
        table_1(score_frame([row("dcgan", 1.0, kimg=10)]))


def test_ablations_have_their_own_first_column_and_no_paper_rows():
    losses = score_frame([row("ra-hinge", 10.0, 9, 11, kimg=2), row("minmax", 30.0, 29, 31, kimg=2)])
    text = score_table(losses, by="kimg", what="loss").markdown()
    assert text.startswith("| loss | 2 kimg |") and "| RA-hinge | **10 [9, 11]** |" in text and "paper" not in text
    kinds = score_frame(row(name, 10.0, 9, 11, kimg=2) for name in ("se", "sagan", "none"))
    table = score_table(kinds, by="kimg", what="attention")
    assert table.cells.index.name == "attention" and not table.best.any(axis=None)


def test_a_score_that_a_method_lacks_leaves_an_empty_cell():
    assert "| DCGAN |  | 9 |" in table_1(score_frame([*ROWS, row("dcgan", 9.0, epoch=50)])).markdown()


def test_a_frame_has_method_and_seed_apart_and_goes_back_into_the_rows_of_a_file():
    rows = [row(name, 3.0, epoch=1.0, kimg=0.5, hours=0.1) for name in ("hinge, seed 1", "hinge")]
    frame = score_frame(rows)
    assert frame["method"].tolist() == ["hinge", "hinge"] and frame["seed"].isna().tolist() == [False, True]
    assert score_rows(frame) == rows


@pytest.mark.parametrize("name", ["03_scores", "03_attention_scores", "04_scores"])
def test_the_files_of_a_run_stay_as_they_are(name):
    rows = json.loads((REFERENCE / f"{name}.json").read_text())
    assert json.dumps(score_rows(score_frame(rows))) == json.dumps(rows)


def test_the_tables_of_a_run_come_back_from_its_scores():
    losses = score_frame(json.loads((REFERENCE / "03_scores.json").read_text()))
    table = score_table(over_seeds(losses), by="kimg", what="loss").markdown()
    assert table.splitlines()[:-1] == (REFERENCE / "03_loss_table.md").read_text().splitlines()[:-1]  # but the caption
