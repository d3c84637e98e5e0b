"""The agent as a process of its own: a real key, a real sandbox, a real Blender, and a small gateway on a socket."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zstandard

from jobs.contract import RenderContract
from jobs.tiles import RenderTile
from jobs.typed_data import Domain, commitment_message, recover
from node.keys import NodeKey
from tests.node.small_gateway import Answer, SmallGateway, error
from verification.commitment import cell_bytes, commit, commit_cells, split_cells

pytestmark = [pytest.mark.blender, pytest.mark.skipif(not Path("/usr/bin/bwrap").exists(), reason="no bubblewrap")]

ROOT = Path(__file__).resolve().parents[2]
SCENE = (ROOT / "node" / "canary" / "canary.blend").read_bytes()
DOMAIN = {"chain_id": 31337, "escrow": "0x" + "22" * 20}
SAMPLES = 4096
"""Far more than any test renders: a tile of all of them takes minutes."""

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture(scope="session")
def canary_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Measured by the first agent, read by all others."""
    return tmp_path_factory.mktemp("canary")


@pytest.fixture
def start(gateway: SmallGateway, tmp_path: Path, canary_cache: Path) -> Iterator[Start]:
    """Starts agents on one folder; whatever still runs is killed at the end."""
    running: list[subprocess.Popen[str]] = []
    log = tmp_path / "agent.log"

    def begin(*module: str, options: tuple[str, ...] = ()) -> subprocess.Popen[str]:
        program = module or ("node", "run")
        command = [sys.executable, "-m", *program, "--data", str(tmp_path / "node"), "--gateway", gateway.url]
        command += ["--threads", "2", "--canary-cache", str(canary_cache), *options]
        with log.open("a") as out:
            running.append(subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=out, text=True))
        return running[-1]

    yield begin
    for process in running:
        if process.poll() is None:
            process.kill()
        process.wait()
    print(log.read_text())


def contract_of(runtime_version: str) -> RenderContract:
    return RenderContract(
        version=runtime_version, engine="CYCLES", scene="Scene", camera="Camera", width=160, height=96,
        window=(0, 0, 160, 96), samples=SAMPLES, seed=7, adaptive=False, guard=0,
        channels=tuple(f"ViewLayer.Combined.{c}" for c in "RGBA"),
    )  # fmt: skip


def offer(gateway: SmallGateway, lease: str, **changes: Any) -> dict[str, Any]:
    """A tile lease over the canary scene, as the wire has it; its scene is there to be fetched."""
    registered = gateway.wait_for("POST", "/v1/nodes/register", seconds=120)[0]
    version = next(r["version"] for r in registered["runtimes"] if r["runtime"] == "blender")
    sha = hashlib.sha256(SCENE).hexdigest()
    gateway.blobs[sha] = SCENE
    tile = RenderTile(frames=(2, 3), rect=(16, 8, 60, 40), samples=(4, 8))
    return {
        "id": lease, "token": 7, "kind": "tile", "job": "j1", "job_kind": "render", "expires_at": 0,
        "expected_seconds": 60, "heartbeat_seconds": 0.3, "secret_hash": "0x" + "00" * 32, "domain": DOMAIN,
        "main": "scene.blend", "assets": [{"path": "scene.blend", "sha256": sha, "size": len(SCENE)}],
        "contract": contract_of(version).model_dump(mode="json"), "tile": tile.model_dump(mode="json"), "params": {},
    } | changes  # fmt: skip


def long_tile() -> dict[str, Any]:
    return RenderTile(frames=(2,), rect=(0, 0, 160, 96), samples=(0, SAMPLES)).model_dump(mode="json")


def delivered(gateway: SmallGateway, lease: str) -> bytes:
    """The raw result that was uploaded for a lease."""
    complete = gateway.wait_for("POST", f"/v1/leases/{lease}/complete", seconds=120)[0]
    (blob,) = complete["blobs"]
    assert len(gateway.blobs[blob["sha256"]]) == blob["size"]
    return zstandard.ZstdDecompressor().decompress(gateway.blobs[blob["sha256"]])


def test_a_tile_is_rendered_committed_and_delivered_and_its_audit_agrees(
    gateway: SmallGateway, start: Start, tmp_path: Path
) -> None:
    """Given a lease; then the commitment is signed by the node's key and is over the very bytes that arrive, an audit
    of some of its cells by the same program has the same bits, and SIGTERM ends the agent with 0."""
    agent = start(options=("--kinds", "tile,audit"))
    lease = offer(gateway, "l1")
    gateway.offer(lease)
    data = delivered(gateway, "l1")
    contract, tile = RenderContract.model_validate(lease["contract"]), RenderTile.model_validate(lease["tile"])
    (committed,) = gateway.bodies("POST", "/v1/leases/l1/commit")
    tree = commit("l1", contract, tile, data)
    assert committed["root"] == f"0x{tree.root.hex()}"
    assert committed["cells"] == tile.cell_count()
    signed = commitment_message(Domain(**DOMAIN), lease="l1", token=7, root=tree.root, cells=len(tree))  # type: ignore[typeddict-item]
    assert recover(signed, committed["signature"]) == NodeKey.load(tmp_path / "node" / "key").address
    pixels = np.frombuffer(data, "<f4")
    assert np.isfinite(pixels).all() and pixels.std() > 0.01

    cells = (0, 5, 23, 24, 47)
    gateway.offer(lease | {"id": "l2", "kind": "audit", "tile": None, "audit": {"tile": lease["tile"], "cells": cells}})
    redone = split_cells(contract, tile, cells, delivered(gateway, "l2"))
    assert redone == {cell: cell_bytes(contract, tile, data, cell) for cell in cells}
    (audit,) = gateway.bodies("POST", "/v1/leases/l2/commit")
    assert audit["root"] == f"0x{commit_cells('l2', contract, redone).root.hex()}"

    agent.terminate()
    assert agent.wait(20) == 0
    assert list((tmp_path / "node" / "outbox" / "files").iterdir()) == []


