"""kill -9 of every part in the middle of a job."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

from contracts.addresses import Addresses
from contracts.client import ChainClient
from coordinator.config import Settings
from coordinator.stack import Layout, LocalStack, temporary_stack
from jobs.client import Client
from jobs.packing import pack_scene
from jobs.planner import PlanPolicy
from jobs.spec import RenderSpec
from jobs.states import JOB_FINAL, JobState
from jobs.typed_data import chain_job_id
from jobs.wire import JobView

_SCENE = Path(__file__).parents[2] / "samples" / "scenes" / "still.blend"
_SIZE = (192, 108)
_SAMPLES = 64
_TILES = 12
_SMALL = PlanPolicy(nodes=2, min_tile_seconds=0.2, audit_share=0.5)

pytestmark = [pytest.mark.stack, pytest.mark.slow, pytest.mark.blender, pytest.mark.chain, pytest.mark.timeout(420)]


def _part(stack: LocalStack, name: str) -> int:
    """The process id of a part, once it has one."""
    until = time.monotonic() + 30
    while (pid := stack.status().get("parts", {}).get(name, {}).get("pid")) is None:
        assert time.monotonic() < until, f"{name} does not come back"
        time.sleep(0.1)
    return int(pid)


def _program(stack: LocalStack, part: str, name: str) -> int:
    """The process id of a program that a part has started."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        try:
            for child in psutil.Process(_part(stack, part)).children(recursive=True):
                if name in " ".join(child.cmdline()):
                    return child.pid
        except psutil.NoSuchProcess:
            pass
        time.sleep(0.1)
    raise AssertionError(f"no {name} below {part}")


def _plain_render(out: Path) -> np.ndarray:
    """The same picture by Blender alone, in one go."""
    program = f"""
import os, bpy
bpy.ops.wm.open_mainfile(filepath={str(_SCENE)!r})
scene = bpy.context.scene
scene.render.resolution_x, scene.render.resolution_y = {_SIZE}
scene.render.resolution_percentage = 100
scene.cycles.samples = {_SAMPLES}
scene.render.filepath = {str(out)!r}
bpy.ops.render.render(write_still=True)
os._exit(0)
"""
    subprocess.run([sys.executable, "-c", program], check=True, stdout=subprocess.DEVNULL)
    return np.asarray(Image.open(out).convert("RGB"), np.int16)


def test_any_part_may_be_killed_in_the_middle_of_a_job(tmp_path: Path) -> None:
    """Celery worker, gateway, broker, chain, a runner, a node and the trusted worker are killed with -9, one after
    another, while a job runs: it ends DONE with the right picture, each tile is paid once, and the books add up."""
    # given
    with temporary_stack(nodes=2, data=tmp_path / "data", plan=_SMALL) as stack:
        victims: dict[str, Callable[[], int]] = {
            "tasks": lambda: _part(stack, "tasks"),
            "gateway": lambda: _part(stack, "gateway"),
            "broker": lambda: _part(stack, "broker"),
            "chain": lambda: _part(stack, "chain"),
            "anvil": lambda: _program(stack, "chain", "anvil"),
            "runner": lambda: _program(stack, "node-1", "runners"),
            "node": lambda: _part(stack, "node-2"),
            "trusted": lambda: _part(stack, "trusted"),
        }
        with Client(stack.gateway_url, str(stack.key_file), patience=60) as client, pack_scene(_SCENE) as scene:
            client.upload(scene.manifest, scene.sources)
            spec = RenderSpec(resolution=_SIZE, samples=_SAMPLES, tiles=_TILES, deadline_s=900)
            job = client.wait_quote(client.create_job(spec, scene.manifest).id, timeout=90)
            client.accept(job, deadline_s=900)
            # when
            struck = _strike(client, job.id, victims)
            ended = _wait(client, job.id)
            # then
            assert struck == list(victims), "the job was over before all of them were killed"
            assert ended.state is JobState.DONE, ended.error
            delivered = client.download_outputs(job.id, tmp_path / "out", only=lambda one: one.kind == "image")
            _check_picture(delivered[0].path, tmp_path / "plain.png")
            _check_books(client, ended, Settings.load(Layout(stack.data).settings))
        parts = stack.status()["parts"]
        assert all(parts[name]["restarts"] >= 1 for name in struck if name in parts), parts


def _strike(client: Client, job: str, victims: dict[str, Callable[[], int]]) -> list[str]:
    """Kills the victims one after another, each when the job has come a little further than at the last one."""
    struck: list[str] = []
    last = -1.0
    for name, find in victims.items():
        until = time.monotonic() + 15
        while time.monotonic() < until:
            view = client.job(job)
            if view.state in JOB_FINAL:
                return struck
            if view.state is JobState.RUNNING and view.progress > last:
                last = view.progress
                break
            time.sleep(0.2)
        os.kill(find(), signal.SIGKILL)
        struck.append(name)
    return struck


def _wait(client: Client, job: str) -> JobView:
    until = time.monotonic() + 240
    while (view := client.job(job)).state not in JOB_FINAL:
        assert time.monotonic() < until, view
        time.sleep(0.5)
    return view


def _check_picture(delivered: Path, plain: Path) -> None:
    made = np.asarray(Image.open(delivered).convert("RGB"), np.int16)
    assert np.abs(made - _plain_render(plain)).max() <= 1


def _check_books(client: Client, job: JobView, settings: Settings) -> None:
    receipts = client.receipts(job.id)
    assert sorted(one.tile for one in receipts) == list(range(job.tiles))
    settled = job.settlement
    assert settled is not None
    assert job.quote is not None
    assert sum(one.price for one in receipts) == settled.price == settled.burned + settled.fee
    assert settled.price + settled.refund == job.quote.cap
    chain = ChainClient(settings.chain.rpc_url, Addresses.load(settings.chain.addresses_file))
    on_chain = chain.settlement(chain_job_id(job.id))
    assert on_chain is not None
    assert (on_chain.burned, on_chain.fee, on_chain.refund) == (settled.burned, settled.fee, settled.refund)
    assert chain.total_burned() == settled.burned
