"""Merkle trees, commitments, challenges, comparisons and the gate: what the proof stands on."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import contracts
from jobs.contract import InferContract, Lane, RenderContract
from jobs.states import Verdict
from jobs.tiles import InferTile, RenderTile
from jobs.typed_data import Domain, order_message, receipt_message, recover, sign, signing_digest
from tests.unit.strategies import infer_contract, infer_tiles, render_contract, render_tiles
from verification import challenge, commitment, compare, gate, merkle, receipts
from verification.limits import Limits

PAIR = {"worker_class": "a", "auditor_class": "b"}
RENDER_LIMITS = Limits(**PAIR, kind="render", accept=0.02, reject=0.1)
INFER_LIMITS = Limits(**PAIR, kind="infer", accept=1e-5, reject=1e-4, accept_output=1e-5, reject_output=1e-4)

CASES = st.one_of(render_tiles(), infer_tiles())
Case = tuple[RenderContract, RenderTile] | tuple[InferContract, InferTile]


def result_for(contract: RenderContract | InferContract, tile: RenderTile | InferTile, seed: int = 0) -> bytes:
    """Finite float32 noise of the length that the tile's result has."""
    length = tile.result_bytes(contract)  # type: ignore[arg-type]
    return np.random.default_rng(seed).random(length // 4 + 1, np.float32).tobytes()[:length]


@given(st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=70), st.data())
def test_every_leaf_has_a_path_and_no_other_leaf_fits_it(leaves: list[bytes], data: st.DataObject) -> None:
    """A path proves its own leaf at its own place, and nothing else."""
    tree = merkle.Tree(leaves)
    index = data.draw(st.integers(0, len(leaves) - 1))
    path = tree.path(index)
    assert merkle.verify_path(leaves[index], index, len(leaves), path, tree.root)
    assert not merkle.verify_path(b"x" * 32, index, len(leaves), path, tree.root)
    assert not merkle.verify_path(leaves[index], index, len(leaves), [*path, b"x" * 32], tree.root)
    if path:
        assert not merkle.verify_path(leaves[index], index, len(leaves), path[:-1], tree.root)
    assert not merkle.verify_path(leaves[index], len(leaves), len(leaves), path, tree.root)


@given(CASES)
def test_cells_cover_the_result_exactly_once(case: Case) -> None:
    """The cells of a tile, put back at their places, are the tile: no pixel or item escapes the commitment."""
    contract, tile = case
    data = result_for(contract, tile)
    cells = [commitment.cell_bytes(contract, tile, data, i) for i in range(tile.cell_count())]
    assert sum(map(len, cells)) == len(data)
    assert commitment.cells_length(contract, tile, range(len(cells))) == len(data)
    assert commitment.commit("lease", contract, tile, data).root == (
        commitment.commit_cells("lease", contract, dict(enumerate(cells))).root
    )
    joined = b"".join(cells)
    assert commitment.split_cells(contract, tile, range(len(cells)), joined) == dict(enumerate(cells))


@given(CASES, st.data())
def test_a_commitment_binds_every_byte_its_lease_and_its_contract(case: Case, data: st.DataObject) -> None:
    """One flipped bit, another lease or another contract gives another root."""
    contract, tile = case
    result = bytearray(result_for(contract, tile))
    root = commitment.commit("lease", contract, tile, bytes(result)).root
    assert commitment.commit("other", contract, tile, bytes(result)).root != root
    result[data.draw(st.integers(0, len(result) - 1))] ^= 1
    assert commitment.commit("lease", contract, tile, bytes(result)).root != root


def test_a_result_of_the_wrong_length_is_refused_with_both_lengths() -> None:
    contract, tile = render_contract(), RenderTile(frames=(1,), rect=(0, 0, 16, 16), samples=(0, 64))
    with pytest.raises(commitment.MalformedResult, match="the result has 4095 bytes, the lease says 4096"):
        commitment.commit("lease", contract, tile, bytes(4095))


@given(st.binary(min_size=32, max_size=32), st.integers(1, 400), st.integers(1, 400))
def test_a_challenge_draws_different_cells_within_the_tile(secret: bytes, cells: int, probes: int) -> None:
    """Cells are distinct, in range, as many as asked for, and the same for whoever draws them again."""
    drawn = challenge.draw_cells(b"r" * 32, "lease", secret, cells=cells, probes=probes)
    assert len(drawn) == len(set(drawn)) == min(cells, probes)
    assert all(0 <= i < cells for i in drawn)
    assert drawn == challenge.draw_cells(b"r" * 32, "lease", secret, cells=cells, probes=probes)


