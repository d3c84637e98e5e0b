"""Evidence about a cell: what belongs together holds, whatever is changed does not, and bad bundles are one line."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from eth_account import Account
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from coordinator.cli.dispute.again import judge_again
from coordinator.cli.dispute.bundle import read_bundle, unpack_files, write_bundle
from coordinator.cli.dispute.report import report
from jobs.contract import InferContract, Lane, RenderContract
from jobs.errors import BadInput
from jobs.evidence import Evidence
from jobs.manifest import Asset, Manifest
from jobs.states import Verdict
from jobs.tiles import InferTile, RenderTile
from jobs.typed_data import Domain, commitment_message, sign
from tests.unit.strategies import infer_contract, infer_tiles, render_contract, render_tiles
from verification.challenge import draw_cells, secret_hash
from verification.commitment import cell_bytes, commit, commit_cells
from verification.evidence import examine
from verification.merkle import Tree

DOMAIN = Domain(chain_id=31337, escrow="0x" + "11" * 20)
NODE, AUDITOR = Account.from_key(b"\1" * 32), Account.from_key(b"\2" * 32)
SECRET = b"s" * 32
CLASS = "blender-5.2.3/cpu/0123456789abcdef"
FILE = b"a blend file"
CASES = st.one_of(render_tiles(), infer_tiles())
Contract = RenderContract | InferContract
Tile = RenderTile | InferTile


def side(account: Any, lease: str, tree: Tree, place: int, data: bytes) -> dict[str, Any]:
    message = commitment_message(DOMAIN, lease=lease, token=1, root=tree.root, cells=len(tree))
    return {
        "address": account.address, "numerics_class": CLASS, "lease": lease, "token": 1,
        "root": f"0x{tree.root.hex()}", "signature": sign(message, bytes(account.key)), "leaves": len(tree),
        "place": place, "path": [f"0x{step.hex()}" for step in tree.path(place)], "data": data,
    }  # fmt: skip


def evidence(contract: Contract, tile: Tile, *, spoil: bool, probes: int = 8) -> Evidence:
    """A tile through commitment, challenge and audit; `spoil`: the node's bytes are off in every cell."""
    length = tile.result_bytes(contract)  # type: ignore[arg-type]
    true = np.random.default_rng(5).random(length // 4, np.float32)
    data = (true * np.float32(1.25) if spoil else true).tobytes()
    tree = commit("worker", contract, tile, data)
    cells = draw_cells(tree.root, "worker", SECRET, cells=tile.cell_count(), probes=probes)
    redone = {index: cell_bytes(contract, tile, true.tobytes(), index) for index in cells}
    cell = cells[len(cells) // 2]
    import hashlib

    return Evidence.model_validate(
        {
            "job": "job", "tile": 3, "attempt": 1, "spec": tile.model_dump(), "contract": contract.model_dump(),
            "manifest": Manifest(
                main="scene.blend",
                assets=(Asset(path="scene.blend", sha256=hashlib.sha256(FILE).hexdigest(), size=len(FILE)),),
            ).model_dump(),
            "chain_id": DOMAIN["chain_id"], "escrow": DOMAIN["escrow"], "lane": "exact",
            "verdict": "reject" if spoil else "accept", "reason": "as it was found", "details": {}, "cell": cell,
            "challenge": cells, "secret_hash": f"0x{secret_hash(SECRET).hex()}", "secret": f"0x{SECRET.hex()}",
            "worker": side(NODE, "worker", tree, cell, cell_bytes(contract, tile, data, cell)),
            "auditor": side(
                AUDITOR, "auditor", commit_cells("auditor", contract, redone), cells.index(cell), redone[cell]
            ),
        }
    )  # fmt: skip


def refused(changed: dict[str, Any]) -> list[str]:
    """Names of what does not hold."""
    return [one.name for one in examine(Evidence.model_validate(changed)) if not one.held]


@settings(deadline=None)
@given(CASES, st.booleans())
def test_true_evidence_holds_in_every_point(case: tuple[Contract, Tile], spoil: bool) -> None:
    """Of render tiles and of items, of a tile that was refused and of one that passed; also through JSON."""
    made = evidence(*case, spoil=spoil)
    assert refused(json.loads(made.model_dump_json())) == []


SMALL = (render_contract(64, 48), RenderTile(frames=(1,), rect=(0, 0, 64, 48), samples=(0, 64)))
OTHER = "0x" + "ab" * 32


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        (("worker", "data"), None, "the claimed bytes are a leaf of the node's root"),
        (("auditor", "data"), None, "the recomputed bytes are a leaf of the auditor's root"),
        (("worker", "root"), OTHER, "the node signed its root"),
        (("worker", "token"), 2, "the node signed its root"),
        (("worker", "address"), "0x" + "22" * 20, "the node signed its root"),
        (("worker", "signature"), "0x" + "00" * 65, "the node signed its root"),
        (("worker", "path"), [], "the claimed bytes are a leaf of the node's root"),
        (("auditor", "signature"), "0x" + "ff" * 65, "the auditor signed its root"),
        (("auditor", "place"), 0, "the auditor answered this challenge"),
        (("secret",), OTHER, "the secret is the one that was fixed before"),
        (("secret_hash",), OTHER, "the secret is the one that was fixed before"),
        (("challenge",), [0, 1, 2], "secret and root draw the challenged cells"),
        (("chain_id",), 1, "the node signed its root"),
        (("cell",), 47, "tile, cell and contract fit"),
        (("cell",), 10**9, "tile, cell and contract fit"),
        (("spec", "rect"), [0, 0, 10**6, 48], "tile, cell and contract fit"),
        (("spec", "rect"), [8, 8, 0, 0], "tile, cell and contract fit"),
        (("contract", "window"), [0, 0, 10**12, 10**12], "tile, cell and contract fit"),
        (("contract", "seed"), 1, "the claimed bytes are a leaf of the node's root"),
    ],
)
def test_whatever_is_changed_does_not_hold(path: tuple[str, ...], value: Any, named: str) -> None:
    """Bytes, roots, signatures, paths, secrets, cells, contract, chain: each change is found, by name."""
    made = json.loads(evidence(*SMALL, spoil=True).model_dump_json())
    place = made
    for name in path[:-1]:
        place = place[name]
    if value is None:
        data = bytearray(evidence(*SMALL, spoil=True).worker.data)
        data[5] ^= 1
        value = __import__("base64").b64encode(bytes(data)).decode()
    place[path[-1]] = value
    assert named in refused(made)


