import errno
import json
import os
import re

import pytest
import yaml
from filelock import FileLock

from sapggan_lib.base.errors import SapgganError
from sapggan_lib.runs.folder import RunFolder, run_folder
from sapggan_lib.runs.jobs import plan
from sapggan_lib.runs.runner import _show_progress, run
from tests.small_notebooks import make_project, start_code, write_notebook


@pytest.fixture
def notebooks(tmp_path, monkeypatch):
    return make_project(tmp_path, monkeypatch)


def drawing(folder, name):
    return [
        start_code(folder, name),
        "import matplotlib.pyplot as plt, pandas as pd\nfigure, ax = plt.subplots(figsize=(1, 1))",
        "nb.figure(figure, 'empty')\nnb.table(pd.DataFrame({'seed': [seed]}), 'seeds')",
        "nb.finish()",
    ]


def test_a_run_leaves_notebooks_figures_tables_pages_and_its_record_and_a_rerun_does_nothing(
    notebooks, tmp_path, capsys
):
    write_notebook(notebooks / "01_first.ipynb", drawing(notebooks, "01_first"))
    folder = tmp_path / "run"
    index = run(plan([], "smoke"), folder, "smoke")
    assert (folder / "results" / "01_seeds.csv").read_text() == "seed\n3\n"
    assert {path.name for path in (folder / "figures").iterdir()} == {"01_empty.png", "01_empty.pdf"}
    record = json.loads((folder / "record.json").read_text())
    assert record["notebooks"]["01_first"]["parameters"] == {"seed": 3, "epochs": [10, 50], "kimg": 1.0}
    assert {"git", "versions", "device", "profile"} <= set(record) and record["trainings"] == {}
    manifest = yaml.safe_load((folder / "codecheck.yml").read_text(encoding="utf-8"))["manifest"]
    assert manifest == [{"file": "figures/01_empty.png", "comment": "Title of 01_first (empty.png)"},
                        {"file": "results/01_seeds.csv", "comment": "Title of 01_first (seeds.csv)"}]  # fmt: skip
    assert "01_first.html" in index.read_text() and "figures/01_empty.png" in index.read_text()
    assert "TCP" not in (folder / "logs" / "01_first.log").read_text()  # no ports, which two kernels may both choose
    page = (folder / "01_first.html").read_text()
    assert "Title of 01_first" in page and "data:image/png;base64" in page
    for text in (page, index.read_text()):  # a report opens without a network
        assert not re.findall(r"<(?:script|link|img)[^>]*(?:src|href)=[\"']https?:", text)
        assert not re.search(r"unpkg|cdnjs|import\(", text)
    capsys.readouterr()
    before = (folder / "01_first.ipynb").stat().st_mtime_ns
    run(plan([], "smoke"), folder, "smoke")
    assert "unchanged" in capsys.readouterr().out and (folder / "01_first.ipynb").stat().st_mtime_ns == before


def test_a_failed_notebook_names_its_cell_stops_what_needs_it_and_nothing_else(notebooks, tmp_path):
    write_notebook(notebooks / "01_first.ipynb", ["x = 1", "# divide\nx / 0"])
    write_notebook(notebooks / "02_second.ipynb", ["print('never')"], needs=("01",))
    write_notebook(notebooks / "03_third.ipynb", [start_code(notebooks, "03_third"), "nb.finish()"])
    with pytest.raises(SapgganError) as error:
        run(plan([], "smoke"), tmp_path / "run", "smoke", parallel=2)
    assert '01_first failed: cell 4 ("# divide"): ZeroDivisionError: division by zero' in str(error.value)
    assert "02_second failed: it needs 01_first" in str(error.value)
    assert not (tmp_path / "run" / "01_first.ipynb").exists() and (tmp_path / "run" / "03_third.ipynb").exists()
    assert "ZeroDivisionError" in (tmp_path / "run" / "index.html").read_text()


def test_a_killed_kernel_is_not_taken_for_success(notebooks, tmp_path):
    write_notebook(notebooks / "01_first.ipynb", [start_code(notebooks, "01_first"), "import os; os._exit(9)", "2"])
    with pytest.raises(SapgganError, match=r"its kernel died .*DeadKernelError"):
        run(plan([], "smoke"), tmp_path / "run", "smoke")
    assert not (tmp_path / "run" / "01_first.ipynb").exists()


def test_two_runs_do_not_write_into_one_folder(notebooks, tmp_path):
    write_notebook(notebooks / "01_first.ipynb", ["1"])
    (tmp_path / "run").mkdir()
    with (
        FileLock(tmp_path / "run" / ".lock"),
        pytest.raises(SapgganError, match="another run is writing here"),
    ):
        run(plan([], "smoke"), tmp_path / "run", "smoke")


