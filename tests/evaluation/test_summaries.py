import pytest

from sapggan_lib import evaluation


def scores(**curves):
    """A frame of the scores of trainings, a curve each, at kimg 0, 1, 2, ... and as many hours."""
    return evaluation.score_frame(
        {"method": label.replace("_", ", seed "), "value": value, "kimg": kimg, "hours": 1.0 * kimg}
        for label, values in curves.items() for kimg, value in enumerate(values)
    )  # fmt: skip


def test_the_last_score_of_each_training_is_found():
    last = evaluation.last_scores(scores(hinge_0=[300.0, 200.0], hinge_1=[220.0], minmax_0=[250.0]))
    assert last[["method", "seed", "value"]].to_numpy().tolist() == [
        ["hinge", 0, 200.0], ["hinge", 1, 220.0], ["minmax", 0, 250.0]
    ]  # fmt: skip


def test_scores_over_seeds_are_means_with_students_interval():
    means = evaluation.over_seeds(scores(hinge_0=[1.0], hinge_1=[2.0], hinge_2=[3.0], minmax_0=[9.0]))
    assert means["method"].tolist() == ["hinge", "minmax"] and means["value"].tolist() == [2, 9]
    assert means["high"][0] - 2 == pytest.approx(4.3027 / 3**0.5, rel=1e-4)  # t of 2 degrees of freedom, sd 1
    assert means.loc[1, ["low", "high", "seed"]].isna().all() and means["seeds"].tolist() == [3, 1]


def test_the_part_of_the_images_and_the_least_varied_seed_are_kept():
    frame = scores(hinge_0=[10.0], hinge_1=[20.0]).assign(low=[8.0, 14.0], high=[12.0, 26.0], variety=[0.9, 0.1])
    means = evaluation.over_seeds(frame)
    assert means["images"].tolist() == [4] and means["variety"].tolist() == [0.1]


def test_the_probability_of_improvement_counts_pairs_of_runs():
    table = evaluation.improvement(scores(hinge_0=[1.0], hinge_1=[2.0], minmax_0=[2.0], minmax_1=[3.0], wgan_0=[0.0]))
    assert table[["method", "other", "probability", "seeds"]].to_numpy().tolist() == [
        ["hinge", "minmax", 3.5 / 4, 2], ["hinge", "wgan", 0, 1], ["minmax", "wgan", 0, 1]
    ]  # fmt: skip
    assert 0 < table["low"][0] < 3.5 / 4 <= table["high"][0] == 1
    assert table.loc[1:, ["low", "high"]].isna().all(axis=None)


def test_steps_are_judged_by_differences_within_trainings():
    far = scores(hinge_0=[100.0, 90.0, 95.0], hinge_1=[200.0, 191.0, 199.0], hinge_2=[300.0, 289.0, 294.0])
    table = evaluation.progress(far.assign(epoch=far["kimg"]))
    assert table[["from", "to", "before", "after", "verdict", "seeds"]].to_numpy().tolist() == [
        [0, 1, 200, 190, "better", 3], [1, 2, 190, 196, "worse", 3]
    ]  # fmt: skip


def test_steps_of_one_training_are_judged_by_its_intervals():
    one = scores(hinge=[100.0, 90.0, 91.0, 120.0])
    table = evaluation.progress(one.assign(epoch=one["kimg"], low=one["value"] - 4, high=one["value"] + 4))
    assert table["verdict"].tolist() == ["better", "not clear", "worse"] and set(table["seeds"]) == {1}


def test_stability_names_the_worst_rise_and_the_spread():
    table = evaluation.stability(scores(hinge_0=[100.0, 50.0, 75.0], hinge_1=[100.0, 90.0, 80.0]))
    assert table.to_dict("records") == [{"group": "hinge", "mean": 77.5, "spread": 5.0, "worst rise": 1.5}]


def test_at_equal_hours_a_score_is_on_the_line_between_its_neighbours_and_none_is_guessed_before_the_first():
    times = {"sapggan": (1.0, 2.0, 4.0), "dcgan": (0.5, 3.0)}
    rows = [{"method": name, "value": hour**2, "variety": 1 / hour, "hours": hour, "metric": "FD"}
            for name, hours in times.items() for hour in hours]  # fmt: skip
    table = evaluation.at_equal_hours(evaluation.score_frame(rows), parts=(0.2, 0.5, 1.0))
    assert table.round(9)[["method", "hours", "value"]].to_numpy().tolist() == [
        ["sapggan", 1.5, 2.5], ["sapggan", 3.0, 10], ["dcgan", 0.6, 0.6], ["dcgan", 1.5, 3.75], ["dcgan", 3, 9]
    ]  # fmt: skip
    assert table["variety"].round(3).tolist() == [0.75, 0.375, 1.933, 1.333, 0.333] and set(table["metric"]) == {"FD"}