def test_sigterm_gives_back_what_would_take_long(gateway: SmallGateway, start: Start) -> None:
    """Given a tile of minutes; when the agent is stopped; then it releases the lease and exits with 0 in seconds."""
    agent = start()
    gateway.offer(offer(gateway, "l1", tile=long_tile()))
    gateway.wait_for("POST", "/v1/leases/l1/heartbeat", count=3)
    started = time.monotonic()
    agent.terminate()
    assert agent.wait(15) == 0
    assert time.monotonic() - started < 10
    assert gateway.bodies("POST", "/v1/leases/l1/release") == [{"token": 7}]
    assert gateway.bodies("POST", "/v1/leases/l1/commit") == []


def test_a_cancelled_lease_ends_at_once_and_the_next_one_works(gateway: SmallGateway, start: Start) -> None:
    """A heartbeat that is answered with cancel: the runner stops in the middle of its tile, nothing more is sent."""
    start()
    gateway.offer(offer(gateway, "l1", tile=long_tile()))
    gateway.wait_for("POST", "/v1/leases/l1/heartbeat", count=2)
    gateway.cancel.add("l1")
    gateway.offer(offer(gateway, "l2"))
    assert delivered(gateway, "l2")
    assert {path for _, path, _ in gateway.calls if "/l1/" in path} == {"/v1/leases/l1/heartbeat"}


def _descendants(pid: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += [int(child), *_descendants(int(child))]
    return found


def test_a_killed_runner_is_a_crash_and_not_the_end(gateway: SmallGateway, start: Start) -> None:
    """kill -9 of the renderer: the lease fails as a crash, the agent goes on with a fresh runner."""
    agent = start()
    gateway.offer(offer(gateway, "l1", tile=long_tile()))
    gateway.wait_for("POST", "/v1/leases/l1/heartbeat", count=3)
    os.kill(_descendants(agent.pid)[-1], signal.SIGKILL)
    (failed,) = gateway.wait_for("POST", "/v1/leases/l1/fail")
    assert failed["code"] == "crash"
    assert failed["scene_fault"] is False
    gateway.offer(offer(gateway, "l2"))
    assert delivered(gateway, "l2")


def test_a_scene_that_is_none_fails_with_the_runners_reason(gateway: SmallGateway, start: Start) -> None:
    """The main file is no .blend: the code and the sentence are the runner's own."""
    start()
    sha = hashlib.sha256(b"no scene").hexdigest()
    gateway.blobs[sha] = b"no scene"
    gateway.offer(offer(gateway, "l1", assets=[{"path": "scene.blend", "sha256": sha, "size": 8}]))
    (failed,) = gateway.wait_for("POST", "/v1/leases/l1/fail")
    assert failed["code"] == "not_a_blend"


def test_kill_9_of_the_agent_loses_no_finished_result(gateway: SmallGateway, start: Start) -> None:
    """Given a result that the gateway cannot take yet; when the agent is killed with -9 and started again; then the
    result is delivered without being rendered again."""
    gateway.trouble = lambda _method, path: error(503, "away") if path.endswith("/commit") else None
    agent = start()
    lease = offer(gateway, "l1")
    gateway.offer(lease)
    gateway.wait_for("POST", "/v1/leases/l1/commit")
    agent.kill()
    agent.wait()

    def no_more_work(_method: str, path: str) -> Answer | None:
        return (204, {}, b"") if path == "/v1/leases/claim" else None

    gateway.trouble = no_more_work
    start()
    data = delivered(gateway, "l1")
    contract, tile = RenderContract.model_validate(lease["contract"]), RenderTile.model_validate(lease["tile"])
    assert (
        gateway.bodies("POST", "/v1/leases/l1/commit")[-1]["root"]
        == f"0x{commit('l1', contract, tile, data).root.hex()}"
    )


def test_a_second_agent_on_one_folder_is_refused(gateway: SmallGateway, start: Start, tmp_path: Path) -> None:
    """Two agents with one key would take each other's leases for lost: exit code 2 and a line that says so."""
    start()
    gateway.wait_for("POST", "/v1/nodes/register", seconds=120)
    assert start().wait(30) == 2
    assert "another node runs with this folder" in (tmp_path / "agent.log").read_text()
