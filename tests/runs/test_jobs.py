import os

import pytest

from sapggan_lib.base.errors import SapgganError
from sapggan_lib.runs.jobs import load_profile, plan
from tests.small_notebooks import PARAMETERS, make_project, write_notebook


@pytest.fixture
def notebooks(tmp_path, monkeypatch):
    folder = make_project(tmp_path, monkeypatch, "all: {seed: 3}\nnotebooks:\n  02_second: {epochs: [1]}\n")
    write_notebook(folder / "01_first.ipynb", ["1"])
    write_notebook(folder / "02_second.ipynb", ["2"], needs=("01",))
    write_notebook(folder / "03_third.ipynb", ["3"], "run_dir: str = ''\ndata: str = ''")
    return folder


def test_profile_values_go_over_the_defaults_and_shared_ones_only_where_known(notebooks):
    profile = load_profile("smoke")
    assert profile["01_first"] == {"run_dir": "", "seed": 3, "epochs": [10, 50], "kimg": 1.0}
    assert profile["02_second"]["epochs"] == [1]
    assert profile["03_third"] == {"run_dir": "", "data": ""}


def test_a_notebook_brings_what_it_needs_before_itself(notebooks):
    assert [job.name for job in plan(["02"], "smoke")] == ["01_first", "02_second"]


def test_settings_reach_every_notebook_or_the_named_one(notebooks):
    jobs = {job.name: job.parameters for job in plan([], "smoke", {"seed": 9, "02.kimg": 2})}
    assert jobs["01_first"]["seed"] == jobs["02_second"]["seed"] == 9
    assert (jobs["01_first"]["kimg"], jobs["02_second"]["kimg"]) == (1.0, 2.0)
    assert "seed" not in jobs["03_third"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epoch": [5]}, '--set: no notebook has a parameter "epoch"; did you mean "epochs"?'),
        ({"02.epoch": [5]}, '--set: no notebook has a parameter "epoch"; did you mean "epochs"?'),
        ({"epochs": 5}, '--set: "epochs" must be a list, not 5'),
        ({"seed": "seven"}, "--set: \"seed\" must be int, not str 'seven'"),
        ({"04.seed": 1}, 'notebook "04" does not exist; known: 01_first, 02_second, 03_third'),
    ],
)
def test_wrong_settings_are_refused_with_the_near_match(notebooks, settings, message):
    with pytest.raises(SapgganError) as error:
        plan([], "smoke", settings)
    assert str(error.value) == message


def test_a_wrong_key_in_a_profile_names_the_file_and_the_near_match(notebooks):
    (notebooks.parent / "papermill_runs" / "profiles" / "gpu.yml").write_text("notebooks: {01_first: {epoch: [5]}}")
    with pytest.raises(SapgganError, match=r'gpu\.yml: 01_first: unknown key "epoch"; did you mean "epochs"\?'):
        load_profile("gpu")
    with pytest.raises(SapgganError, match=r'profile "smok" does not exist; did you mean "smoke"\?'):
        load_profile("smok")


def test_a_changed_parameter_changes_the_keys_of_what_depends_on_it_only(notebooks):
    def found(settings):
        return {job.name: job.key for job in plan([], "smoke", settings)}

    before, after = found({}), found({"01.seed": 4})
    assert {name for name in before if before[name] != after[name]} == {"01_first", "02_second"}


def test_changed_input_files_change_the_key(notebooks, tmp_path):
    def key():
        return plan(["03"], "smoke", data=str(tmp_path / "scans"))[0].key

    (tmp_path / "scans").mkdir()
    before = key()
    (tmp_path / "scans" / "new.dcm").write_bytes(b"x")
    assert key() != before


def test_an_edited_table_and_any_other_input_changes_the_key_and_a_copy_of_the_same_does_not(notebooks, tmp_path):
    write_notebook(notebooks / "03_third.ipynb", ["3"], 'run_dir: str = ""\ntable: str = ""\nmore: list[str] = []')
    table, other = tmp_path / "views.csv", tmp_path / "other.txt"
    table.write_text("file,view\na,PA\n")
    other.write_text("1")

    def key():
        return plan(["03"], "smoke", {"03.more": ["plain", str(other)]}, table=str(table))[0].key

    before = key()
    table.touch()
    assert key() == before
    times = table.stat()
    table.write_text("file,view\na,AP\n")  # as long as before, with the old time
    os.utime(table, ns=(times.st_atime_ns, times.st_mtime_ns))
    after = key()
    assert after != before
    other.write_text("2")
    assert key() != after
    other.unlink()
    with pytest.raises(SapgganError, match=r"03_third: more: .*other\.txt does not exist"):
        key()


def test_the_folder_is_listed_once_for_all_notebooks(notebooks, tmp_path, monkeypatch):
    for name in ("01_first", "02_second", "03_third"):
        write_notebook(notebooks / f"{name}.ipynb", [name], PARAMETERS + '\ndata: str = ""')
    listed = []
    monkeypatch.setattr("sapggan_lib.runs.jobs.hash_listing", lambda folder: listed.append(folder) or "hash")
    assert len({job.key for job in plan([], "smoke", data=str(tmp_path))}) == 3
    assert listed == [tmp_path]


def test_a_run_is_publishable_when_all_its_notebooks_are(notebooks):
    write_notebook(notebooks / "03_third.ipynb", ["3"], 'run_dir: str = ""\npublishable: bool = False')
    assert {job.publishable for job in plan([], "smoke", publishable=True)} == {True}
    assert {job.publishable for job in plan([], "smoke", {"publishable": True})} == {True}
    assert {job.publishable for job in plan(["01"], "smoke", publishable=True)} == {True}
    assert {job.publishable for job in plan([], "smoke", {"03.publishable": False}, publishable=True)} == {False}


def test_a_parameters_cell_without_types_is_refused_with_the_line(notebooks):
    write_notebook(notebooks / "03_third.ipynb", [], "seed: int = 0\nkimg = 5")
    with pytest.raises(SapgganError, match=r"03_third\.ipynb: parameters cell, line 2: write `name: type = value`"):
        load_profile("smoke")


@pytest.mark.parametrize("name", ["smoke", "workshop", "cpu", "gpu", "paper"])
def test_every_profile_of_the_project_is_valid_and_its_widths_fit_its_size(name):
    for parameters in load_profile(name).values():
        if parameters.get("widths"):
            assert 4 * 2 ** (len(parameters["widths"]) - 1) == parameters["size"]
