import pytest

from sapggan_lib.errors import SapgganError
from sapggan_lib.plan import load_profile, plan
from tests.small_notebooks import make_project, write_notebook


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
    def keys(settings):
        return {job.name: job.key for job in plan([], "smoke", settings)}

    before, after = keys({}), keys({"01.seed": 4})
    assert {name for name in before if before[name] != after[name]} == {"01_first", "02_second"}


def test_changed_input_files_change_the_key(notebooks, tmp_path):
    def key():
        return plan(["03"], "smoke", data=str(tmp_path / "scans"))[0].key

    (tmp_path / "scans").mkdir()
    before = key()
    (tmp_path / "scans" / "new.dcm").write_bytes(b"x")
    assert key() != before


def test_a_parameters_cell_without_types_is_refused_with_the_line(notebooks):
    write_notebook(notebooks / "03_third.ipynb", [], "seed: int = 0\nkimg = 5")
    with pytest.raises(SapgganError, match=r"03_third\.ipynb: parameters cell, line 2: write `name: type = value`"):
        load_profile("smoke")


@pytest.mark.parametrize("name", ["smoke", "workshop", "cpu", "gpu", "paper"])
def test_every_profile_of_the_project_is_valid_and_its_widths_fit_its_size(name):
    for parameters in load_profile(name).values():
        if parameters.get("widths"):
            assert 4 * 2 ** (len(parameters["widths"]) - 1) == parameters["size"]
