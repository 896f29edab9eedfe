"""The files around the library: what one says about another must hold."""

import importlib.util
import re
import subprocess
import sys
import tomllib

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.version import Version

from tests.conftest import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
REQUIREMENTS = PROJECT["dependencies"] + PROJECT["optional-dependencies"]["test"]


def test_environment_yml_lists_the_same_packages_as_pyproject():
    (pip,) = (entry["pip"] for entry in yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
              if isinstance(entry, dict))
    assert pip == [*REQUIREMENTS, "--editable ."]


def test_the_lock_pins_every_dependency_within_its_bounds():
    pins = dict(re.findall(r"^([a-z0-9-]+)==([^ ;]+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE))
    for requirement in map(Requirement, REQUIREMENTS):
        name = requirement.name.lower()
        assert name in pins, f"{name}: not in requirements.lock; run `make lock`"
        assert Version(pins[name]) in requirement.specifier


def test_the_lower_parts_import_with_only_torch_numpy_opencv_and_safetensors():
    """A GPU node may have no Jupyter, pydicom, papermill or pandas."""
    blocked = {"pandas", "yaml", "pydicom", "scipy", "tqdm", "papermill", "matplotlib", "torchvision", "cleanfid",
               "prdc", "ipywidgets"}
    code = f"""
import sys
for name in {sorted(blocked)}: sys.modules[name] = None
import sapggan_lib.training, sapggan_lib.models, sapggan_lib.losses, sapggan_lib.store, sapggan_lib.evaluation
sapggan_lib.models.load_generator({str(ROOT / "weights" / "sapggan_64.safetensors")!r})
assert not {{"torch._dynamo", "triton"}} & sys.modules.keys(), "loading a generator brings the compiler, seconds late"
"""
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def load_setup_tool():
    spec = importlib.util.spec_from_file_location("setup_environment", ROOT / "tools" / "setup_environment.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_setup_says_which_python_is_too_old(monkeypatch, capsys):
    setup = load_setup_tool()
    monkeypatch.setenv("PYTHON", "python3.8")
    monkeypatch.setattr(setup, "version_of", lambda name: (3, 8))
    with pytest.raises(SystemExit, match="1"):
        setup.find_python()
    assert "Python 3.11 or newer is needed (python3.8 is 3.8)" in capsys.readouterr().err


def test_setup_turns_a_missing_network_into_one_sentence(tmp_path, capsys):
    setup = load_setup_tool()
    fake_python = tmp_path / "python"
    fake_python.write_text("#!/bin/sh\necho 'Failed to establish a new connection: [Errno 101]'\nexit 1\n")
    fake_python.chmod(0o755)
    with pytest.raises(SystemExit, match="1"):
        setup.run_pip(str(fake_python), ["install", "torch"])
    assert "setup: no network: connect, or set PIP_INDEX_URL" in capsys.readouterr().err


def test_the_setup_tool_parses_under_old_pythons():
    """It has to run there to say that the interpreter is too old."""
    import ast

    ast.parse((ROOT / "tools" / "setup_environment.py").read_text(), feature_version=(3, 6))
