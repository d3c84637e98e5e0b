"""A refused tile, disputed: by the artist, by a third party who trusts nobody, and by the node itself."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from coordinator.config import Settings
from coordinator.stack import LocalStack
from coordinator.stack.demo.people import wait_for_nodes
from coordinator.stack.faucet import NODE_KILN, fill_up
from coordinator.stack.layout import Layout
from coordinator.stack.plan import ensure_key, worker_options
from node.keys import NodeKey
from tests.e2e.conftest import SAMPLES, Kilnet

pytestmark = [pytest.mark.stack, pytest.mark.blender, pytest.mark.slow, pytest.mark.timeout(900)]

NAME = "node-cheat"


@pytest.fixture(scope="module")
def cheat(stack: LocalStack) -> Iterator[Path]:
    """A node beside the three honest ones that leaves out one sample of 64; its key file."""
    layout = Layout(stack.data)
    layout.node(NAME).mkdir(mode=0o700, parents=True, exist_ok=True)
    ensure_key(layout.node(NAME) / "key")
    address = NodeKey.load_or_create(layout.node(NAME) / "key").address
    fill_up(Settings.load(layout.settings), [address], NODE_KILN)
    options = worker_options(layout, NAME, stack.gateway_url, threads=1, unsandboxed=False)
    program = [sys.executable, "-m", "samples.cheats", "--cheat", "samples", *map(str, options), "--ask", "0.01"]
    program.append("--stake-as-needed")
    with (layout.logs / f"{NAME}.log").open("ab") as log:
        process = subprocess.Popen(program, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        wait_for_nodes(layout, (NAME,), alive=lambda: process.poll() is None)
        yield layout.node(NAME) / "key"
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture(scope="module")
def refused(kilnet: Kilnet, cheat: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A finished job one of whose tiles was refused: `job`, and the first of its `rejections`."""
    assert cheat.exists()
    for number in range(4):
        out = tmp_path_factory.mktemp("render") / "out"
        answer = kilnet.json(
            "render", SAMPLES / "compositor.blend", "--resolution", "192x108", "--samples", "64", "--frames", "1-4",
            "--tiles", "2", "--name", f"dispute {number}", "--out", out, timeout=600,
        )  # fmt: skip
        if answer["rejections"]:
            return {"job": answer["job"], **answer["rejections"][0]}
    raise AssertionError("in four jobs of eight tiles the cheating node never got a tile")


def test_a_third_party_computes_the_refused_cell_and_agrees(
    kilnet: Kilnet, refused: dict[str, Any], tmp_path: Path
) -> None:
    """From the bundle alone, without gateway or key: everything that was signed holds, and this machine gets what the
    auditor got. A bundle in which one bit of the claim was changed does not hold."""
    bundle = tmp_path / "dispute.zip"
    made = kilnet.json("dispute", refused["job"], str(refused["tile"]), "--out", bundle, "--with-files")
    assert (made["verdict"], made["tile"], made["node"]) == ("reject", refused["tile"], refused["node"])
    with zipfile.ZipFile(bundle) as held:
        assert Image.open(io.BytesIO(held.read("picture.png"))).width > 900
        assert b"Lane: exact" in held.read("report.txt")
    checked = kilnet.json("dispute", "verify", bundle, "--recompute", timeout=600)
    assert checked["ok"] and all(one["held"] for one in checked["findings"]) and len(checked["findings"]) >= 9
    assert (checked["recomputed"]["claim"], checked["recomputed"]["audit"]) == ("reject", "accept")
    assert checked["recomputed"]["same_class"]
    folder = tmp_path / "changed"
    with zipfile.ZipFile(bundle) as held:
        held.extractall(folder)
    evidence = json.loads((folder / "evidence.json").read_text())
    evidence["worker"]["data"] = evidence["auditor"]["data"]
    (folder / "evidence.json").write_text(json.dumps(evidence))
    done = kilnet.run("dispute", "verify", folder)
    assert done.returncode != 0 and "the claimed bytes are a leaf of the node's root does not hold" in done.stderr


def test_the_node_gets_the_evidence_against_it(
    kilnet: Kilnet, refused: dict[str, Any], cheat: Path, tmp_path: Path
) -> None:
    """With its own key, by its own lease; another key is told that there is no such lease."""
    with_key = ("--gateway", kilnet.stack.gateway_url, "--key")
    evidence = kilnet.json("dispute", refused["job"], str(refused["tile"]), "--out", tmp_path / "owner.zip")
    lease = json.loads(zipfile.ZipFile(tmp_path / "owner.zip").read("evidence.json"))["worker"]["lease"]
    own = kilnet.json("dispute", "lease", lease, "--out", tmp_path / "own.zip", *with_key, cheat)
    assert own["cell"] == evidence["cell"] and own["reason"] == evidence["reason"]
    node = [
        sys.executable,
        "-m",
        "node",
        "refusals",
        "--gateway",
        kilnet.stack.gateway_url,
        "--data",
        str(cheat.parent),
    ]
    said = subprocess.run(node, capture_output=True, text=True, check=True).stdout
    assert f"kilnet dispute lease {lease}" in said and evidence["reason"] in said
    other = Layout(kilnet.stack.data).node("node-1") / "key"
    done = kilnet.run("dispute", "lease", lease, "--out", tmp_path / "other.zip", *with_key, other)
    assert done.returncode != 0 and f"no lease '{lease}'" in done.stderr and not (tmp_path / "other.zip").exists()


def test_an_accepted_tile_can_be_disputed_too(kilnet: Kilnet, refused: dict[str, Any], tmp_path: Path) -> None:
    """Settled by now, so its secret is in the bundle; both sides are equal to the bit."""
    tiles = json.loads(kilnet.run("job", refused["job"], "--json").stdout)["tiles"]
    count = tiles if isinstance(tiles, int) else len(tiles)
    tile = next(number for number in range(count) if number != refused["tile"])
    bundle = tmp_path / "dispute.zip"
    made = kilnet.json("dispute", refused["job"], str(tile), "--out", bundle)
    assert made["verdict"] == "accept"
    names = {one["name"] for one in kilnet.json("dispute", "verify", bundle)["findings"] if one["held"]}
    assert {"secret and root draw the challenged cells", "claimed and recomputed are as the verdict says"} <= names
