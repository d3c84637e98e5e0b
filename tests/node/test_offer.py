"""What a node offers: checked before anything is measured, and told to the gateway as it is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from jobs.errors import BadInput
from jobs.typed_data import Domain, node_owner_message, recover
from jobs.wire import RuntimeClass
from node.agent import AgentSettings, RunnerSettings, check_offer
from node.agent.registration import registration, vram
from node.hardware import Gpu, probe
from node.keys import NodeKey

OWNER = "0x" + "ab" * 20
SIGNATURE = "0x" + "11" * 65
GIB = 1 << 30


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"ask": 0.0}, "--ask 0: write a positive price"),
        ({"ask": float("nan")}, "--ask nan"),
        ({"ask": 1e9}, r"--ask 1e\+09"),
        ({"region": "e u"}, "--region: 'e u' is no region"),
        ({"owner": "me"}, "--owner 'me': is no address"),
        ({"owner_signature": SIGNATURE}, "name the owner too"),
        ({"owner": OWNER, "owner_signature": "0x12"}, "--owner-signature: is no signature"),
        ({"owner": OWNER, "owner_signature": "no-such-file"}, "no-such-file: cannot be read"),
    ],
)
def test_an_offer_that_cannot_be(change: dict, told: str) -> None:  # type: ignore[type-arg]
    with pytest.raises(BadInput, match=told):
        check_offer(**{"ask": 0.1, "region": "", "owner": None, "owner_signature": None, **change})


def test_a_signature_may_lie_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "word").write_text(SIGNATURE + "\n")
    found = check_offer(ask=0.1, region=" EU-de ", owner=OWNER, owner_signature=str(tmp_path / "word"))
    assert found == ("eu-de", SIGNATURE)


def test_an_owners_word_names_him(tmp_path: Path) -> None:
    """The signature that `kilnet node own` makes recovers to the owner, for this node and deployment alone."""
    owner, node = NodeKey.load_or_create(tmp_path / "owner"), NodeKey.load_or_create(tmp_path / "node")
    domain = Domain(chain_id=31337, escrow=OWNER)
    signature = owner.sign_owned(domain, node=node.address)
    for message, same in (
        (node_owner_message(domain, node=node.address, owner=owner.address), True),
        (node_owner_message(domain, node=owner.address, owner=owner.address), False),
        (node_owner_message(Domain(chain_id=1, escrow=OWNER), node=node.address, owner=owner.address), False),
    ):
        assert (recover(message, signature) == owner.address) is same


def test_memory_is_the_runners_and_vram_the_devices() -> None:
    """A node offers what a runner may use, and of its GPUs the one that it works on."""
    gpus = (
        Gpu("NVIDIA", 0, "a", 8 * GIB, "1"), Gpu("NVIDIA", 1, "b", 24 * GIB, "1"), Gpu("AMD", 128, "c", 16 * GIB, "1"),
    )  # fmt: skip
    hardware = replace(probe(), gpus=gpus, memory_bytes=64 * GIB)
    assert vram(hardware, "CUDA:1", "CUDAExecutionProvider") == vram(hardware, "OPTIX:1", "OPTIX") == 24 * GIB
    assert vram(hardware, "HIP:0", "HIP") == 16 * GIB and vram(hardware, "HIP:1", "HIP") == 0
    assert vram(hardware, "CPU", "CPU") == 0 == vram(hardware, "OPTIX:0", "CPUExecutionProvider")
    settings = AgentSettings(
        data=Path(), gateway="", region="eu", runner=RunnerSettings(device="CUDA:1", memory_bytes=16 * GIB)
    )
    device = RuntimeClass(runtime="onnxruntime", version="1", device="CUDA", numerics_class="x", score=1.0)
    about = registration(settings, hardware, (device,), sandboxed=True)
    assert (about.memory_bytes, about.runtimes[0].vram_bytes, about.region) == (16 * GIB, 24 * GIB, "eu")
