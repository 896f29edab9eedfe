"""What Windows lacks is used nowhere unasked; as far as that can be told on another system."""

import subprocess
import sys

from sapggan_lib.base.files import ROOT

WITHOUT = """
import os, signal, sys
sys.modules["fcntl"] = sys.modules["resource"] = None
for name in ("setitimer", "getitimer", "ITIMER_PROF", "ITIMER_REAL", "SIGPROF", "SIGALRM", "SIGKILL", "SIGHUP"):
    delattr(signal, name)
for name in ("pread", "getuid", "geteuid", "mkfifo", "sysconf"):
    delattr(os, name)
"""
IMPORT_ALL = """
import importlib, pkgutil, sapggan_lib
for module in pkgutil.walk_packages(sapggan_lib.__path__, "sapggan_lib."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
        print(module.name)
"""
PREPROCESS = """
from sapggan_lib.base.config import PreprocessConfig
from sapggan_lib.preprocessing import parallel, preprocess
import filelock
sys.platform = "win32"                                   # only now: what is imported above asked for the real one
parallel.CHILD = {without!r} + parallel.CHILD
print(preprocess({source!r}, {out!r}, PreprocessConfig(size=32), workers=2).text())
"""


def python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", WITHOUT + code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_module_is_imported_without_what_windows_lacks():
    modules = python(IMPORT_ALL).split()
    assert {"sapggan_lib.cli", "sapggan_lib.runs.runner", "sapggan_lib.preprocessing.parallel"} <= set(modules)


def test_a_folder_is_preprocessed_without_what_windows_lacks(phantoms, tmp_path):
    source = phantoms / "study00002"
    child = WITHOUT + "import cv2, sapggan_lib.preprocessing.parallel; sys.platform = 'win32'\n"
    said = python(PREPROCESS.format(without=child, source=str(source), out=str(tmp_path / "store")))
    assert ", 0 failed" in said and (tmp_path / "store" / "store.json").exists()
