"""The counting of honest tiles of inference, on the canary model: it would see a tile that is not honest."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.contract import Lane
from jobs.states import Verdict
from node.calibrate.batches import TAPPED, Workbench
from node.calibrate.models import find_models
from node.calibrate.sides import Side
from tests.adversarial.honest_items import Bench, count_items
from tests.adversarial.trials import Committed
from verification.policy import FLOOR


def test_honest_tiles_come_out_and_another_models_do_not(tmp_path: Path) -> None:
    """Six tiles of items of their own between processes of one and of two threads; then one with 5% of the weights left
    out, asked for and redone in the same way."""
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: pip install kilnet[onnx]")
    (case,) = find_models([], 8, only=("canary",))
    with Side.of("a").pool(tmp_path / "runners") as pool:
        bench = Workbench(Side.of("a"), pool, tmp_path / "models", tmp_path / "results")
        contract, folder = bench.contract(case), tmp_path / "models" / case.name
        lazy = Workbench.ask(pool, contract, folder, "pruned-5.onnx", "items.npz", count=4)
        alone = Workbench.ask(pool, contract, folder, TAPPED, "items.npz", chosen=[3, 1, 0, 2])
    kept = tmp_path / "kept.json"
    found = count_items(Bench(tmp_path / "models", Side.of("a")), {"canary": 6}, kept=kept, say=print)
    assert found == {
        "models": 1, "tiles": 6, "items": 29, "redone": 25, "restarts": 1, "refused": 0, "escalated": 0
    }  # fmt: skip
    assert count_items(Bench(tmp_path, Side.of("a")), {"canary": 6}, kept=kept, say=print) == found
    committed = Committed(contract, lazy)
    drawn = committed.draw(FLOOR)
    redone = dict(zip([3, 1, 0, 2], alone, strict=True))
    assert committed.judge(drawn, redone, Lane.EXACT) is Verdict.REJECT