def test_an_accepted_tile_whose_sides_differ_does_not_hold() -> None:
    made = json.loads(evidence(*SMALL, spoil=True).model_dump_json())
    made["verdict"] = "accept"
    assert refused(made) == ["claimed and recomputed are as the verdict says"]


def test_a_third_computation_tells_who_is_right() -> None:
    """The verdict stands where this machine got what the auditor got, and falls where it got what the node claimed."""
    false, true = evidence(*SMALL, spoil=True), evidence(*SMALL, spoil=False)
    assert false.auditor is not None
    right = judge_again(false, false.auditor.data, CLASS)
    assert (right.claim, right.audit, right.contradicts) == ("reject", "accept", False)
    wrong = judge_again(false, false.worker.data, CLASS)
    assert (wrong.claim, wrong.audit, wrong.contradicts) == ("accept", "reject", True)
    assert judge_again(true, true.worker.data, CLASS).contradicts is False
    assert judge_again(true, false.worker.data, CLASS).contradicts is True
    elsewhere = judge_again(false, false.auditor.data, "blender-5.2.3/cpu/never-calibrated")
    assert elsewhere.contradicts is False and "neither confirmed nor refused" in elsewhere.says


def test_one_cell_of_a_guided_frame_confirms_and_never_refuses() -> None:
    """A path that turned otherwise may lie in it: what differs says nothing against anybody, in whatever class."""
    contract, tile = SMALL
    assert isinstance(contract, RenderContract)
    guided = contract.model_copy(update={"lane": Lane.WHOLE, "path_guiding": True})
    false = evidence(guided, tile, spoil=True)
    assert false.auditor is not None
    for mine in (false.auditor.data, false.worker.data):
        for numerics_class in (CLASS, "blender-5.2.3/cpu/never-calibrated"):
            again = judge_again(false, mine, numerics_class)
            assert {again.claim, again.audit} == {"accept", "escalate"} and "path guiding" in again.says
    right = judge_again(false, false.auditor.data, CLASS)
    assert (right.claim, right.contradicts) == ("escalate", False) and "neither confirmed nor refused" in right.says


