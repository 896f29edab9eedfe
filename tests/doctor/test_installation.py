import subprocess
import sys
from pathlib import Path

import pytest

from sapggan_lib.base.files import sha256_file
from sapggan_lib.doctor import installation as doctor
from sapggan_lib.evaluation import networks


def test_this_machine_has_what_the_tests_ran_with():
    states = {check.name: check.state for check in doctor.examine()}
    assert states["torch"] == states["python"] == states["EfficientNet-Lite0"] == "ok"


def test_a_missing_package_is_missing_with_its_fix(monkeypatch):
    required = ["no-such-package<2,>=1", 'neither-this; extra == "test"']
    monkeypatch.setattr(doctor.importlib.metadata, "requires", lambda name: required)
    assert [(check.name, check.state) for check in doctor.packages()] == [("no-such-package", "missing")]
    assert "pip install no-such-package" in doctor.packages()[0].fix


@pytest.mark.parametrize("module", ["torch", "cv2", "yaml", "pydicom"])
def test_a_package_that_does_not_import_is_said_in_a_sentence(module):
    program = f"import sys; sys.modules[{module!r}] = None; from sapggan_lib.cli import main; "
    run = [sys.executable, "-c", program + "sys.exit(main(sys.argv[1:]))"]
    done = subprocess.run([*run, "doctor"], capture_output=True, text=True)
    assert "unexpected" not in done.stderr and "disk" in done.stdout
    if module in ("torch", "cv2"):
        assert done.returncode == 1 and f"import of {module} halted" in done.stdout
    done = subprocess.run([*run, "preprocess", "nowhere", "out"], capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and "unexpected" not in done.stderr


def test_a_full_disk_is_slow_with_its_fix(monkeypatch, tmp_path):
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda folder: type("Usage", (), {"free": 1e9}))
    assert doctor.disk(tmp_path) == doctor.Check("disk", "slow", "1.0 GB free", "free 10 GB before a run at 512x512")


def test_memory_is_not_known_where_the_system_does_not_say(monkeypatch):
    monkeypatch.delattr(doctor.os, "sysconf")  # as on Windows
    assert doctor.memory().state == "ok"


def test_the_inception_file_is_found_where_the_variable_says(monkeypatch, tmp_path):
    monkeypatch.setenv("SAPGGAN_INCEPTION", str(tmp_path / "inception.pt"))
    assert doctor.extractors()[-1].state == "missing" and "sapggan evaluate" in doctor.extractors()[-1].fix
    Path(tmp_path / "inception.pt").touch()
    assert doctor.extractors()[-1].state == "missing" and "not the published file" in doctor.extractors()[-1].fix
    monkeypatch.setattr(networks, "INCEPTION_SHA256", sha256_file(tmp_path / "inception.pt"))
    assert doctor.extractors()[-1].state == "ok"


def test_the_report_puts_the_fix_under_its_line():
    lines = doctor.report([doctor.Check("disk", "slow", "1 GB free", "free some")]).splitlines()
    assert lines[0].split() == ["slow", "disk", "1", "GB", "free"] and lines[1].strip() == "-> free some"
