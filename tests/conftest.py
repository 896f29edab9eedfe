"""Fixtures that several tests share."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

ROOT = Path(__file__).resolve().parent.parent
SLOWEST = ("test_own_images.py", "test_smoke.py", "test_cluster.py", "test_rerun.py", "test_accelerate.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the slowest files, so that at the end no process waits for another."""
    items.sort(key=lambda item: item.path.name not in SLOWEST)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real radiographs beside the project; tests that need it are required wherever it exists."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no real radiographs at {folder}")
    return folder


@pytest.fixture(autouse=True)
def _patient_key(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key of the test run, so that no test writes into the user's configuration."""
    key = tmp_path_factory.getbasetemp() / "patient-key"
    key.write_text("5a" * 32)
    monkeypatch.setenv("SAPGGAN_PATIENT_KEY", str(key))


@pytest.fixture(autouse=True, scope="session")
def _private_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A place of the test run for what publishable runs keep to themselves, not the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SAPGGAN_PRIVATE", str(tmp_path_factory.getbasetemp() / "private"))
        yield


@pytest.fixture(autouse=True)
def _random_state() -> None:
    """The same weights and latents in a test whatever ran before it."""
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002 - libraries that use the global generator


@pytest.fixture(scope="session")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 100 phantoms, 64 pixels high."""
    from sapggan_lib.phantoms.files import write_phantoms

    folder = tmp_path_factory.mktemp("phantoms") / "dicom"
    write_phantoms(folder, n=100, size=64, workers=1)
    return folder
