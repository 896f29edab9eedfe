"""How well scores and maps find: by hand, against scikit-learn, and the sentences that follow from it."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from sapggan_lib.base.errors import SapgganError
from sapggan_lib.base.images import write_png
from sapggan_lib.lessons import anomaly as lesson

RANDOM = np.random.default_rng(0)
ABNORMAL = np.arange(80) >= 40
SCORES = {"padim": RANDOM.normal(size=80) + 3 * ABNORMAL, "pca": RANDOM.normal(size=80).round(1) + ABNORMAL,
          "f-anogan": RANDOM.normal(size=80)}  # fmt: skip


@pytest.fixture(scope="module")
def draws():
    return lesson.bootstrap(SCORES, ABNORMAL, np.arange(80), draws=500)


def test_auroc_equals_scikit_learn_with_ties_and_weights(draws):
    for name, scores in SCORES.items():
        assert draws[name][0] == pytest.approx(roc_auc_score(ABNORMAL, scores))
    weights = np.random.default_rng(0).multinomial(80, np.full(80, 1 / 80), size=500)[0]
    assert draws["pca"][1] == pytest.approx(roc_auc_score(ABNORMAL, SCORES["pca"], sample_weight=weights))


def test_scores_that_know_nothing_have_chance_in_their_interval(draws):
    value, low, high = lesson.interval(draws["f-anogan"])
    assert low < 0.5 < high and low < value < high


def test_images_of_one_patient_are_one_piece_of_evidence():
    once = lesson.bootstrap(SCORES, ABNORMAL, np.arange(80), draws=500)["pca"]
    pairs = lesson.bootstrap(SCORES, ABNORMAL, np.arange(80) // 8, draws=500)["pca"]
    tenfold = lesson.bootstrap({"pca": np.repeat(SCORES["pca"], 10)}, np.repeat(ABNORMAL, 10),
                               np.repeat(np.arange(80), 10), draws=500)["pca"]  # fmt: skip
    assert tenfold.std() == pytest.approx(once.std(), rel=0.05) and pairs[0] == once[0]


def test_a_paired_difference_is_surer_than_its_parts():
    scores = {"one": SCORES["pca"], "other": SCORES["pca"] + RANDOM.normal(0, 0.1, 80)}
    draws = lesson.bootstrap(scores, ABNORMAL, np.arange(80), draws=500)
    assert (draws["one"] - draws["other"]).std() < draws["one"].std() / 3


def test_the_pointing_game_by_hand():
    boxes = [np.array([[0.0, 0.0, 0.5, 0.5]]), np.array([[0.5, 0.5, 0.5, 0.5], [0.0, 0.0, 0.5, 0.5]]), np.empty((0, 4))]
    maps = np.zeros((3, 2, 2))
    maps[0, 1, 0] = maps[1, 1, 1] = maps[2, 0, 0] = 1             # beside its box, in one, and an image without
    (row,) = lesson.pointing({"padim": maps}, boxes).itertuples()
    assert (row.hits, row.fixed_place) == (0.5, 1.0)             # the upper left is in a box of both


def test_boxes_are_where_drawn_opacities_are():
    cases = lesson.drawn_cases(8, 64)
    assert [len(boxes) > 0 for boxes in cases.boxes] == (cases.labels == lesson.OPACITY).tolist() == [False, True] * 4
    assert not (lesson.drawn_normals(2, 64)[0] == cases.images[0]).all()


def test_labels_are_read_with_boxes_as_shares_of_the_side(tmp_path):
    write_png(tmp_path / "a.png", np.full((8, 8), 7, np.uint8))
    table = tmp_path / "labels.csv"
    table.write_text('Image Index,Patient ID,RSNA Label,Boxes\na.png,1,Lung Opacity,"512,256,256,128;0,0,1024,512"\n')
    cases = lesson.labelled_cases(tmp_path, table, 4)
    assert cases.images.shape == (1, 4, 4) and cases.labels[0] == lesson.OPACITY
    np.testing.assert_array_equal(cases.boxes[0], [[0.5, 0.25, 0.25, 0.125], [0, 0, 1, 0.5]])
    table.write_text("Image Index\na.png\n")
    with pytest.raises(SapgganError, match="no column Boxes, Patient ID, RSNA Label"):
        lesson.labelled_cases(tmp_path, table, 4)


def test_an_overlay_is_red_where_the_map_is_high():
    shown = lesson.overlay(np.full((8, 8), 100, np.uint8), np.array([[0.0, 0], [0, 1]]), np.empty((0, 4)), (0.0, 1.0))
    assert shown[0, 0].tolist() == [100, 100, 100] and shown[7, 7].tolist() == [177, 50, 50]


def test_sentences_say_what_the_intervals_say(draws):
    peaks = pd.DataFrame({"method": ["padim"], "hits": [0.3], "fixed_place": [0.5]})
    best, chance, against, maps, published = lesson.findings(draws, peaks, "Opacity")
    assert best.startswith("Opacity against normal: padim is best with AUROC ") and "above pca" in best
    assert chance.endswith(": f-anogan.") and against.startswith("f-AnoGAN is below PCA")
    assert "no more than the best fixed place (50%)" in maps and "another protocol" in published
    equal = lesson.bootstrap({"pca": SCORES["pca"], "f-anogan": SCORES["pca"]}, ABNORMAL, np.arange(80), draws=100)
    sentences = lesson.findings(equal, peaks[:0], "Opacity")
    assert "not told apart from" in sentences[0] and "f-AnoGAN is not above PCA" in sentences[1]