def test_challenges_favour_no_cell() -> None:
    """Over 4,000 draws of 5 of 40 cells each cell comes up within five standard deviations of its expectation."""
    counts = np.zeros(40)
    for i in range(4000):
        counts[challenge.draw_cells(b"r" * 32, "lease", i.to_bytes(32, "big"), cells=40, probes=5)] += 1
    assert np.abs(counts - 500).max() < 5 * np.sqrt(4000 * 0.125 * 0.875)


@given(CASES, st.data())
def test_the_exact_lane_accepts_equal_bits_and_nothing_else(case: Case, data: st.DataObject) -> None:
    """Any one flipped bit in a challenged cell is a refusal that names the cell; none is an acceptance."""
    contract, tile = case
    result = result_for(contract, tile)
    cells = {i: commitment.cell_bytes(contract, tile, result, i) for i in range(min(4, tile.cell_count()))}
    assert compare.compare_cells(contract, tile, Lane.EXACT, cells, dict(cells)).verdict is Verdict.ACCEPT
    index = data.draw(st.sampled_from(sorted(cells)))
    forged = bytearray(cells[index])
    forged[data.draw(st.integers(0, len(forged) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    answer = compare.compare_cells(contract, tile, Lane.EXACT, cells | {index: bytes(forged)}, cells)
    assert answer.verdict is Verdict.REJECT
    assert answer.evidence["differing"][0]["cell"] == index
    json.dumps(answer.evidence, allow_nan=False)


@pytest.mark.parametrize(
    ("share", "verdict"),
    [(0.0, Verdict.ACCEPT), (0.01, Verdict.ACCEPT), (0.05, Verdict.ESCALATE), (0.5, Verdict.REJECT)],
)
def test_the_tolerant_lane_goes_by_the_share_of_pixels(share: float, verdict: Verdict) -> None:
    """Rounding everywhere is honest hardware; many pixels that are really off are not."""
    contract, tile = render_contract(), RenderTile(frames=(1,), rect=(0, 0, 64, 40), samples=(0, 64))
    rng = np.random.default_rng(1)
    honest = rng.random((1, 4, 40, 64), np.float32)
    claimed = honest + rng.normal(0, 1e-6, honest.shape).astype(np.float32)
    claimed[:, 0][rng.random((1, 40, 64)) < share] += 0.5
    cells = range(tile.cell_count())
    a = {i: commitment.cell_bytes(contract, tile, claimed.tobytes(), i) for i in cells}
    b = {i: commitment.cell_bytes(contract, tile, honest.tobytes(), i) for i in cells}
    assert compare.compare_cells(contract, tile, Lane.TOLERANT, a, b, RENDER_LIMITS).verdict is verdict


@pytest.mark.parametrize(
    ("noise", "verdict"), [(2e-6, Verdict.ACCEPT), (3e-5, Verdict.ESCALATE), (1e-3, Verdict.REJECT)]
)
def test_the_tolerant_lane_for_inference_goes_by_the_fingerprint(noise: float, verdict: Verdict) -> None:
    contract, tile = infer_contract(), InferTile(first=0, count=4)
    rng = np.random.default_rng(2)
    honest = rng.random((4, 26), np.float32) + 1
    claimed = (honest * (1 + noise * rng.choice([-1.0, 1.0], honest.shape))).astype(np.float32)
    a = {i: claimed[i].tobytes() for i in range(4)}
    b = {i: honest[i].tobytes() for i in range(4)}
    assert compare.compare_cells(contract, tile, Lane.TOLERANT, a, b, INFER_LIMITS).verdict is verdict


def test_forged_outputs_under_a_true_fingerprint_are_refused_in_the_tolerant_lane() -> None:
    """Noise of 1e-3 on the outputs alone; and without limits nothing but equal bits is accepted or refused."""
    contract, tile = infer_contract(), InferTile(first=0, count=2)
    honest = np.random.default_rng(4).random((2, 26), np.float32) + 1
    claimed = honest.copy()
    claimed[1, :10] *= 1 + 1e-3 * np.random.default_rng(5).choice([-1.0, 1.0], 10).astype(np.float32)
    a, b = ({i: rows[i].tobytes() for i in range(2)} for rows in (claimed, honest))
    answer = compare.compare_cells(contract, tile, Lane.TOLERANT, a, b, INFER_LIMITS)
    assert answer.verdict is Verdict.REJECT and "outputs of item 1" in answer.reason
    assert compare.compare_cells(contract, tile, Lane.TOLERANT, a, b).verdict is Verdict.ESCALATE
    assert compare.compare_cells(contract, tile, Lane.TOLERANT, b, dict(b)).verdict is Verdict.ACCEPT


def test_nan_and_infinity_in_a_claim_are_a_difference_not_an_exception() -> None:
    contract, tile = render_contract(), RenderTile(frames=(1,), rect=(0, 0, 8, 8), samples=(0, 64))
    honest = np.full((4, 8, 8), 0.5, np.float32)
    for poison in (np.nan, np.inf, -np.inf):
        claimed = honest.copy()
        claimed[2, 3, 3] = poison
        for lane in (Lane.EXACT, Lane.TOLERANT):
            answer = compare.compare_cells(contract, tile, lane, {0: claimed.tobytes()}, {0: honest.tobytes()})
            assert answer.evidence["cells_differing"] == 1
            json.dumps(answer.evidence, allow_nan=False)


def test_the_gate_sees_gross_faults_and_forgives_noise_and_flat_pictures() -> None:
    """Black and another picture are suspicious, sampling noise is not, and a flat sky proves nothing."""
    rng = np.random.default_rng(3)
    y, x = np.mgrid[0:90, 0:160] / 90
    picture = np.stack([np.sin(4 * x) ** 2, np.cos(5 * y) ** 2, (x * y) % 1], -1).astype(np.float32)
    noisy = np.clip(picture + rng.normal(0, 0.05, picture.shape), 0, None).astype(np.float32)
    assert not gate.look(noisy, picture[::2, ::2]).suspicious
    assert gate.look(np.zeros_like(picture), picture).suspicious
    assert gate.look(np.ascontiguousarray(picture[::-1, ::-1]), picture).suspicious
    flat = np.full_like(picture, 0.3)
    assert not gate.look(flat + rng.normal(0, 0.004, flat.shape).astype(np.float32), flat).suspicious


VECTORS = json.loads((Path(contracts.__file__).parent / "artifacts" / "vectors.json").read_text())


def test_orders_and_receipts_are_hashed_as_the_contracts_hash_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Digest, leaf, root and signature of our messages equal those that Solidity computed (vectors.json)."""
    domain = Domain(chain_id=VECTORS["domain"]["chainId"], escrow=VECTORS["domain"]["verifyingContract"])
    order, receipt = VECTORS["jobOrder"], VECTORS["receipt"]
    monkeypatch.setattr("jobs.typed_data.chain_job_id", lambda _job: bytes.fromhex(order["job"][2:]))
    message = order_message(
        domain, job="any", client=order["client"], cap=int(order["cap"]), deadline=order["deadline"]
    )
    assert "0x" + signing_digest(message).hex() == order["digest"]
    assert sign(message, bytes.fromhex(order["privateKey"][2:])) == order["signature"]
    assert recover(message, order["signature"]) == order["client"]
    stated = receipt_message(
        domain, job="any", tile=receipt["tile"], attempt=receipt["attempt"], node=receipt["node"],
        commitment=bytes.fromhex(receipt["commitment"][2:]), price=int(receipt["price"]),
    )  # fmt: skip
    assert "0x" + signing_digest(stated).hex() == receipt["digest"]
    price, beside = int(receipt["price"]), int(receipt["siblingPrice"])
    leaf = receipts.receipt_leaf(stated, bytes.fromhex(receipt["signature"][2:]))
    assert "0x" + leaf.hex() == receipt["leaf"]
    tree = receipts.ReceiptTree([(leaf, price), (bytes.fromhex(receipt["siblingLeaf"][2:]), beside)])
    assert "0x" + tree.root.hex() == receipt["root"] and tree.total == price + beside
    reward = VECTORS["reward"]
    assert "0x" + receipts.reward_leaf(reward["account"], int(reward["cumulative"])).hex() == reward["leaf"]


@given(st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=40, unique=True))
def test_every_receipt_hangs_on_the_root(leaves: list[bytes]) -> None:
    prices = [int.from_bytes(leaf[:8], "big") for leaf in leaves]
    tree = receipts.ReceiptTree(list(zip(leaves, prices, strict=True)))
    assert tree.total == sum(prices)
    for i, leaf in enumerate(leaves):
        path, price = tree.proof(i), prices[i]
        assert receipts.verify_receipt_path(leaf, price, path, tree.root, tree.total)
        assert not receipts.verify_receipt_path(b"y" * 32, price, path, tree.root, tree.total)
        assert not receipts.verify_receipt_path(leaf, price, path, tree.root, tree.total + 1)
        assert not receipts.verify_receipt_path(leaf, price, path[:-1] if path else [leaf], tree.root, tree.total)
        assert not path or not receipts.verify_receipt_path(leaf, price + 1, path, tree.root, tree.total + 1)


def test_malformed_signatures_are_nobodys() -> None:
    domain = Domain(chain_id=1, escrow="0x" + "11" * 20)
    message = order_message(domain, job="j", client="0x" + "22" * 20, cap=1, deadline=1)
    for signature in ("", "0x", "0x" + "00" * 65, "nonsense", "0x" + "ff" * 65):
        assert recover(message, signature) is None
