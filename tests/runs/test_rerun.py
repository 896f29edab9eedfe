"""What a second run does: nothing, only what changed, or the rest of a killed one."""

import json
import os
import threading

import pytest

from sapggan_lib.runs.jobs import plan
from sapggan_lib.runs.runner import run
from tests.small_notebooks import diary_code, make_project, read_diary, start_command, write_notebook

NAMES = ("01_first", "02_second", "03_third")


@pytest.fixture
def notebooks(tmp_path, monkeypatch):
    folder = make_project(tmp_path, monkeypatch)
    for name, needs in zip(NAMES, ([], ["01"], []), strict=True):
        write_notebook(folder / f"{name}.ipynb", diary_code(tmp_path, name), needs=tuple(needs))
    return folder


def began(root):
    return sorted(number for number, word, _ in read_diary(root) if word == "begins")


def test_a_changed_parameter_reruns_only_what_depends_on_it(notebooks, tmp_path):
    run(plan([], "smoke"), tmp_path / "run", "smoke", parallel=2)
    assert began(tmp_path) == ["01", "02", "03"]
    run(plan([], "smoke", {"01.seed": 4}), tmp_path / "run", "smoke", parallel=2)
    assert began(tmp_path) == ["01", "01", "02", "02", "03"]


def test_a_killed_run_is_completed_and_finished_notebooks_do_not_run_again(notebooks, tmp_path):
    write_notebook(notebooks / "02_second.ipynb", diary_code(tmp_path, "02_second", wait=True), needs=("01",))
    killed = start_command(tmp_path, "run", "02", "--run", "one")
    read_diary(tmp_path, until="02 begins")
    killed.kill()
    killed.wait()
    stale = tmp_path / "papermill_runs" / "one" / "work" / ".images.npy.1.partial"
    stale.parent.mkdir(exist_ok=True)
    stale.touch()
    again = start_command(tmp_path, "run", "02", "--run", "one")
    assert "01_first                 unchanged" in again.stdout.readline()
    (tmp_path / "go").touch()  # the killed run's notebook ends now; the second one waited for it, and takes it over
    assert again.wait() == 0, again.stdout.read()
    assert [line[:2] for line in read_diary(tmp_path)] == [
        ["01", "begins"], ["01", "ends"], ["02", "begins"], ["02", "ends"]
    ]  # fmt: skip
    record = json.loads((tmp_path / "papermill_runs" / "one" / "record.json").read_text())
    assert record["outcomes"]["02_second"] == "unchanged" and set(record["notebooks"]) == set(NAMES[:2])
    assert not stale.exists()


def test_two_runs_at_once_in_different_folders_do_not_disturb_each_other(notebooks, tmp_path):
    folders = {seed: tmp_path / f"run-{seed}" for seed in (1, 2)}
    threads = [threading.Thread(target=run, args=(plan(["01"], "smoke", {"seed": seed}), folder, "smoke"))
               for seed, folder in folders.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for seed, folder in folders.items():
        assert json.loads((folder / "results" / "01_seed.json").read_text()) == {"seed": seed}
        assert json.loads((folder / "record.json").read_text())["outcomes"]["01_first"].startswith("done")
    assert [word for _, word, process in read_diary(tmp_path) if int(process) == os.getpid()].count("ends") == 2


def test_one_notebook_in_a_clone_leaves_what_the_record_says_of_the_others(notebooks, tmp_path):
    trained = {"kimg": 1.0, "step": 8, "seconds": 2.0, "parts": []}
    folder = tmp_path / "run"
    run(plan(["02"], "smoke"), folder, "smoke")
    record = json.loads((folder / "record.json").read_text())
    (folder / "record.json").write_text(json.dumps(record | {"trainings": {"models/a": trained, "losses/b": trained}}))
    made = folder / "work" / "losses" / "c"  # of a kind that is here, all are
    made.mkdir(parents=True)
    (made / "made.json").write_text("[]")
    (made / "log.jsonl").write_text(json.dumps(trained))
    run(plan(["01"], "smoke", {"seed": 9}), folder, "smoke")
    after = json.loads((folder / "record.json").read_text())
    assert list(after["trainings"].items()) == [("losses/c", trained), ("models/a", trained)]
    assert after["outcomes"]["02_second"] == record["outcomes"]["02_second"]
    assert after["outcomes"].keys() == after["notebooks"].keys() == set(NAMES[:2])
