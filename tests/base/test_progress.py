import sys

from sapggan_lib.base.log_lines import LogLines
from sapggan_lib.base.progress import progress_bar


def test_without_a_terminal_progress_is_log_lines(capsys):
    assert isinstance(progress_bar(total=4, description="reading"), LogLines)
    with LogLines(total=4, description="reading", unit="images", every=1e-9) as bar:
        bar.update(3)
        bar.set_postfix_str("2 failed")
    line = capsys.readouterr().err
    assert line.startswith("reading: 3/4 images") and line.rstrip().endswith("2 failed")


def test_a_kernel_that_is_imported_but_does_not_run_gets_no_widget(capsys):
    import ipykernel.kernelapp  # noqa: F401

    assert isinstance(progress_bar(total=4, description="reading"), LogLines)


def test_short_work_prints_nothing(capsys):
    with LogLines(total=4, description="reading", unit="images", every=3600) as bar:
        bar.update(4)
    assert capsys.readouterr().err == ""


def test_a_last_step_beyond_the_end_is_the_end(capsys):
    with LogLines(total=10, description="training", every=1e-9) as bar:
        bar.update(8)
        bar.update(8)
    assert capsys.readouterr().err.splitlines()[-1].startswith("training: 10/10 images")


def test_disabled_progress_prints_nothing(capsys):
    with progress_bar(total=4, description="reading", disable=True) as bar, LogLines(4, "x", every=1e-9, disable=True):
        bar.update(4)
        bar.set_postfix_str("2 failed")
    assert capsys.readouterr().err == ""


def test_log_lines_are_spaced_in_time_not_in_steps(capsys):
    bar = LogLines(total=300, description="training", unit="steps", every=3600)
    for _ in range(300):
        bar.update()
    assert capsys.readouterr().err == ""


def test_without_tqdm_work_goes_on_unseen(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    with progress_bar(total=4, description="reading") as bar:
        bar.update(3)
        bar.set_postfix_str("2 failed")
    assert capsys.readouterr().err == ""
