"""Sentences about a run: each planted fault, and each other order, makes another sentence."""

import numpy as np
import pytest

from sapggan_lib.evaluation import Neighbours, evaluate, score_frame
from sapggan_lib.lessons import findings
from sapggan_lib.lessons import scores as lesson

LOSSES = {"hinge": [200.0, 204.0, 196.0], "minmax": [260.0, 262.0, 258.0], "ra-hinge": [290.0, 300.0, 280.0]}


def frame(curves=LOSSES, **changes):
    """Scores of three seeds of each method: from 400 at epoch 1 to those of `curves` at epoch 2; the floor is right."""
    same = {"metric": "FD", "extractor": "lite", "n": 300, "floor": 5.0, "floor_n": 300, "variety": 0.9} | changes
    return score_frame(
        {"method": f"{method}, seed {seed}", "epoch": epoch, "kimg": epoch / 10, "value": score, "low": score - 2,
         "high": score + 2, "hours": 0.1 * epoch} | same
        for method, ends in curves.items() for seed, end in enumerate(ends) for epoch, score in ((1, 400.0), (2, end))
    )  # fmt: skip


def text(scores, chosen="ra-hinge"):
    return " ".join(findings.comparison(scores, "loss", chosen))


def test_the_leader_and_the_worst_are_named_where_intervals_over_seeds_are_clear():
    said = text(frame())
    assert "**hinge leads**: it has the lowest mean FD at the end, 200 [190.1, 209.9], clear of every other" in said
    assert "**RA-hinge is the worst**" in said and "over 3 seeds" in said
    assert "RA-hinge is number 3 of 3 by its mean. Of 3 trainings each, one of it ends lower in 0 % [0, 0] of" in said


def test_a_swapped_ranking_changes_the_sentences():
    swapped = frame({"hinge": LOSSES["ra-hinge"], "minmax": LOSSES["minmax"], "ra-hinge": LOSSES["hinge"]})
    said = text(swapped)
    assert "**RA-hinge leads**" in said and "**hinge is the worst**" in said and "number 1 of 3" in said
    assert "ends lower in 100 %" in said


def test_a_tie_is_no_lead_and_names_what_it_is_tied_with():
    said = text(frame(LOSSES | {"minmax": [195.0, 215.0, 205.0]}))
    assert "No loss leads for sure" in said and "not clear of minmax by" in said and "**hinge leads**" not in said
    assert "**RA-hinge is the worst**" in said


def test_one_seed_decides_nothing():
    said = text(frame({name: ends[:1] for name, ends in LOSSES.items()}))
    assert "Which loss is best is not decided: one training (seed) of each cannot show it" in said
    assert "leads" not in said and "worst" not in said and "of one training, by images alone" in said


def test_a_planted_collapse_is_told_with_the_best_score_before_it_and_is_not_ranked():
    scores = frame(LOSSES | {"hinge": [100.0, 101.0, 99.0]})
    assert "alike" not in text(scores)
    scores.loc[(scores["method"] == "hinge") & (scores["epoch"] == 2) & (scores["seed"] == 1), "variety"] = 0.03
    said = text(scores)
    assert "**The samples of hinge, seed 1, are alike** at epoch 2: they spread over 3.0 % of what" in said
    assert "Its best score before, 400, is of epoch 1." in said
    assert "**minmax leads**" in said and "number 2 of 2" in said


def test_scores_of_two_protocols_are_not_compared():
    scores = frame()
    for change in ({"n": 150}, {"extractor": "inception"}):
        mixed = scores.assign(**{name: scores[name].where(scores["method"] != "hinge", value)
                                 for name, value in change.items()})  # fmt: skip
        (said,) = findings.comparison(mixed, "loss")
        assert said.startswith("Nothing can be compared") and str(next(iter(change.values()))) in said


def test_a_planted_wrong_floor_is_told():
    (right,) = findings.floor(frame())
    assert right == "Real against real is 5, N = 300. No last score reaches it."
    (other_n,) = findings.floor(frame(floor_n=150))
    assert other_n.startswith("**Not the scores' floor.** Real against real is 5, N = 150 and so higher than at N")
    assert "N unknown" in findings.floor(frame(floor_n=None))[0]
    (reached,) = findings.floor(frame(floor=199.0))
    assert "hinge cannot be told from real images." in reached
    scores = frame()
    scores.loc[scores["method"] == "hinge", "floor"] = 8.889
    assert "**The floors differ**, from 5 to 8.889" in findings.floor(scores)[0]
    assert "no floor" in findings.floor(frame(floor=None))[0]


def test_progress_worsening_and_neither_are_told_apart():
    scores = frame({"better": [300.0, 302.0, 301.0], "worse": [450.0, 452.0, 451.0], "neither": [390.0, 410.0, 401.0]})
    said = findings.steps(scores)
    assert said[0] == "1 of 3 steps from a score to the next are clearly better (by differences within trainings)."
    assert said[1] == "**Worse**: worse from epoch 1 to 2 (400 to 451)."
    assert said[2].startswith("**Not clear**: neither")


def result(shift):
    random = np.random.default_rng(0)
    return evaluate(random.normal(size=(60, 4)), random.normal(size=(40, 4)) + shift)


def test_metrics_of_samples_that_are_alike_are_not_assessable():
    (said,) = findings.metrics(result(0.0), 0.02)
    assert "**not assessable**" in said and "2.0 %" in said
    far = " ".join(findings.metrics(result(100.0), 0.9))
    assert "Precision, recall, density and coverage: 0." in far and far.endswith("real images: none.")
    assert "precision" in findings.metrics(result(0.0), 0.9)[-1]


def test_an_audit_of_samples_that_are_alike_is_none_and_copies_are_told():
    def neighbours(share):
        return Neighbours(*[np.zeros(64)] * 4, 0.5, 0.5, np.zeros((10, 64)), share)

    assert "not assessable" in findings.memorisation(neighbours(0.9), 0.1, 0.5)[0]
    assert "none of 64 samples lies among the real images" in findings.memorisation(neighbours(0.9), 0.9, 0.0)[0]
    assert "more often than chance" in findings.memorisation(neighbours(0.9), 0.9, 0.5)[0]
    assert "52 % ± 12 of 64 samples" in findings.memorisation(neighbours(0.52), 0.9, 0.5)[0]
    assert "no sign of copies" in findings.memorisation(neighbours(0.52), 0.9, 0.5)[0]


@pytest.mark.parametrize(("floor", "wrong"), [(4.0, False), (8.889, True)])
def test_a_floor_of_half_the_images_is_found_by_the_experiment_on_floors(floor, wrong):
    floors = {150: [8.0, 8.9], 300: [4.0, 4.4]}
    rows = [(lesson.UNCHANGED, 4.0), ("mirrored", 8.0), ("white marker in a corner", 20.0), (lesson.COPIES, 0.0)]
    distance = score_frame({"method": name, "value": value, "low": value, "high": value} for name, value in rows)
    said = " ".join(findings.experiments(floors, frame(floor=floor), distance, lesson.factors({"lite": distance})))
    assert ("**The table's floor is wrong**: 8.889 is said to be of N = 300" in said) == wrong
    assert "falls as N^-1.01" in said and "wrong side raises the distance 2 times, a white marker 5 times" in said
    other = distance.assign(value=distance["value"].replace({8.0: 80.0}))
    two = lesson.factors({"lite": distance, "pixels": other})
    assert "do not agree" in findings.experiments(floors, frame(), distance, two)[-1]
