"""The audit's checks of what was signed: an honest job holds, and every single lie about it is found."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from eth_account import Account

from coordinator.cli.audit.checks import Bundle, check_cover, check_money, check_receipt, read_bundle
from jobs.contract import RenderContract
from jobs.errors import Refused
from jobs.geometry import Rect
from jobs.pricing import split_price
from jobs.tiles import RenderTile
from jobs.typed_data import Domain, commitment_message, receipt_message, sign
from verification.challenge import draw_cells, secret_hash
from verification.commitment import commit
from verification.receipts import ReceiptTree, receipt_leaf

CONTRACT = RenderContract(
    version="5.2.3", engine="CYCLES", scene="Scene", camera="Camera", width=40, height=24, window=(0, 0, 40, 24),
    samples=8, seed=0, adaptive=False, guard=0, channels=("Combined.R", "Combined.G"),
)  # fmt: skip
NODE, SIGNER, OTHER = (bytes([n]) * 32 for n in (1, 2, 3))
DOMAIN = Domain(chain_id=31337, escrow=str(Account.from_key(OTHER).address))


def address(key: bytes) -> str:
    return str(Account.from_key(key).address)


def hexed(data: bytes) -> str:
    return "0x" + data.hex()


def honest() -> dict[str, Any]:
    """The bundle of a settled job of two frames, each four rectangles times two sample ranges, all signed for real."""
    tiles = [
        RenderTile(frames=(frame,), rect=tuple(rect), samples=samples)
        for frame in (1, 2)
        for samples in ((0, 4), (4, 8))
        for rect in Rect(0, 0, 40, 24).split(2, 2)
    ]
    receipts, leaves = [], []
    for number, tile in enumerate(tiles):
        lease, secret = f"lease{number}", bytes([number]) * 32
        data = np.full(tile.result_bytes(CONTRACT) // 4, number, "<f4").tobytes()
        root = commit(lease, CONTRACT, tile, data).root
        cells = tile.cell_count()
        fields = {"job": "j1", "tile": number, "attempt": 1, "node": address(NODE), "price": 1000 + number}
        message = receipt_message(DOMAIN, commitment=root, **fields)
        signature = sign(message, SIGNER)
        leaves.append((receipt_leaf(message, bytes.fromhex(signature[2:])), fields["price"]))
        committed = commitment_message(DOMAIN, lease=lease, token=1, root=root, cells=cells)
        receipts.append(
            {
                **fields,
                "price": str(fields["price"]),
                "commitment": hexed(root),
                "signature": signature,
                "leaf": hexed(leaves[-1][0]),
                "lease": lease,
                "fencing_token": 1,
                "node_signature": sign(committed, NODE),
                "secret": hexed(secret),
                "secret_hash": hexed(secret_hash(secret)),
                "cells": draw_cells(root, lease, secret, cells=cells, probes=2),
                "lane": "exact",
                "numerics_class": "c",
                "auditor": None,
                "spec": tile.model_dump(mode="json"),
                "result": "00" * 32,
            }
        )
    tree = ReceiptTree(leaves)
    for number, receipt in enumerate(receipts):
        receipt["proof"] = [hexed(step) for step in tree.proof(number)]
    price = sum(1000 + number for number in range(len(tiles)))
    split = split_price(price + 500, price)
    return {
        "job": "j1",
        "state": "done",
        "spec": {},
        "contract": CONTRACT.model_dump(mode="json"),
        "frames": [1, 2],
        "manifest": {"main": "a.blend", "assets": [{"path": "a.blend", "sha256": "00" * 32, "size": 1}]},
        "domain": dict(DOMAIN),
        "receipt_signer": address(SIGNER),
        "receipt_root": hexed(tree.root),
        "settlement": {
            "price": str(price), "burned": str(split.burned), "fee": str(split.fee), "refund": str(split.refund),
            "receipt_root": hexed(tree.root),
        },
        "receipts": receipts,
    }  # fmt: skip


def failed(data: dict[str, Any]) -> set[str]:
    bundle: Bundle = read_bundle(data)
    checks = [check for receipt in bundle.receipts for check in check_receipt(bundle, receipt)]
    return {check.name for check in checks + check_cover(bundle) + check_money(bundle) if not check.ok}


def test_an_honest_job_holds() -> None:
    """Nothing is found where nothing is wrong."""
    assert failed(honest()) == set()


@pytest.mark.parametrize(
    ("field", "lie", "found"),
    [
        ("price", "999999", {"receipt is signed", "receipt's leaf", "price is the sum of the receipts"}),
        ("node", address(OTHER), {"receipt is signed", "node signed its commitment"}),
        (
            "commitment",
            "0x" + "77" * 32,
            {"receipt is signed", "node signed its commitment", "secret draws those cells"},
        ),
        ("signature", "0x" + "11" * 65, {"receipt is signed"}),
        ("node_signature", "0x" + "11" * 65, {"node signed its commitment"}),
        ("fencing_token", 2, {"node signed its commitment"}),
        ("lease", "lease99", {"node signed its commitment", "secret draws those cells"}),
        ("secret", "0x" + "55" * 32, {"secret was fixed before", "secret draws those cells"}),
        ("cells", [0, 1], {"secret draws those cells"}),
        ("cells", [], {"cells were audited"}),
        ("proof", [], {"receipt hangs on the root"}),
        ("proof", None, {"receipt hangs on the root"}),
        ("job", "j2", {"receipt is of this job", "receipt is signed"}),
    ],
)
def test_a_lie_in_a_receipt_is_found(field: str, lie: object, found: set[str]) -> None:
    """Each field of a receipt is bound by at least one check."""
    data = honest()
    data["receipts"][3][field] = lie
    assert found <= failed(data)


def test_a_missing_or_doubled_tile_is_found() -> None:
    """A finished job whose receipts leave out a tile, repeat one, or shift one is not covered."""
    for change in ("missing", "doubled", "shifted", "short"):
        data = honest()
        receipts = data["receipts"]
        if change == "missing":
            receipts.pop()
        elif change == "doubled":
            receipts.append(dict(receipts[0]))
        elif change == "shifted":
            receipts[0]["spec"] = {**receipts[0]["spec"], "rect": [1, 0, 21, 12]}
        else:
            receipts[0]["spec"] = {**receipts[0]["spec"], "samples": [0, 3]}
        assert "receipts cover the job once" in failed(data), change


def test_money_that_does_not_add_up_is_found() -> None:
    """A settlement that burned less than it charged, or with another root, is found."""
    data = honest()
    data["settlement"]["burned"] = "1"
    assert "burned and fee are the price" in failed(data)
    data = honest()
    data["settlement"]["receipt_root"] = "0x" + "00" * 32
    assert "root is the settlement's" in failed(data)


def test_a_malformed_bundle_is_refused() -> None:
    """What is no bundle is one line, not a trace; a job without receipts cannot be audited."""
    for field, value in (("contract", {"runtime": "x"}), ("domain", {}), ("receipt_root", "0xzz"), ("receipts", [{}])):
        data = honest()
        data[field] = value
        with pytest.raises(Refused, match="malformed") as error:
            read_bundle(data)
        assert "\n" not in str(error.value)
    with pytest.raises(Refused, match="no receipts"):
        read_bundle({**honest(), "receipts": []})
