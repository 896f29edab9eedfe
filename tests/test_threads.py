"""How torch's threads wait for each other is set before torch is imported, and never against the user."""

import ast
import os
import subprocess
import sys

import pytest

from tests.conftest import ROOT

NAMES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")


@pytest.mark.parametrize(
    ("load", "given", "expected"),
    [
        (0.0, {}, {"GOMP_SPINCOUNT": "1000"}),
        (99.0, {}, {"OMP_WAIT_POLICY": "PASSIVE"}),
        (99.0, {"OMP_WAIT_POLICY": "ACTIVE"}, {"OMP_WAIT_POLICY": "ACTIVE"}),
        (0.0, {"GOMP_SPINCOUNT": "7"}, {"GOMP_SPINCOUNT": "7"}),
    ],
)
def test_threads_spin_briefly_or_on_a_busy_machine_not_at_all(load, given, expected):
    code = f"""
import ast
import os
os.getloadavg, os.cpu_count = lambda: ({load}, 0, 0), lambda: 2
import sapggan_lib
print({{name: os.environ[name] for name in {NAMES} if name in os.environ}})
"""
    clean = {name: value for name, value in os.environ.items() if name not in NAMES}
    done = subprocess.run(
        [sys.executable, "-c", code], env=clean | given, capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert ast.literal_eval(done.stdout) == expected
