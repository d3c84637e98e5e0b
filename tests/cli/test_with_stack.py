"""The program against a whole local stack: quote, render, follow, interrupt, audit, and a forgery that is found."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from coordinator.stack import LocalStack, temporary_stack
from tests.support.models import matte
from tests.unit.test_inputs import items, model

pytestmark = [pytest.mark.stack, pytest.mark.blender, pytest.mark.slow, pytest.mark.timeout(600)]

_SCENE = """
import bpy, sys
bpy.ops.wm.read_homefile(use_empty=True)
bpy.ops.mesh.primitive_monkey_add()
scene = bpy.context.scene
def add(name, data):
    made = bpy.data.objects.new(name, data); scene.collection.objects.link(made); return made
add("Light", bpy.data.lights.new("Light", "SUN"))
camera = add("Camera", bpy.data.cameras.new("Camera"))
camera.location, camera.rotation_euler, scene.camera = (0, -5, 0), (1.57, 0, 0), camera
scene.render.engine, scene.cycles.samples = "CYCLES", 8
scene.cycles.use_denoising = scene.cycles.use_adaptive_sampling = False
scene.render.resolution_x, scene.render.resolution_y, scene.frame_end = 96, 64, 2
bpy.ops.wm.save_as_mainfile(filepath=sys.argv[1] + "/monkey.blend")
scene.camera = None
bpy.data.objects.remove(camera)
bpy.ops.wm.save_as_mainfile(filepath=sys.argv[1] + "/nobody.blend")
"""


class Shell:
    """The real program in one folder, at one stack."""

    def __init__(self, folder: Path, stack: LocalStack) -> None:
        self.folder, self.stack = folder, stack
        self.environment = {**os.environ, "KILNET_DATA": str(stack.data), "COLUMNS": "200"}
        for name in ("KILNET_GATEWAY", "KILNET_KEY"):
            self.environment.pop(name, None)

    def start(self, *arguments: object) -> subprocess.Popen[str]:
        """The program, for which Ctrl-C means something: a shell that puts the tests in the background ignores it for
        all that it starts, and that would be inherited."""
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            return subprocess.Popen(
                [sys.executable, "-m", "coordinator.cli.main", *map(str, arguments)], cwd=self.folder, text=True,
                env=self.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            )  # fmt: skip
        finally:
            signal.signal(signal.SIGINT, before)

    def run(self, *arguments: object, code: int = 0) -> tuple[str, str]:
        process = self.start(*arguments)
        out, err = process.communicate(timeout=300)
        assert process.returncode == code, (arguments, process.returncode, out, err)
        return out, err

    def json(self, *arguments: object, code: int = 0) -> dict[str, Any]:
        out, _ = self.run(*arguments, "--json", code=code)
        answer: dict[str, Any] = json.loads(out)
        return answer


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """A stack with one node, and two small scenes: one to be rendered, one without a camera."""
    folder = tmp_path_factory.mktemp("cli")
    subprocess.run([sys.executable, "-W", "ignore", "-c", _SCENE, str(folder)], check=True, capture_output=True)
    with temporary_stack(nodes=1, data=folder / "data", unsandboxed=shutil.which("bwrap") is None) as stack:
        yield Shell(folder, stack)


def test_render_json_and_audit(shell: Shell) -> None:
    """One JSON object with every field, files that are what their hashes say, money that adds up, and an audit."""
    report = shell.json("render", "monkey.blend", "--frames", "1-2", "--name", "two", "--out", "frames")
    assert report["state"] == "done" and report["kind"] == "render" and report["name"] == "two"
    assert {1, 2} <= {int(path.stem.split("_")[1]) for path in (shell.folder / "frames").glob("*.png")}
    for output in report["outputs"]:
        assert hashlib.sha256((shell.folder / output["path"]).read_bytes()).hexdigest() == output["sha256"]
    assert report["tiles"] == report["tiles_passed"] > 0 and report["cells"] >= report["cells_audited"] > 0
    assert report["rejections"] == [] and report["compute_seconds"] > 0 and report["audit_seconds"] > 0
    burned, fee = int(report["burned"]), int(report["fee"])
    assert burned > 0 and fee == (burned + fee) // 20 and float(report["price_usd"]) > 0
    assert 0 < sum(map(int, report["rewards"].values())) <= burned * 95 // 100
    assert report["settlement_tx"].startswith("0x") and report["receipt_root"].startswith("0x")
    audit = shell.json("audit", report["job"], "--cells", 2)
    assert audit["ok"] and audit["failed"] == [] and audit["redone_tiles"] == [0] and audit["notes"] == []
    shown = shell.json("job", report["job"])
    assert shown["burned"] == report["burned"] and shown["state"] == "done"
    ledger = shell.json("ledger")
    assert int(ledger["supply"]) == int(ledger["minted"]) - int(ledger["burned"])
    assert sum(int(epoch["burned_by_jobs"]) for epoch in ledger["epochs"]) >= burned
    shown, _ = shell.run("ledger")
    assert "in all, KILN" in shown and "in all, USD" in shown
    told, _ = shell.run("ledger", "--csv")
    assert told.splitlines()[0].startswith("number,jobs,burned_by_jobs") and "10^-18" not in told


def test_audit_finds_forged_bytes(shell: Shell) -> None:
    """Where the delivered bytes of a tile are not those its node committed to, the audit says so and exits with 4."""
    report = shell.json("render", "monkey.blend", "--frames", "1", "--out", "forged")
    import zstandard

    from jobs.client import Client

    stack = shell.stack
    with Client(stack.gateway_url, str(stack.key_file)) as client:
        receipt = client.receipts(report["job"])[0]
    blob = next(path for path in (stack.data / "blobs").rglob(receipt.result) if path.is_file())
    raw = bytearray(zstandard.ZstdDecompressor().decompress(blob.read_bytes(), max_output_size=1 << 28))
    raw[100] ^= 1
    blob.chmod(0o600)
    blob.write_bytes(zstandard.compress(bytes(raw)))
    audit = shell.json("audit", report["job"], code=4)
    # The forger can change a blob on disk, but not what its hash is and what the node signed.
    assert audit["ok"] is False and {one["name"] for one in audit["failed"]} == {"result matches the commitment"}


def test_infer_and_watch(shell: Shell) -> None:
    """A batch comes back in order, and `watch` of a finished job brings its files again."""
    import numpy as np

    np.save(shell.folder / "x.npy", items(5))
    report = shell.json("infer", model(shell.folder / "m.onnx"), "x.npy", "--out", "predictions")
    assert report["state"] == "done"
    (path,) = (shell.folder / one["path"] for one in report["outputs"])
    expected = items(5).reshape(5, -1).sum(axis=1, dtype=np.float64)
    np.testing.assert_allclose(np.load(path)["y"][:, 0], expected, rtol=1e-4, atol=1e-4)
    again = shell.json("watch", report["job"], "--out", "again")
    assert [one["sha256"] for one in again["outputs"]] == [one["sha256"] for one in report["outputs"]]
    assert (shell.folder / "again" / "predictions.npz").read_bytes() == path.read_bytes()


_PIPELINE = """
version: 1
cap_usd: {cap}
steps:
  beauty: {{render: monkey.blend, frames: 1-2, resolution: 64x64}}
  matte: {{infer: matte.onnx, inputs: {{from: beauty}}, resize: true, format: images}}
  label: {{infer: m.onnx, inputs: {{from: matte}}, format: parquet}}
