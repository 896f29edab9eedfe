"""What a rerun needs to know about the code and the machine that made a result."""

import importlib.metadata
import platform
import subprocess
from pathlib import Path
from typing import Any

from sapggan_lib.base.files import ROOT

PACKAGES = ("torch", "torchvision", "numpy", "opencv-python", "pydicom", "scipy", "clean-fid", "papermill")


def record_path(folder: Path, name: str) -> Path:
    """Where a run keeps the record of one of its notebooks."""
    return folder / "records" / f"{name}.json"


def environment() -> dict[str, Any]:
    """The state of the checkout (`git`), the packages' `versions` and the `device`."""
    import torch

    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = "missing"
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else f"CPU, {torch.get_num_threads()} threads"
    return {"git": git_state(), "versions": versions, "device": device}


def git_state() -> dict[str, Any]:
    """`{"commit": hash or "", "dirty": whether files differ from it}` of the project's checkout.

    The reference run's own files don't count: it writes them while it runs.
    """

    def git(*arguments: str) -> str:
        result = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)
        return result.stdout.strip() if result.returncode == 0 else ""

    try:
        changed = git("status", "--porcelain", "--", ".", ":!papermill_runs/reference")
        return {"commit": git("rev-parse", "HEAD"), "dirty": bool(changed)}
    except FileNotFoundError:
        return {"commit": "", "dirty": True}