@pytest.mark.parametrize("case", [SMALL, (infer_contract(), InferTile(first=0, count=20))])
def test_a_bundle_is_for_people_and_programs(tmp_path: Path, case: tuple[Contract, Tile]) -> None:
    """One file: the evidence as it was, a picture of three panels, the story in words, the job's files checked."""
    made = evidence(*case, spoil=True)
    files = tmp_path / "job"
    files.mkdir()
    (files / "scene.blend").write_bytes(FILE)
    bundle = tmp_path / "bundle.zip"
    write_bundle(bundle, made, files)
    assert read_bundle(bundle) == made
    with zipfile.ZipFile(bundle) as held:
        picture = Image.open(io.BytesIO(held.read("picture.png")))
        assert picture.size == (16 + 3 * 336, 28 + 320 + 16)
        assert len(set(picture.convert("L").tobytes())) > 8
        assert held.read("claimed.raw") == made.worker.data
        held.extractall(tmp_path / "folder")
    assert read_bundle(tmp_path / "folder") == made
    said = report(made)
    assert "tile 3, attempt 1: reject" in said and "Lane: exact" in said and "FAILED" not in said
    out = tmp_path / "out"
    out.mkdir()
    unpack_files(bundle, made, out, None)
    assert (out / "scene.blend").read_bytes() == FILE
    (files / "scene.blend").write_bytes(b"another")
    with pytest.raises(BadInput, match="another file than the job's"):
        unpack_files(bundle, made, out, files)
    with pytest.raises(BadInput, match="--with-files"):
        unpack_files(bundle, made, out, tmp_path / "nowhere")


def test_pictures_of_nothing_finite_and_of_one_pixel_are_made(tmp_path: Path) -> None:
    """NaN and infinity in a claim, a cell of one pixel, no auditor: a picture all the same."""
    contract, tile = render_contract(1, 1), RenderTile(frames=(1,), rect=(0, 0, 1, 1), samples=(0, 64))
    made = evidence(contract, tile, spoil=False)
    poison = np.array([np.nan, np.inf, -np.inf, 3e38], "<f4").tobytes()
    odd = made.model_copy(update={"worker": made.worker.model_copy(update={"data": poison})})
    for number, one in enumerate((odd, made.model_copy(update={"auditor": None}))):
        write_bundle(tmp_path / f"{number}.zip", one)
        assert (tmp_path / f"{number}.zip").stat().st_size > 500


def _zip(name: str, data: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as held:
        held.writestr(name, data)
    return out.getvalue()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "cannot be read as a bundle"),
        (b"PK\x03\x04 nonsense", "cannot be read as a bundle"),
        (_zip("other.json", b"{}"), "holds no evidence.json"),
        (_zip("evidence.json", b"{"), "JSON"),
        (_zip("evidence.json", b"[" * 100_000), ""),
        (_zip("evidence.json", b"{}"), "Field required"),
        (_zip("evidence.json", bytes((256 << 20) + 1)), "larger than 256 MiB"),
    ],
)
def test_what_is_no_bundle_is_one_line(tmp_path: Path, content: bytes, said: str) -> None:
    """Nothing, garbage, another zip, half a JSON, too deep, empty, a bomb."""
    bundle = tmp_path / "bundle.zip"
    bundle.write_bytes(content)
    with pytest.raises(BadInput) as refused:
        read_bundle(bundle)
    assert said.lower() in str(refused.value).lower() and "\n" not in str(refused.value)
    with pytest.raises(BadInput, match="no such bundle"):
        read_bundle(tmp_path / "absent.zip")


def test_a_verdict_is_one_of_the_known(tmp_path: Path) -> None:
    """Fields that are out of range are named."""
    made = json.loads(evidence(*SMALL, spoil=False).model_dump_json())
    for field, value in (("verdict", "maybe"), ("tile", -1), ("lane", "none"), ("version", 2)):
        (tmp_path / "evidence.json").write_text(json.dumps(made | {field: value}))
        with pytest.raises(BadInput, match=field):
            read_bundle(tmp_path)
    assert Verdict(made["verdict"]) is Verdict.ACCEPT