"""


def test_a_pipeline_feeds_pictures_to_a_model_and_is_not_paid_twice(shell: Shell) -> None:
    """Frames are rendered, matted and labelled, in order and by name; run again, all are the jobs that they were; over
    the cap nothing is ordered."""
    import numpy as np
    from PIL import Image

    from jobs.inputs.files import read_table

    model(shell.folder / "m.onnx")
    matte(shell.folder / "matte.onnx")
    (shell.folder / "p.yaml").write_text(_PIPELINE.format(cap=5))
    # A frame of an earlier run is no item of this one.
    (shell.folder / "pipe" / "beauty").mkdir(parents=True)
    Image.new("RGB", (64, 64)).save(shell.folder / "pipe" / "beauty" / "frame_0009.png")
    steps = shell.json("pipeline", "run", "p.yaml", "--out", "pipe")["steps"]
    assert [one["state"] for one in steps.values()] == ["done", "done", "done"]
    labels = read_table(shell.folder / "pipe" / "label" / "predictions.parquet")
    names = json.loads((shell.folder / "pipe" / "label" / "items.json").read_text())["names"]
    assert names == list(labels.names or ()) == ["frame_0001.png", "frame_0002.png"]
    # The labels are those of the mattes, in their order: the model sums a picture's values.
    for name, label in zip(names, labels.arrays["y"], strict=True):
        picture = np.asarray(Image.open(shell.folder / "pipe" / "matte" / "alpha" / name), np.float32) / 255
        np.testing.assert_allclose(label, np.full(5, picture.sum()), rtol=1e-4)
    again = shell.json("pipeline", "run", "p.yaml", "--out", "pipe")["steps"]
    assert [one["job"] for one in again.values()] == [one["job"] for one in steps.values()]
    (shell.folder / "p.yaml").write_text(_PIPELINE.format(cap=0.0000001).replace("1-2", "1"))
    _, err = shell.run("pipeline", "run", "p.yaml", "--yes", code=2)
    assert "above cap_usd" in err.splitlines()[-1]


def test_what_admission_finds(shell: Shell) -> None:
    """No camera and a cap below the quote: exit code 2, one line, no folder, and no job that waits for an answer."""
    for arguments, told in (
        (("nobody.blend",), "camera"),
        (("monkey.blend", "--max-price", "0.0000001"), "--max-price"),
        (("monkey.blend", "--camera", "Nowhere"), "Nowhere"),
    ):
        out, err = shell.run("render", *arguments, "--out", "never", code=2)
        assert out == "" and len(err.splitlines()) == 1 and told in err, err
    assert not (shell.folder / "never").exists()
    quote = shell.json("quote", "monkey.blend", "--frames", "1")["quote"]
    assert float(quote["price_usd"]) > 0 and quote["lane"] == "exact" and "bit" in quote["proven"]
    states = {job["state"] for job in shell.json("jobs")["jobs"]}
    assert not states & {"quoted", "admitting"}


_LONG = """
version: 1
steps:
  long: {render: monkey.blend, frames: 1, samples: 20000, resolution: 640x360}
