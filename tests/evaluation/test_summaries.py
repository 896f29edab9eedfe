import pytest

from sapggan_lib import evaluation


def test_the_last_score_of_each_training_is_grouped_by_loss():
    scores = [
        evaluation.Score("hinge, seed 0", 300.0, kimg=1.0),
        evaluation.Score("hinge, seed 0", 200.0, kimg=2.0),
        evaluation.Score("hinge, seed 1", 220.0, kimg=2.0),
        evaluation.Score("minmax, seed 0", 250.0, kimg=2.0),
    ]
    assert evaluation.final_by_group(scores) == {"hinge": [200.0, 220.0], "minmax": [250.0]}


def test_scores_over_seeds_are_means_with_students_interval():
    rows = [evaluation.Score(f"hinge, seed {seed}", value, kimg=1.0, hours=1.0) for seed, value in enumerate([1, 2, 3])]
    rows += [evaluation.Score("minmax, seed 0", 9.0, kimg=1.0)]
    hinge, minmax = evaluation.over_seeds(rows)
    assert (hinge.method, hinge.value, minmax.value, minmax.low) == ("hinge", 2, 9, None)
    assert hinge.high - 2 == pytest.approx(4.3027 / 3**0.5, rel=1e-4)  # t of 2 degrees of freedom, sd 1


def test_stability_names_the_worst_rise_and_the_spread():
    rows = [
        evaluation.Score(f"hinge, seed {seed}", value, kimg=kimg)
        for seed, values in enumerate([(100.0, 50.0, 75.0), (100.0, 90.0, 80.0)])
        for kimg, value in enumerate(values)
    ]
    assert evaluation.stability(rows).to_dict("records") == [
        {"group": "hinge", "mean": 77.5, "spread": 5.0, "worst rise": 1.5}
    ]


def test_at_equal_hours_the_latest_score_in_time_counts():
    times = {"sapggan": (1.0, 2.0, 4.0), "dcgan": (0.5, 3.0)}
    rows = [evaluation.Score(name, 10 * hour, hours=hour) for name, hours in times.items() for hour in hours]
    table = [(s.method, s.hours, s.value) for s in evaluation.at_equal_hours(rows, parts=(0.2, 0.5, 1.0))]
    assert table == [("sapggan", 1.5, 10), ("sapggan", 3.0, 20), ("dcgan", 0.6, 5), ("dcgan", 1.5, 5), ("dcgan", 3, 30)]
