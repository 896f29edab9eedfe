"""What a publishable run leaves: nothing of an earlier one, no place, no file name, no store."""

import json

import pytest

from sapggan_lib.base.errors import SapgganError
from sapggan_lib.notebook import workspace as notebook
from sapggan_lib.notebook.places import private_folder
from sapggan_lib.runs import comparison as check
from sapggan_lib.runs.jobs import plan
from sapggan_lib.runs.runner import run
from tests.small_notebooks import make_project, start_code, write_notebook

PARAMETERS = (
    'run_dir: str = ""\ndata: str = ""\nheaders: str = ""\npublishable: bool = False\nseed: int = 0\nfail: bool = False'
)
PERSON = ("김철수", "Kim^Chulsoo", "1961-04-12")


@pytest.fixture
def notebooks(tmp_path, monkeypatch):
    """A notebook that says in every way where its files are, and what they are called."""
    folder = make_project(tmp_path, monkeypatch)
    write_notebook(folder / "01_first.ipynb", [
        start_code(folder, "01_first"),
        "import json, sys, pandas as pd, matplotlib.pyplot as plt\nfrom IPython.display import HTML\n"
        "file = next(Path(data).iterdir())\nassert Path(headers).read_text() == 'h'",
        "print(file, json.dumps(str(file)), repr(headers))\nprint('warn' + f'ing: {file.name}', file=sys.stderr)",
        "nb.work.mkdir(parents=True, exist_ok=True)\n(nb.work / 'store.npy').write_text('pixels')",
        "HTML(f'<p title=\"{file}\">{data}</p>')",
        "figure, ax = plt.subplots(figsize=(1, 1))\nnb.figure(figure, f'seed{seed}')",
        "nb.result({'file': headers}, 'places')\n"
        "nb.table(pd.DataFrame({'file': [str(file)], 'n': [1]}), f'seed{seed}')",
        "if fail: raise FileNotFoundError(f'{file.name}: {file} is cut')",
        "nb.data = {'source': str(file)}\nnb.finish()",
    ], PARAMETERS)  # fmt: skip
    return folder


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / PERSON[0] / "scans of 1961-04-12"
    folder.mkdir(parents=True)
    (folder / f"{PERSON[1]} x.dcm").touch()
    (folder.parent / "headers.csv").write_text("h")
    return folder


def start(folder, data, publishable=True, **settings):
    jobs = plan([], "smoke", {"headers": str(data.parent / "headers.csv")} | settings, data=str(data),
                publishable=publishable)  # fmt: skip
    return run(jobs, folder, "smoke")


def everything(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def assert_clean(files, *more):
    for secret in (*PERSON, *(json.dumps(word)[1:-1] for word in PERSON), *more):
        for path, content in files.items():
            assert secret.encode() not in content and secret not in path, (secret, path)


def test_nothing_says_where_the_files_are_or_what_they_are_called(notebooks, data, tmp_path, capsys):
    start(tmp_path / "run", data)
    files = everything(tmp_path / "run")
    assert_clean(files, str(tmp_path))
    assert {"01_first.ipynb", "01_first.html", "index.html", "record.json", "results/01_seed3.csv"} <= files.keys()
    assert b"private:data" in files["01_first.ipynb"] and b"warning:" not in files["01_first.ipynb"]
    assert files["results/01_seed3.csv"] == b"file,n\nprivate:data,1\n"
    kept = private_folder(tmp_path / "run")
    assert (kept / "work" / "store.npy").exists() and "store.npy" not in " ".join(files)
    assert f"not to be shared, and to be deleted with the run: {kept}" in capsys.readouterr().out


def test_a_failure_is_told_in_full_where_it_runs_and_without_names_where_it_is_kept(notebooks, data, tmp_path):
    with pytest.raises(SapgganError, match=r"FileNotFoundError; see .*failed/01_first\.ipynb$"):
        start(tmp_path / "run", data, fail=True)
    files = everything(tmp_path / "run")
    assert_clean(files, str(tmp_path))
    assert b"FileNotFoundError" in files["index.html"] and "01_first.ipynb" not in files
    assert PERSON[1] in (private_folder(tmp_path / "run") / "failed" / "01_first.ipynb").read_text()


def test_without_publishable_the_places_are_left_out_too_but_not_the_names_of_files(notebooks, data, tmp_path):
    start(tmp_path / "run", data, publishable=False)
    files = {path: text for path, text in everything(tmp_path / "run").items() if not path.startswith("logs/")}
    for secret in (PERSON[0], PERSON[2], json.dumps(PERSON[0])[1:-1], str(tmp_path)):
        assert not [path for path, content in files.items() if secret.encode() in content], secret
    assert f"private:data/{PERSON[1]} x.dcm" in files["01_first.ipynb"].decode()
    assert (tmp_path / "run" / "work" / "store.npy").exists()


@pytest.mark.parametrize("left", ["figures/01_real.png", "01_first.html", "work/store/images.npy", "record.json"])
def test_a_folder_with_anything_else_in_it_is_refused(notebooks, data, tmp_path, left):
    path = tmp_path / "run" / left
    path.parent.mkdir(parents=True)
    path.write_text("{}")
    with pytest.raises(SapgganError, match=r"run: holds what need not be publishable .* delete the folder, or choose"):
        start(tmp_path / "run", data)
    assert set(everything(tmp_path / "run")) <= {left, ".lock"}


def test_a_folder_is_publishable_all_its_life_or_never(notebooks, data, tmp_path):
    start(tmp_path / "open", data, publishable=False)
    with pytest.raises(SapgganError, match="holds what need not be publishable"):
        start(tmp_path / "open", data)
    start(tmp_path / "run", data)
    before = everything(tmp_path / "run")
    with pytest.raises(SapgganError, match="holds a publishable run, which this one is not: choose another --run"):
        start(tmp_path / "run", data, publishable=False)
    by_hand = {"run_dir": str(tmp_path / "run"), "data": str(data), "publishable": False}
    with pytest.raises(SapgganError, match="run_dir is a publishable run"):
        notebook.start("01_first", by_hand)
    assert before == everything(tmp_path / "run")
    (tmp_path / "run" / "work").mkdir()
    with pytest.raises(SapgganError, match="holds work of an older version, which may show input images"):
        start(tmp_path / "run", data)


def test_a_publishable_run_that_was_killed_at_once_can_go_on(notebooks, data, tmp_path, monkeypatch):
    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("sapggan_lib.runs.runner._execute_all", killed)
        start(tmp_path / "run", data)
    with pytest.raises(SapgganError, match="no finished run there"):
        check.require_reference(tmp_path / "run", tmp_path / "other")
    start(tmp_path / "run", data)
    check.require_reference(tmp_path / "run", tmp_path / "other")


def test_a_rerun_leaves_no_picture_table_or_page_of_the_one_before(notebooks, data, tmp_path):
    start(tmp_path / "run", data)
    start(tmp_path / "run", data, seed=4)
    files = everything(tmp_path / "run")
    assert "figures/01_seed4.png" in files and not [path for path in files if "seed3" in path]
    with pytest.raises(SapgganError):
        start(tmp_path / "run", data, fail=True)
    files = everything(tmp_path / "run")
    assert not {"01_first.ipynb", "01_first.html"} & files.keys() and b"01_first.html" not in files["index.html"]


def test_a_notebook_whose_table_was_deleted_runs_again(notebooks, data, tmp_path):
    start(tmp_path / "run", data)
    (tmp_path / "run" / "results" / "01_seed3.csv").unlink()
    start(tmp_path / "run", data)
    assert (tmp_path / "run" / "results" / "01_seed3.csv").exists()