def test_progress_lines_of_a_log_are_shown_once_whole_and_again_when_it_starts_anew(tmp_path, capsys):
    log, seen = tmp_path / "01_first.log", {"01_first": 0}

    def shown(text):
        log.write_text(text)
        _show_progress(log, "01", seen)
        return capsys.readouterr().out.splitlines()

    _show_progress(log, "01", seen)  # not there yet
    first = shown("a warning\npreprocess: 1/3 files, 2 files/s\npreprocess: 2/3 fi")
    assert first == ["01 | preprocess: 1/3 files, 2 files/s"]
    assert shown(log.read_text() + "les, 2 files/s\n") == ["01 | preprocess: 2/3 files, 2 files/s"]
    assert shown("train: 1/9 images, 1 images/s\n") == ["01 | train: 1/9 images, 1 images/s"]


@pytest.mark.parametrize("name", [
    "reference/x", "..", ".", "", "/top/x", "a\\b", "~", ".hidden", "-v", "ends.", "ends ", "new\nline", "c:", "nul\0"
])  # fmt: skip
def test_a_run_has_one_plain_name(tmp_path, name):
    with pytest.raises(SapgganError, match="is no name for a run: give one plain name"):
        run_folder(tmp_path, name, publishable=True)


def test_names_are_compared_without_case(tmp_path):
    (tmp_path / "Cpu").mkdir()
    for name in ("cpu", "Reference", "REFERENCE"):
        with pytest.raises(SapgganError, match="some disks take it for"):
            run_folder(tmp_path, name, publishable=True)
    for name in ("Profiles", "reference", "Reference"):
        with pytest.raises(SapgganError, match="is committed, for everyone to see"):
            run_folder(tmp_path, name, publishable=False)
    assert run_folder(tmp_path, "Cpu", publishable=False) == tmp_path / "Cpu"
    assert run_folder(tmp_path, "reference", publishable=True) == tmp_path / "reference"
    assert run_folder(tmp_path, "2026-11 김 v1.2+x", publishable=True).parent == tmp_path


@pytest.mark.parametrize(("number", "message"), [
    (errno.EROFS, "no permission to write; choose another folder"), (errno.EACCES, "no permission to write"),
    (errno.ENOSPC, "no space left on the disk"),
])  # fmt: skip
@pytest.mark.parametrize("where", ["first", "notebook", "last"])
def test_a_disk_that_takes_nothing_is_one_sentence(notebooks, tmp_path, monkeypatch, number, message, where):
    def refuse(*_, **__):
        raise OSError(number, os.strerror(number))

    write_notebook(notebooks / "01_first.ipynb", ["1"])
    jobs = plan([], "smoke")
    target = {"first": "pathlib.Path.mkdir", "notebook": "sapggan_lib.base.cluster.require_shared",
              "last": "sapggan_lib.runs.report.write_report"}[where]  # fmt: skip
    if where == "last":
        monkeypatch.setattr("sapggan_lib.runs.runner._execute_all", lambda *_: None)
    with monkeypatch.context() as patch:
        patch.setattr(target, refuse)
        with pytest.raises(SapgganError, match=message):
            run(jobs, tmp_path / "run", "smoke")


def test_a_disk_that_fills_up_under_a_notebook_is_one_sentence(notebooks, tmp_path):
    write_notebook(notebooks / "01_first.ipynb", [
        start_code(notebooks, "01_first"), "import sapggan_lib.base.files, pathlib, errno\n"
        "def full(*_, **__): raise OSError(errno.ENOSPC, 'No space left on device')\n"
        "pathlib.Path.write_text = full\nnb.finish()"])  # fmt: skip
    with pytest.raises(SapgganError, match=r"SapgganError: .*01_first\.json: no space left on the disk; free some"):
        run(plan([], "smoke"), tmp_path / "run", "smoke")


def test_a_notebook_that_was_cut_when_its_process_was_killed_is_one_sentence(notebooks, tmp_path):
    write_notebook(notebooks / "01_first.ipynb", [
        start_code(notebooks, "01_first"), "import os\n"
        "executed = nb.folder / '.running' / '01_first' / 'executed.ipynb'\n"
        "executed.write_text('{')\nos.kill(os.getppid(), 9)"])  # fmt: skip
    with pytest.raises(SapgganError, match=r"^01_first failed: its kernel died or never finished"):
        run(plan([], "smoke"), tmp_path / "run", "smoke")


def test_what_killed_processes_left_is_swept_in_every_folder_unless_a_notebook_is_at_work(notebooks, tmp_path):
    write_notebook(notebooks / "01_first.ipynb", drawing(notebooks, "01_first"))
    folder = tmp_path / "run"
    stale = [folder / "work" / "store" / ".images.npy.1.partial", folder / "results" / ".01_a.csv.2.partial"]
    for path in stale:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    other = RunFolder(folder, folder).executing("02_of_a_killed_run").parent
    with FileLock(other / ".lock"):
        run(plan([], "smoke"), folder, "smoke")
        assert all(path.exists() for path in stale)
    run(plan([], "smoke"), folder, "smoke")
    assert not any(path.exists() for path in stale)