"""


def test_ctrl_c_leaves_a_pipelines_jobs_and_says_how_to_follow_them(shell: Shell) -> None:
    """130, one last line with the command that goes on with it, which finds the same job; once that was cancelled, the
    same work is a new job."""
    (shell.folder / "long.yaml").write_text(_LONG)
    jobs = []
    for _ in range(2):
        process = shell.start("pipeline", "run", "long.yaml")
        assert process.stderr is not None
        while not (line := process.stderr.readline()).startswith("long: running"):
            assert line, "it ended before its job ran"
        job = _running(shell)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 130 and out == "" and "Traceback" not in err, (out, err)
        assert "`kilnet pipeline run long.yaml` follows it again" in err.splitlines()[-1]
        jobs.append(job)
    assert jobs[0] == jobs[1]
    shell.run("cancel", job)
    process = shell.start("pipeline", "run", "long.yaml")
    again = _running(shell)
    assert again != job
    shell.run("cancel", again)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 5 and f"step long: job {again} was cancelled" in err.splitlines()[-1]


def _running(shell: Shell) -> str:
    for _ in range(600):
        running = [one["id"] for one in shell.json("jobs")["jobs"] if one["state"] == "running"]
        if running:
            return str(running[0])
        time.sleep(0.2)
    raise AssertionError("nothing runs")


def test_ctrl_c_says_how_to_come_back(shell: Shell) -> None:
    """Ctrl-C during the work ends the program with 130 and the way back; the job goes on, can be paused, resumed and
    cancelled, and a cancelled job is an exit code of its own."""
    process = shell.start(
        "render", "monkey.blend", "--frames", "1", "--samples", "20000", "--resolution", "640x360", "--out", "long"
    )
    job = _running(shell)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130 and out == "", (out, err)
    assert f"kilnet watch {job}" in err.splitlines()[-1] and "Traceback" not in err
    assert shell.json("pause", job)["state"] == "paused"
    assert shell.json("resume", job)["state"] == "running"
    shell.run("cancel", job)
    assert shell.json("watch", job, code=5) is not None
    ended = shell.json("job", job)
    assert ended["state"] == "cancelled" and not (shell.folder / "long").exists()
