"""The gateway as a process of its own: it starts from a settings file, and ends when told to, whoever waits."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest

from coordinator.config import Settings
from coordinator.gateway.__main__ import main
from coordinator.store.database import Database
from tests.coordinator.gateway.conftest import Broker
from tests.coordinator.gateway.test_gateway import REGISTRATION, sign_in
from tests.coordinator.gateway.test_views import QUOTE
from tests.coordinator.world import CLASS, Person, World


def _start(settings: Settings, folder: Path) -> subprocess.Popen[bytes]:
    file = folder / "settings.json"
    file.write_text(settings.model_dump_json())
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "coordinator.gateway"],
            env=os.environ | {"KILNET_CONFIG": str(file)}, stderr=log, stdout=log,
        )  # fmt: skip


def _wait(url: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(1200):
        assert process.poll() is None, "the gateway ended"
        try:
            httpx.get(f"{url}/v1/info", timeout=5)
            return
        except httpx.TransportError:
            time.sleep(0.1)
    raise AssertionError("the gateway does not answer")


def _stop_with_waiters(url: str, process: subprocess.Popen[bytes], node: dict[str, str], owner: dict[str, str]) -> None:
    """A claim waits and a job is followed; then the process is told to end."""
    ends: dict[str, object] = {}
    (job,) = httpx.get(f"{url}/v1/jobs", headers=owner, timeout=40).json()

    def claim() -> None:
        body = {"runtimes": [CLASS], "wait_seconds": 30}
        ends["claim"] = httpx.post(f"{url}/v1/leases/claim", json=body, headers=node, timeout=60).status_code

    def follow() -> None:
        events = f"{url}/v1/jobs/{job['id']}/events"
        with httpx.Client(timeout=60) as http, http.stream("GET", events, headers=owner) as answer:
            following.set()
            ends["events"] = answer.status_code if answer.read() else 0

    following = threading.Event()
    threads = [threading.Thread(target=claim), threading.Thread(target=follow)]
    for thread in threads:
        thread.start()
    assert following.wait(60)
    time.sleep(1)
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0
    for thread in threads:
        thread.join(20)
    assert ends == {"claim": 204, "events": 200}


def test_it_ends_with_0_while_others_wait(tmp_path: Path, sqlite_url: str, broker: Broker) -> None:
    """SIGTERM ends a waiting claim with 204 and an open event stream in good order, within seconds, exit code 0; with a
    broker and without one. Sessions outlive a restart."""
    db = Database(sqlite_url)
    db.migrate()
    world = World(db, tmp_path)
    world.job(quote=QUOTE, state="paused")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    settings = world.settings.model_copy(update={"origin": url, "broker_url": broker.url, "database_url": sqlite_url})
    process = _start(settings, tmp_path)
    try:
        _wait(url, process)
        with httpx.Client(base_url=url, timeout=40) as http:
            node, owner = sign_in(http, Person()), sign_in(http, world.owner)
            assert http.post("/v1/nodes/register", json=REGISTRATION, headers=node).status_code == 200
        _stop_with_waiters(url, process, node, owner)
        broker.kill()
        process = _start(settings, tmp_path)
        _wait(url, process)
        _stop_with_waiters(url, process, node, owner)
    finally:
        process.kill()
        process.wait()
        db.close()
    assert "Traceback" not in (tmp_path / "log").read_text()


def test_bad_settings_are_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """No settings, or settings that are none: exit code 2 and one line that says so."""
    (tmp_path / "settings.json").write_text("{}")
    for file in (tmp_path / "settings.json", tmp_path / "absent.json"):
        monkeypatch.setenv("KILNET_CONFIG", str(file))
        assert main([]) == 2
        said = capsys.readouterr().err
        assert str(file) in said and said.count("\n") == 1
