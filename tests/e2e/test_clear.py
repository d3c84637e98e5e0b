"""Bad input that only admission can see: exit code 2, one line that says what to do, nothing charged, nothing left."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from coordinator.stack import Layout, temporary_stack
from coordinator.stack.demo.people import wait_for_nodes
from tests.e2e.conftest import SAMPLES, Kilnet, resaved

pytestmark = [pytest.mark.stack, pytest.mark.blender]


def refused(kilnet: Kilnet, *arguments: str | Path) -> str:
    """The one line of a command that must end with exit code 2 and leave no job running and nothing on disk."""
    out = Path(kilnet.stack.data) / "refused-out"
    done = kilnet.run(*arguments, "--out", out, "--json")
    assert done.returncode == 2, f"{done.returncode}\n{done.stderr}"
    answer = json.loads(done.stdout)
    line = answer["error"]["message"]
    assert "\n" not in line and "Traceback" not in done.stderr
    assert not out.exists()
    jobs = json.loads(kilnet.run("jobs", "--json").stdout)
    assert all(job["state"] in ("failed", "cancelled", "done") for job in jobs["jobs"])
    return str(line)


def test_a_scene_without_a_camera(kilnet: Kilnet, tmp_path: Path) -> None:
    blend = resaved(SAMPLES / "still.blend", tmp_path / "no-camera.blend", {"camera": None})
    assert "camera" in refused(kilnet, "render", blend)


def test_a_file_saved_by_a_newer_blender(kilnet: Kilnet, tmp_path: Path) -> None:
    """The header names Blender 9.9: refused with both versions, not rendered as far as it goes."""
    plain = resaved(SAMPLES / "still.blend", tmp_path / "plain.blend", {})
    data = plain.read_bytes()
    assert data[:7] == b"BLENDER" and data.count(b"v0502", 0, 24) == 1
    newer = tmp_path / "newer.blend"
    newer.write_bytes(data[:24].replace(b"v0502", b"v0909") + data[24:])
    line = refused(kilnet, "render", newer)
    assert "9.9" in line and "5.2" in line


def test_a_price_cap_below_the_quote(kilnet: Kilnet) -> None:
    """The line names the quote and the cap; no job stays quoted."""
    line = refused(
        kilnet, "render", SAMPLES / "still.blend", "--resolution", "64x36", "--samples", "4",
        "--max-price", "0.000000001",
    )  # fmt: skip
    assert "USD" in line


def test_a_time_limit_in_the_scene(kilnet: Kilnet, tmp_path: Path) -> None:
    """Cycles' time limit makes every machine render another picture."""
    blend = resaved(SAMPLES / "still.blend", tmp_path / "limit.blend", {"cycles.time_limit": 5.0})
    assert "time limit" in refused(kilnet, "render", blend).lower()


def test_no_node_is_connected(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> None:
    """It waits, says so, gives up at the deadline, and everything is refunded."""
    with temporary_stack(nodes=0, data=tmp_path_factory.mktemp("empty")) as stack:
        wait_for_nodes(Layout(stack.data), ("trusted",))  # which gives the quote: the deadline is for the nodes
        done = Kilnet(stack).run(
            "render", SAMPLES / "still.blend", "--resolution", "64x36", "--samples", "4", "--deadline", "25s",
            "--out", tmp_path / "out", "--json",
        )  # fmt: skip
    assert done.returncode == 2, done.stderr
    answer = json.loads(done.stdout)
    assert "node" in done.stderr and "Traceback" not in done.stderr
    if "state" in answer:
        assert answer["state"] == "failed" and int(answer["burned"] or 0) == 0
    assert not (tmp_path / "out").exists()
