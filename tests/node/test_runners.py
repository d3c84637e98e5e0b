"""Warm runners and canaries, with the real inference runner in its sandbox."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.canary import measured_class
from node.hardware import probe
from node.runner_pool import RunnerPool, WarmRunner
from node.runner_process import RunnerCrashed, RunnerProtocolError
from node.runner_programs import ONNX, RunnerSettings, choose_launcher
from node.sandbox import sandbox_available

SCENE = Path(__file__).parents[2] / "samples" / "scenes" / "compositor.blend"


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[RunnerPool]:
    report = sandbox_available()
    if not report.available:
        pytest.skip(f"{report.detail}; {report.remedy}")
    made = RunnerPool(tmp_path / "pool", RunnerSettings(threads=1), choose_launcher(unsandboxed=False), keep=2)
    yield made
    made.close()


@pytest.fixture
def job(tmp_path: Path) -> Path:
    made = tmp_path / "job"
    made.mkdir()
    return made


def other_thread(pool: RunnerPool, job: str, folder: Path) -> WarmRunner:
    """The runner that another thread gets; it rests at once."""
    found: list[WarmRunner] = []

    def get() -> None:
        found.append(pool.get(ONNX, job, folder))
        pool.rest()

    thread = threading.Thread(target=get)
    thread.start()
    thread.join()
    return found[0]


def test_a_runner_serves_one_thread_at_a_time_and_stays_warm_for_the_next(pool: RunnerPool, job: Path) -> None:
    """Held: another thread gets a runner of its own. At rest: whoever comes for the job gets the warm one."""
    mine = pool.get(ONNX, "j1", job)
    assert pool.get(ONNX, "j1", job) is mine
    assert other_thread(pool, "j1", job) is not mine
    pool.rest()
    assert other_thread(pool, "j1", job).process.alive
    assert pool.jobs() == ("j1",)


def test_another_job_gets_another_sandbox_and_the_oldest_goes(pool: RunnerPool, job: Path) -> None:
    """Two are kept: the third job ends the runner that was idle for longest, and its scratch folder."""
    runners = {}
    for name in ("j1", "j2", "j3"):
        runners[name] = pool.get(ONNX, name, job)
        pool.rest()
    assert not runners["j1"].alive and not runners["j1"].scratch.exists()
    assert runners["j2"].alive and runners["j3"].alive
    assert pool.jobs() == ("j3", "j2")


def test_a_dead_runner_is_replaced(pool: RunnerPool, job: Path) -> None:
    """Killed while idle, or while it worked: the next get starts a fresh one."""
    first = pool.get(ONNX, "j1", job)
    first.process.kill()
    while first.alive:
        time.sleep(0.01)
    with pytest.raises(RunnerCrashed):
        first.request("describe", {"model": "/job/none.onnx"})
    second = pool.get(ONNX, "j1", job)
    assert second is not first and second.alive


def test_links_in_the_scratch_folder_lead_nowhere(pool: RunnerPool, job: Path, tmp_path: Path) -> None:
    """A hostile runner leaves links where results and inputs are expected: nothing outside is read or written."""
    runner = pool.get(ONNX, "j1", job)
    secret = tmp_path / "secret"
    secret.write_bytes(b"four")
    (runner.scratch / "out.raw").symlink_to(secret)
    with pytest.raises(RunnerProtocolError):
        runner.take("out.raw", memoryview(bytearray(4)))
    assert runner.give("out.raw", b"mine") == "/scratch/out.raw"
    assert secret.read_bytes() == b"four"
    (runner.scratch / "folder").symlink_to(tmp_path)
    runner.clear()
    assert secret.exists() and list(runner.scratch.iterdir()) == []


def test_a_canary_is_measured_once_and_again_when_its_file_is_broken(pool: RunnerPool, tmp_path: Path) -> None:
    """The class is the same each time; the cached finding is read, a broken one is not believed."""
    folder, hardware = tmp_path / "canary", probe()
    first = measured_class(ONNX, pool, folder, hardware)
    assert first.numerics_class == f"onnxruntime-{first.version}/CPUExecutionProvider/{first.digest[:16]}"
    assert first.score > 0
    (kept,) = folder.glob("*.json")
    kept.write_text(json.dumps([one | {"digest": "f" * 64} for one in json.loads(kept.read_text())]))
    assert measured_class(ONNX, pool, folder, hardware).digest == "f" * 64
    kept.write_text("{}")
    assert measured_class(ONNX, pool, folder, hardware).digest == first.digest
    assert measured_class(ONNX, pool, folder, hardware, again=True).digest == first.digest


def test_the_class_does_not_depend_on_threads(pool: RunnerPool, tmp_path: Path) -> None:
    """One thread or two: other speed, same bits."""
    two = RunnerPool(tmp_path / "two", RunnerSettings(threads=2), pool.launcher)
    found = {measured_class(ONNX, p, tmp_path / "canary", probe()).numerics_class for p in (pool, two)}
    two.close()
    assert len(found) == 1
    assert len(list((tmp_path / "canary").glob("*.json"))) == 2
    shutil.rmtree(tmp_path / "canary")


@pytest.mark.blender
def test_a_runner_started_ahead_sees_the_files_of_the_job_that_gets_it(pool: RunnerPool, tmp_path: Path) -> None:
    """A Blender that waited for work opens the job's scene, also files that came later, and is no other job's after."""
    pool.prepare()
    spare = pool._spare
    assert spare is not None and spare.alive
    folder = tmp_path / "job"
    (folder / "below").mkdir(parents=True)
    shutil.copy(SCENE, folder / "below" / "scene.blend")
    runner = pool.get("blender", "ahead", folder)
    assert runner is spare and pool._spare is None
    described = runner.request("describe", {"blend": "/job/below/scene.blend"})
    assert described["contract"]["runtime"] == "blender"
    shutil.copy(SCENE, folder / "later.blend")
    assert pool.get("blender", "ahead", folder) is runner
    assert runner.request("describe", {"blend": "/job/later.blend"})["contract"]["runtime"] == "blender"
    pool.rest()
    other = pool.get("blender", "another", tmp_path)
    assert other is not runner
