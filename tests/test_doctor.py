from pathlib import Path

from sapggan_lib import doctor
from sapggan_lib.evaluation import networks
from sapggan_lib.files import sha256_file


def test_this_machine_has_what_the_tests_ran_with():
    states = {check.name: check.state for check in doctor.examine()}
    assert states["torch"] == states["python"] == states["EfficientNet-Lite0"] == "ok"


def test_a_missing_package_is_missing_with_its_fix(monkeypatch):
    monkeypatch.setattr(doctor, "PACKAGES", ["no-such-package"])
    check = doctor.packages()[0]
    assert check.state == "missing" and "pip install no-such-package" in check.fix


def test_a_full_disk_is_slow_with_its_fix(monkeypatch, tmp_path):
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda folder: type("Usage", (), {"free": 1e9}))
    assert doctor.disk(tmp_path) == doctor.Check("disk", "slow", "1.0 GB free", "free 10 GB before a run at 512x512")


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
