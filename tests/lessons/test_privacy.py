import matplotlib.pyplot as plt
import numpy as np
import pytest

from sapggan_lib.lessons import privacy as lesson
from sapggan_lib.uses import Side


@pytest.fixture(scope="module")
def audits():
    people = lesson.phantom_side(140)
    train, held_out = (Side(people.images[part], people.people[part]) for part in (slice(60), slice(60, 110)))
    return lesson.controls(train, held_out, people.images[110:])


def test_each_stand_in_gets_the_verdict_that_is_right(audits):
    assert {name: found.verdict for name, found in audits.items()} == lesson.EXPECTED
    table = lesson.control_table(audits)
    assert (table["right"] == table["verdict"]).all() and table["AUROC"].between(0, 1).all()


def test_tables_and_findings_say_what_was_found(audits):
    honest = audits["other people's images"]
    table = lesson.sensitivity_table(honest)
    assert table["planted"].iloc[-1] == "none: another person" and (table["at least %"] <= table["at most %"]).all()
    sentences = lesson.findings(audits, honest)
    assert sentences[0] == "The audit judged 4 of 4 stand-ins rightly." and "no alarm" in sentences[1]
    assert "does not tell members" in sentences[-1]
    swapped = lesson.findings({"noise": honest}, audits["32 images, over and over"])
    assert swapped[0].endswith("wrong: noise.") and "says alarm" in swapped[1]


def test_a_roc_passes_through_both_corners_and_above_the_diagonal_for_a_good_score():
    ax = lesson.plot_rocs(plt.figure().subplots(), {"good": (np.array([2.0, 3.0]), np.array([0.0, 1.0]))})
    x, y = ax.lines[0].get_data()
    assert (x[0], y[0], x[-1], y[-1]) == (0, 0, 1, 1) and y[x == 0].max() == 1
    plt.close("all")
