"""What a rerun needs to know about the code and the machine that made a result."""

import importlib.metadata
import platform
from pathlib import Path
from typing import Any

from sapggan_lib.base.checkout import git_state

PACKAGES = ("torch", "torchvision", "numpy", "opencv-python", "pydicom", "scipy", "clean-fid", "papermill")


def record_path(folder: Path, name: str) -> Path:
    """Where a run keeps the record of one of its notebooks."""
    return folder / "records" / f"{name}.json"


def environment() -> dict[str, Any]:
    """The state of the checkout (`git`), the packages' `versions` and the `device`."""
    import torch

    from sapggan_lib.tensors import device_name

    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = "missing"
    return {"git": git_state(), "versions": versions, "device": device_name(torch.cuda.is_available())}
