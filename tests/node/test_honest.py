"""Each cheat of samples/cheats as a node of a real stack, beside an honest one: caught, and the result is right."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import OpenEXR
import pytest

from coordinator.config import Settings
from coordinator.stack import Layout, LocalStack, temporary_stack
from coordinator.stack.faucet import NODE_KILN, fill_up
from jobs.planner import PlanPolicy
from node.keys import NodeKey

pytestmark = [pytest.mark.stack, pytest.mark.slow, pytest.mark.blender, pytest.mark.chain, pytest.mark.timeout(400)]

ROOT = Path(__file__).resolve().parents[2]
SCENE = ROOT / "samples" / "scenes" / "animation.blend"
SETTINGS = ("--frames", "2", "--resolution", "128x72", "--samples", "64", "--tiles", "4")
SMALL = PlanPolicy(nodes=2, min_tile_seconds=0.05, audit_share=0.5, infer_audit_share=0.5)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    with temporary_stack(nodes=2, data=tmp_path_factory.mktemp("stack"), plan=SMALL) as running:
        yield running


def kilnet(stack: LocalStack, *arguments: str) -> dict[str, Any]:
    """What a command prints with --json; it must succeed."""
    done = subprocess.run(
        [sys.executable, "-m", "coordinator.cli", *arguments, "--json"],
        env=os.environ | {"KILNET_GATEWAY": stack.gateway_url, "KILNET_KEY": str(stack.key_file)},
        capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


@contextmanager
def cheater(stack: LocalStack, folder: Path, cheat: str) -> Iterator[str]:
    """A cheating node at the stack's gateway; its address."""
    folder.mkdir()
    log = folder / "log"
    command = [sys.executable, "-m", "samples.cheats", "--cheat", cheat, "--data", str(folder / "node")]
    command += ["--gateway", stack.gateway_url, "--threads", "1", "--canary-cache", str(Layout.at(stack.data).canary)]
    # Who asks least is served first: the cheat gets tiles. The price is the second's ask: the honest still fit.
    command += ["--stake-as-needed", "--ask", "0.01"]
    (folder / "node").mkdir(mode=0o700)
    address = NodeKey.load_or_create(folder / "node" / "key").address
    fill_up(Settings.load(Layout(stack.data).settings), [address], NODE_KILN)
    with log.open("w") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, cwd=ROOT)
    try:
        until = time.monotonic() + 120
        while "registered at" not in log.read_text():
            assert process.poll() is None and time.monotonic() < until, log.read_text()
            time.sleep(0.1)
        yield address
    finally:
        process.terminate()
        process.wait(30)


def planes(answer: dict[str, Any]) -> dict[str, np.ndarray]:
    """Channels of the delivered linear EXR."""
    (path,) = [output["path"] for output in answer["outputs"] if output["kind"] == "exr"]
    with OpenEXR.File(str(path), separate_channels=True) as file:
        return {name: channel.pixels.copy() for name, channel in file.channels().items()}


@pytest.fixture(scope="module")
def truth(stack: LocalStack, tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    """The picture when everybody is honest; nobody is refused."""
    answer = kilnet(stack, "render", str(SCENE), *SETTINGS, "--out", str(tmp_path_factory.mktemp("honest")))
    assert answer["rejections"] == []
    return planes(answer)


@pytest.mark.parametrize("cheat", ["samples", "frame", "black", "half-blocks"])
def test_a_cheated_render_is_refused_and_done_again(
    stack: LocalStack, truth: dict[str, np.ndarray], tmp_path: Path, cheat: str
) -> None:
    """Given a cheat and an honest node; then every refusal is the cheat's and there is at least one, all tiles pass in
    the end, the cheat earns nothing, and the delivered picture is the honest one to the bit."""
    with cheater(stack, tmp_path / cheat, cheat) as address:
        answer = kilnet(stack, "render", str(SCENE), *SETTINGS, "--out", str(tmp_path / "out"))
    assert {rejection["node"] for rejection in answer["rejections"]} == {address}
    assert answer["tiles_passed"] == answer["tiles"]
    assert address not in answer["rewards"]
    found = planes(answer)
    assert found.keys() == truth.keys()
    for name, plane in truth.items():
        np.testing.assert_array_equal(found[name], plane, err_msg=name)


def test_an_int8_copy_of_the_model_is_refused(stack: LocalStack, tmp_path: Path) -> None:
    """Given a node that runs 8-bit weights; then it is refused, and the predictions are those of the model itself."""
    import onnxruntime

    model = onnx.load(str(ROOT / "node" / "canary" / "canary.onnx"))
    del model.graph.output[1:]
    onnx.save(model, str(tmp_path / "model.onnx"))
    items = np.random.default_rng(1).integers(0, 255, (1500, 3, 64, 64), np.uint8)
    np.savez(tmp_path / "inputs.npz", image=items)
    with cheater(stack, tmp_path / "int8", "int8") as address:
        answer = kilnet(
            stack, "infer", str(tmp_path / "model.onnx"), str(tmp_path / "inputs.npz"), "--out", str(tmp_path / "out")
        )
    assert {rejection["node"] for rejection in answer["rejections"]} == {address}
    assert address not in answer["rewards"]
    with np.load(answer["outputs"][0]["path"]) as found:
        predictions = found["classes"]
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"), providers=["CPUExecutionProvider"])
    expected = np.concatenate([session.run(["classes"], {"image": items[i : i + 4]})[0] for i in range(0, 1500, 4)])
    np.testing.assert_array_equal(predictions, expected)
