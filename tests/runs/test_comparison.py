import json
import re

import pytest

from sapggan_lib import cli
from sapggan_lib.base.errors import SapgganError
from sapggan_lib.runs import comparison as check
from sapggan_lib.runs.jobs import Job

SCORES = [{"method": "dcgan", "value": 300.0, "low": 290.0, "high": 310.0, "floor": 20.0, "epoch": 1.0, "hours": 0.1,
           "n": 64}]


def write_run(folder, scores=SCORES, parameters=None, data=None, files=2, names=("04_a.png",)):
    """A run of notebook 04, which leaves scores and a table of counts."""
    record = {"parameters": {"seed": 0, "publishable": False} | (parameters or {}), "data": data or {},
              "figures": list(names), "results": ["04_scores.json", "04_counts.csv"]}
    for path, text in (("records/04_models.json", json.dumps(record)), ("record.json", '{"finished": ""}'),
                       ("results/04_scores.json", json.dumps(scores)),
                       ("results/04_counts.csv", f"outcome,files,seconds to 2 images\nkept,{files},{len(names)}\n")):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    return folder


def job(tmp_path, name="04_models", needs=()):
    return Job(name, tmp_path, {}, needs, "key")


def states(tmp_path, **changes):
    """`{what: (state, detail)}` of a run with `changes` against one without."""
    run, reference = write_run(tmp_path / "run", **changes), write_run(tmp_path / "reference")
    return {line.what: (line.state, line.detail) for line in check.compare(run, reference, [job(tmp_path)])}


def test_the_same_results_are_the_same_and_times_are_not_compared(tmp_path, capsys):
    found = states(tmp_path, scores=[SCORES[0] | {"hours": 7.0}])
    assert found["04_scores.json"] == ("same", "method, value, floor, epoch, n")
    assert found["04_counts.csv"] == ("same", "outcome, files")
    assert {state for state, _ in found.values()} == {"same"}
    check.check(tmp_path / "run", tmp_path / "reference", [job(tmp_path)])
    assert re.search(r"^same +04_counts\.csv +outcome, files$", capsys.readouterr().out, re.MULTILINE)


@pytest.mark.parametrize(
    ("change", "state"),
    [
        ({"value": 320.0}, "within tolerance"),                                  # by its size
        ({"value": 400.0, "low": 305.0, "high": 495.0}, "within tolerance"),     # by its interval
        ({"value": 400.0, "low": 390.0, "high": 410.0}, "differs"),
        ({"value": 0.0, "low": 0.0, "high": 0.0}, "differs"),
        ({"floor": 22.0}, "within tolerance"),
        ({"floor": 30.0}, "differs"),
        ({"epoch": 1.1}, "differs"),
        ({"n": 65}, "differs"),
        ({"floor": None}, "differs"),
        ({"method": "pggan"}, "differs"),
        ({"value": 300.0000001}, "same"),
    ],
)  # fmt: skip
def test_scores_have_tolerances_and_what_is_counted_has_none(tmp_path, change, state):
    name = next(iter(change))
    found = states(tmp_path, scores=[SCORES[0] | change])
    if state == "same":
        assert name in found["04_scores.json"][1]
    else:
        here, there = (check._text(row, name) for row in (change, SCORES[0]))
        values = f"row 1 {name}: {here} here, {there} in the reference"
        assert found[f"04_scores.json {name}"] == (state, values)


def test_values_around_zero_may_differ_a_little(tmp_path):
    for name, value in (("ours.json", 0.0), ("theirs.json", 0.015), ("far.json", 0.03)):
        (tmp_path / name).write_text(json.dumps({"fd": {"kid": value}, "warnings": ["few", "images"]}))
    near, far = (check.compare_files(tmp_path / "ours.json", tmp_path / name) for name in ("theirs.json", "far.json"))
    assert [(line.what, line.state) for line in near] == [
        ("ours.json", "same"), ("ours.json kid", "within tolerance")
    ]  # fmt: skip
    assert near[0].detail == "warnings" and far[1].state == "differs"


def table_of(tmp_path, name, hinge, minmax, margin):
    ends = "".join(f"{method},{value},{value - margin if margin else ''},{value + margin if margin else ''}\n"
                   for method, value in (("hinge", hinge), ("minmax", minmax)))  # fmt: skip
    path = tmp_path / name / "03_loss_table.csv"
    path.parent.mkdir()
    path.write_text("method,value,low,high\n" + ends)
    return path


@pytest.mark.parametrize(
    ("margin", "state"), [(3.5, "differs"), (30.5, "within tolerance"), ("", "within tolerance")],
    ids=["clear", "overlapping", "one seed"],
)  # fmt: skip
def test_a_swapped_ranking_differs_where_intervals_over_seeds_are_clear_however_near(tmp_path, margin, state):
    ours, theirs = table_of(tmp_path, "ours", 250.5, 230.5, margin), table_of(tmp_path, "theirs", 230.5, 250.5, margin)
    lines = {line.what: line.state for line in check.compare_files(ours, theirs)}
    assert lines["03_loss_table.csv value"] == state


def test_a_missing_row_count_or_figure_differs(tmp_path):
    found = states(tmp_path, scores=[], files=3, names=("04_b.png",))
    assert found["04_scores.json value"] == ("differs", "row 1 value: missing here, 300 in the reference")
    assert found["04_counts.csv files"] == ("differs", "row 1 files: 3 here, 2 in the reference")
    assert found["04_models"] == ("differs", "04_b.png only here, 04_a.png only in the reference")


def test_other_parameters_or_data_are_no_alarm_and_neither_is_what_needs_them(tmp_path):
    assert states(tmp_path, parameters={"publishable": True}, data={"source": "own files", "store": "a"}) == {
        "04_models": ("not comparable", "the input files differ")
    }
    run, reference = write_run(tmp_path / "run", parameters={"epochs": [1]}), write_run(tmp_path / "reference")
    jobs = [job(tmp_path), job(tmp_path, "05_tables", ("04_models",)), job(tmp_path, "06_new")]
    assert [(line.state, line.detail) for line in check.compare(run, reference, jobs)] == [
        ("not comparable", "epochs: [1] here, unset in the reference"),
        ("not comparable", "it needs 04_models"),
        ("not comparable", "the reference does not have it"),
    ]
    with pytest.raises(SapgganError, match="nothing is comparable"):
        check.check(run, reference, jobs)


def test_a_difference_is_an_error_that_counts_and_names_it(tmp_path):
    run, reference = write_run(tmp_path / "run", files=3), write_run(tmp_path / "reference")
    with pytest.raises(SapgganError, match=r"1 of 4 comparisons with .* differ, first 04_counts\.csv files"):
        check.check(run, reference, [job(tmp_path)])
    (reference / "results" / "04_scores.json").unlink()
    with pytest.raises(SapgganError, match="2 of 4 comparisons"):
        check.check(run, reference, [job(tmp_path)])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--check", "never"], r"--check .*never: no finished run there"),
        (["--run", "one", "--check", "one"], "is this run itself"),
        (["--run", "reference"], "reference is committed, for everyone to see: choose another --run, or add"),
        (["--run", "profiles"], r"profiles is committed, for everyone to see: choose another --run$"),
    ],
)
def test_nothing_runs_where_the_check_would_be_worthless(capsys, monkeypatch, arguments, message):
    monkeypatch.setattr("sapggan_lib.runs.run", lambda *_: pytest.fail("it ran"))
    assert cli.main(["run", "00", *arguments]) == 1
    assert re.search(message, capsys.readouterr().err)
