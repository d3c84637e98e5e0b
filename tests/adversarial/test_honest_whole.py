"""The counting of honest tiles of path guiding, on one small scene: it would see a tile that is not honest."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from jobs.contract import Lane
from jobs.geometry import Rect
from jobs.states import Verdict
from tests.adversarial.honest_whole import count_whole
from tests.adversarial.material import limits_across
from tests.adversarial.whole_cheats import HONEST, judged
from tests.unit.strategies import render_contract

RECT = Rect(0, 0, 16, 16)


def test_last_bits_within_a_class_come_out_and_small_frames_are_nobodys_across() -> None:
    """Within one class last bits may differ, a row of pixels is looked at twice, a third of them is another picture;
    across classes too small a frame is not judged at all."""
    limits = limits_across()["render", "sse42"]
    contract = render_contract(64, 48, lane=Lane.WHOLE, path_guiding=True)
    honest = np.random.default_rng(1).random((len(contract.channels), 16, 16), np.float32)
    near, row, third = np.nextafter(honest, np.float32(2)), honest.copy(), honest.copy()
    row[:, 7] *= np.float32(1.01)
    third[:, 7:12] *= np.float32(1.01)
    same = (limits.worker_class, limits.worker_class)
    assert judged(contract, 1, RECT, honest, honest.copy(), same).verdict is Verdict.ACCEPT
    assert judged(contract, 1, RECT, near, honest, same).verdict is Verdict.ACCEPT
    assert judged(contract, 1, RECT, row, honest, same).verdict is Verdict.ESCALATE
    assert judged(contract, 1, RECT, third, honest, same).verdict is Verdict.REJECT
    with pytest.raises(ValueError, match="cannot judge"):
        judged(contract, 1, RECT, honest, honest, (limits.worker_class, limits.auditor_class))


@pytest.mark.slow
@pytest.mark.blender
@pytest.mark.timeout(900)
@pytest.mark.filterwarnings("ignore:UNSANDBOXED:RuntimeWarning")
def test_honest_tiles_of_path_guiding_come_out_and_cheats_do_not(tmp_path: Path) -> None:
    """Real renders of the hair scene: twelve rectangles and one frame across classes, and one frame cheated on."""
    pytest.importorskip("bpy", reason="bpy is not installed: pip install kilnet[blender] (Python 3.13)")
    found = count_whole([], limits_across()["render", "sse42"], pictures={"hair": (1, 1, 1)}, work=tmp_path)
    assert 0 < found["same"].pop("distinct") <= 12
    assert found["frames"] == {"tiles": 1, "refused": 0}
    assert found["same"].pop("last_bits") <= 12
    assert found["same"] == {"tiles": 12, "refused": 0, "escalated": 0, "pictures": 1, "adaptive": 0, "scenes": 1}
    across = found["across"]
    assert (across["tiles"], across["refused"], across["pixels"]) == (1, 0, 15360)
    assert across["differing"] == 1, "frames of two classes that are equal to the bit prove nothing"
    honest = found["cheats"].pop(HONEST)
    assert [(lane["tiles"], lane["refused"]) for lane in honest.values()] == [(1, 0), (1, 0)]
    for name, lanes in found["cheats"].items():
        assert lanes["same"]["refused"] == lanes["same"]["tiles"] == 1, name
    assert found["cheats"]["half of the samples"]["across"]["refused"] == 1
    assert found["cheats"]["the next frame"]["across"]["refused"] == 1
