"""Make `.venv` from requirements.lock; `make` calls this. Standard library only, and old syntax on purpose:
the interpreter that starts it may be too old, and has to live long enough to say so.

    python3 tools/setup_environment.py [VENV_FOLDER]

Every step that fails says in one sentence what to do; the next try continues (pip keeps what it downloaded).
"""

import os
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LOCK = os.path.join(ROOT, "requirements.lock")
NEEDED_GB = 9  # torch with its CUDA libraries unpacks to 6.6 GB, and pip needs room beside it
CANDIDATES = ["python3.11", "python3.12", "python3.13", "python3.14", "python3", "python"]
IMPORTS = "import cv2, torch, torchvision, pydicom, papermill, jupyterlab, ipywidgets, cleanfid, sapggan_lib"

OFFLINE = "no network: connect, or set PIP_INDEX_URL to a mirror, then run make again"
ADVICE = [  # what pip prints, and what a person can do about it; the first match counts
    ("No space left on device", f"the disk is full: free {NEEDED_GB} GB, then run make again"),
    ("Temporary failure in name resolution", OFFLINE),
    ("Failed to establish a new connection", OFFLINE),
    ("(from versions: none)", OFFLINE),
    ("Connection refused", "the package index does not answer: check proxy settings, then run make again"),
    ("Read timed out", "the network is too slow: run make again, it continues where it stopped"),
    ("CERTIFICATE_VERIFY_FAILED", "the network intercepts TLS: set PIP_CERT to your organisation's certificate"),
    ("No matching distribution found", "a pinned package does not exist for this Python: try PYTHON=python3.11"),
    ("THESE PACKAGES DO NOT MATCH THE HASHES", "a download was damaged: run make again"),
]


def fail(message):
    sys.stderr.write("setup: " + message + "\n")
    sys.exit(1)


def version_of(python):
    """(major, minor) of an interpreter, or None when it does not run."""
    try:
        text = subprocess.check_output(
            [python, "-c", "import sys; print('%d %d' % sys.version_info[:2])"], stderr=subprocess.DEVNULL
        )
        major, minor = text.split()
        return int(major), int(minor)
    except (OSError, ValueError, subprocess.CalledProcessError):
        return None


def find_python():
    """The interpreter named by $PYTHON, or the first on the path that is 3.11 or newer."""
    wanted = os.environ.get("PYTHON")
    found = []
    for name in [wanted] if wanted else CANDIDATES:
        version = version_of(name)
        if version and version >= (3, 11):
            return name
        if version:
            found.append(f"{name} is {version[0]}.{version[1]}")
    seen = "; ".join(found) or "none found"
    fail(f"Python 3.11 or newer is needed ({seen}): install one, or name it with `make PYTHON=/path/to/python3.11`")


def run_pip(venv_python, arguments):
    """Run pip, showing its output, and end with one sentence when it fails."""
    process = subprocess.Popen(
        [venv_python, "-m", "pip", "--disable-pip-version-check", *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=ROOT, universal_newlines=True,
    )
    lines = []
    for line in process.stdout:
        lines.append(line)
        if not line.startswith(("Requirement already satisfied", "WARNING: Location")):
            sys.stdout.write(line[:160].rstrip("\n") + "\n")
            sys.stdout.flush()
    if process.wait() != 0:
        output = "".join(lines)
        for sign, advice in ADVICE:
            if sign in output:
                fail(advice)
        fail("pip failed, see its last lines above; `make clean-venv` and `make` start afresh")


def main():
    venv = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else os.path.join(ROOT, ".venv"))
    python = find_python()
    venv_python = os.path.join(venv, "bin", "python")
    if version_of(venv_python) is None:  # none yet, or one that an interrupted or moved install left broken
        shutil.rmtree(venv, ignore_errors=True)
        free_gb = shutil.disk_usage(os.path.dirname(venv)).free / 1e9
        if free_gb < NEEDED_GB:
            where = "`make VENV=/another/disk/venv`"
            fail(f"{free_gb:.1f} GB free beside {venv}, {NEEDED_GB} GB needed: free some, or {where}")
        if subprocess.call([python, "-m", "venv", venv]) != 0:
            shutil.rmtree(venv, ignore_errors=True)
            fail(f"{python} cannot make virtual environments: on Debian and Ubuntu `apt install python3-venv`")
    run_pip(venv_python, ["install", "--progress-bar=off", "-r", LOCK])
    run_pip(venv_python, ["install", "--progress-bar=off", "--no-deps", "--no-build-isolation", "-e", ROOT])
    check = subprocess.run([venv_python, "-c", IMPORTS], cwd=ROOT, stderr=subprocess.PIPE, universal_newlines=True)
    if check.returncode != 0:
        error = check.stderr.strip().splitlines()[-1]
        system_library = "libGL" in error or "libgthread" in error
        hint = "`apt install libgl1 libglib2.0-0`" if system_library else "`make clean-venv`, then make again"
        fail(f"the installed packages do not import ({error}): {hint}")


if __name__ == "__main__":
    main()
