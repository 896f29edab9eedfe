import csv

import pytest

from sapggan_lib.base.errors import SapgganError
from sapggan_lib.evaluation import Score, attention_ablation, loss_ablation, table1

SCORES = [
    Score("pggan", 40.0, 35, 45, 5, epoch=10, kimg=1, hours=0.5, n=500),
    Score("sapggan", 20.0, 15, 25, 5, epoch=10, kimg=1, hours=1.0, n=500),
    Score("pggan", 30.0, 20, 40, 5, epoch=50, kimg=5, hours=2.5, n=500),
    Score("sapggan", 18.0, 15, 21, 6, epoch=50, kimg=5, hours=5.0, n=500),
]


def test_best_is_marked_only_where_intervals_do_not_overlap():
    text = table1(SCORES).markdown()
    assert "**20 [15, 25]**" in text and "| 18 [15, 21] |" in text


def test_the_papers_numbers_stand_beside_ours_as_another_protocol():
    text = table1(SCORES).markdown()
    assert "| Self Attention PGGAN (paper, another protocol) | 35.36 | 28.57 |" in text
    assert "paper" not in table1(SCORES, by="kimg").markdown()
    assert table1(SCORES, by="hours").header == ("method", "0.5 h", "1 h", "2.5 h", "5 h")


def test_the_table_is_written_as_csv_markdown_and_latex(tmp_path):
    paths = table1(SCORES).save(tmp_path / "table1")
    assert [path.name for path in paths] == ["table1.csv", "table1.md", "table1.tex"]
    rows = list(csv.DictReader(paths[0].open()))
    assert len(rows) == 4 and float(rows[1]["value"]) == 20 and rows[0]["extractor"] == "efficientnet-lite0"
    assert r"\textbf{20 [15, 25]}" in paths[2].read_text() and r"95 \% intervals" in paths[2].read_text()


def test_the_caption_tells_metric_extractor_n_and_floor():
    assert table1(SCORES).caption.startswith("FD (efficientnet-lite0), N = 500 images a side")
    assert "Real against real: 5 to 6." in table1(SCORES).caption


def test_scores_that_cannot_share_a_table_are_refused():
    with pytest.raises(SapgganError, match="no scores"):
        table1([])
    with pytest.raises(SapgganError, match="different metrics"):
        table1([*SCORES, Score("dcgan", 1.0, epoch=10, metric="FID")])
    with pytest.raises(SapgganError, match='dcgan has no "epoch"'):
        table1([Score("dcgan", 1.0, kimg=10)])


def test_ablations_have_their_own_first_column_and_no_paper_rows():
    losses = [Score("ra-hinge", 10.0, 9, 11, kimg=2), Score("minmax", 30.0, 29, 31, kimg=2)]
    text = loss_ablation(losses).markdown()
    assert text.startswith("| loss | 2 kimg |") and "| RA-hinge | **10 [9, 11]** |" in text and "paper" not in text
    kinds = [Score(name, 10.0, 9, 11, kimg=2) for name in ("se", "sagan", "none")]
    assert attention_ablation(kinds).header[0] == "attention" and not attention_ablation(kinds).best
