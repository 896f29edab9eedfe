from sapggan_lib.base.progress import LogLines, progress_bar


def test_without_a_terminal_progress_is_log_lines(capsys):
    assert isinstance(progress_bar(total=4, description="reading"), LogLines)
    with LogLines(total=4, description="reading", unit="images", every=0) as bar:
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


def test_log_lines_are_spaced_in_time_not_in_steps(capsys):
    bar = LogLines(total=300, description="training", unit="steps", every=3600)
    for _ in range(300):
        bar.update()
    assert capsys.readouterr().err == ""
