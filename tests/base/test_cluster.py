"""Notebooks on a Dask cluster: a real scheduler and two workers, as processes of this machine."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import dask
import pytest
from distributed import Client
from filelock import FileLock

from sapggan_lib.base import cluster
from sapggan_lib.base.errors import SapgganError
from sapggan_lib.base.files import ROOT
from sapggan_lib.runs.jobs import plan
from sapggan_lib.runs.runner import run
from tests.small_notebooks import diary_code, make_project, read_diary, start_command, write_notebook


@pytest.fixture
def notebooks(tmp_path, monkeypatch):
    folder = make_project(tmp_path, monkeypatch)
    for name, needs in (("01_first", ()), ("02_second", ("01",))):
        write_notebook(folder / f"{name}.ipynb", diary_code(tmp_path, name, wait=name == "01_first"), needs=needs)
    return folder


@pytest.fixture(scope="module")
def scheduler(tmp_path_factory):
    """The address of a scheduler with two workers of one GPU slot each."""
    folder = tmp_path_factory.mktemp("dask")
    file = ["--scheduler-file", str(folder / "scheduler.json")]
    worker = ["worker", *file, "--nthreads", "1", "--no-nanny", "--no-dashboard", "--resources", "GPU=1"]
    where = os.environ | {"PYTHONPATH": str(ROOT)}
    commands = (["scheduler", *file, "--port", "0", "--no-dashboard"], worker, worker)
    processes = [subprocess.Popen([sys.executable, "-m", "dask", *command], env=where, cwd=folder,
                                  stderr=subprocess.DEVNULL) for command in commands]
    limit = time.monotonic() + 300
    while not (folder / "scheduler.json").exists():
        assert time.monotonic() < limit
        time.sleep(0.1)
    address = json.loads((folder / "scheduler.json").read_text())["address"]
    with Client(address, set_as_default=False) as client:  # `cluster.connect` refuses a scheduler without workers
        client.wait_for_workers(2, timeout=300)
    yield address
    for process in processes:
        process.kill()
        process.wait()


def test_a_run_whose_submitter_is_killed_leaves_no_notebook_running(notebooks, tmp_path, scheduler):
    submitter = start_command(tmp_path, "run", "01", "--run", "one", "--scheduler", scheduler)
    read_diary(tmp_path, until="01 begins")
    submitter.kill()
    submitter.wait()
    running = tmp_path / "papermill_runs" / "one" / ".running" / "01_first"
    with FileLock(running / ".lock", timeout=300):  # the notebook holds it while it lives
        pass
    assert [line[:2] for line in read_diary(tmp_path)] == [["01", "begins"]]


def test_the_notebook_of_a_lost_worker_is_waited_for_and_never_runs_twice_at_once(notebooks, tmp_path, scheduler):
    with cluster.connect(scheduler) as client:
        assert cluster.slots(client) == {"GPU": 1}

    def lose_a_worker():
        os.kill(int(read_diary(tmp_path, until="01 begins")[0][2]), signal.SIGKILL)
        (tmp_path / "go").touch()

    thief = threading.Thread(target=lose_a_worker)
    thief.start()
    run(plan([], "smoke"), tmp_path / "run", "smoke", scheduler=scheduler)
    thief.join()
    assert [line[:2] for line in read_diary(tmp_path)] == [
        ["01", "begins"], ["01", "ends"], ["02", "begins"], ["02", "ends"]
    ]  # fmt: skip
    outcomes = json.loads((tmp_path / "run" / "record.json").read_text())["outcomes"]
    assert outcomes["01_first"] == "unchanged" and outcomes["02_second"].startswith("done")


def test_a_worker_without_the_storage_says_so(tmp_path):
    with pytest.raises(SapgganError, match="must be on storage that every worker sees"):
        cluster.require_shared(tmp_path, tmp_path / "elsewhere")
    assert cluster.wanted()


@pytest.fixture
def certificate(tmp_path, monkeypatch):
    """A certificate of our own for all of a cluster, in Dask's configuration as environment variables."""
    cert, key = tmp_path / "cluster.pem", tmp_path / "cluster.key"
    if not shutil.which("openssl"):
        pytest.skip("no openssl to make a certificate with")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=cluster",
                    "-keyout", key, "-out", cert], check=True, capture_output=True)  # fmt: skip
    values = {"REQUIRE_ENCRYPTION": "True", "TLS__CA_FILE": str(cert)}
    values |= {f"TLS__{role}__CERT": str(cert) for role in ("SCHEDULER", "WORKER", "CLIENT")}
    values |= {f"TLS__{role}__KEY": str(key) for role in ("SCHEDULER", "WORKER", "CLIENT")}
    for name, value in values.items():
        monkeypatch.setenv(f"DASK_DISTRIBUTED__COMM__{name}", value)
    dask.config.refresh()
    yield cert
    monkeypatch.undo()
    dask.config.refresh()


def test_a_run_goes_over_an_encrypted_cluster_and_over_no_other(notebooks, tmp_path, certificate, monkeypatch):
    (tmp_path / "go").touch()
    command, file = [sys.executable, "-m", "dask"], str(tmp_path / "scheduler.json")
    options = ["--scheduler-file", file, "--no-dashboard", "--protocol", "tls"]
    processes = [subprocess.Popen([*command, "scheduler", *options, "--port", "0"], stderr=subprocess.DEVNULL),
                 subprocess.Popen([*command, "worker", *options, "--nthreads", "1", "--no-nanny"], cwd=tmp_path,
                                  env=os.environ | {"PYTHONPATH": str(ROOT)}, stderr=subprocess.DEVNULL)]  # fmt: skip
    try:
        limit = time.monotonic() + 300
        while not Path(file).exists():
            assert time.monotonic() < limit
            time.sleep(0.1)
        address = json.loads(Path(file).read_text())["address"]
        assert address.startswith("tls://")
        with Client(address, set_as_default=False) as client:
            client.wait_for_workers(1, timeout=300)
        run(plan([], "smoke"), tmp_path / "run", "smoke", scheduler=address)
        monkeypatch.setattr(cluster, "TIMEOUT", 5)
        with dask.config.set({"distributed.comm.require-encryption": False}):  # a client that knows no certificate
            plain = address.replace("tls://", "tcp://")
            with pytest.raises(SapgganError, match="no Dask scheduler answers"), cluster.connect(plain):
                pass
    finally:
        for process in processes:
            process.kill()
            process.wait()
    assert [line[:2] for line in read_diary(tmp_path)].count(["02", "ends"]) == 1


@pytest.mark.parametrize(("address", "settings", "message"), [
    ("tcp://127.0.0.1:9", {"require-encryption": True}, "requires encryption; give tls:// in place of tcp://"),
    ("tls://127.0.0.1:9", {}, "names no certificates .* docs/data.md says how to make them"),
    ("tls://127.0.0.1:9", {"tls.ca-file": "/nowhere", "tls.client.cert": "/nowhere"}, "certificates cannot be used"),
])  # fmt: skip
def test_what_is_wrong_with_the_encryption_is_one_sentence(address, settings, message):
    with (
        dask.config.set({f"distributed.comm.{key}": value for key, value in settings.items()}),
        pytest.raises(SapgganError, match=message),
        cluster.connect(address),
    ):
        pass
