"""Shipped calibrations, and the rule that draws limits."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verification.calibration import Calibration, limits_between
from verification.limits import ADVERSARIES, SHIPPED, limits_for

FILES = sorted(path for path in SHIPPED.glob("*.json") if path.name != ADVERSARIES)


@given(st.floats(0, 1e-2), st.floats(1.5, 1e6))
def test_limits_lie_between_honest_and_cheat(honest: float, ratio: float) -> None:
    """Honest machines are accepted, the closest cheat is refused, and there is room between the two limits."""
    cheat = max(honest, 1e-6) * ratio
    accept, reject = limits_between(honest, cheat, least=1e-6)
    assert honest <= accept < reject < cheat


@pytest.mark.parametrize(("honest", "cheat"), [(0.1, 0.1), (0.2, 0.1), (-1.0, 1.0), (0.0, 1e-7)])
def test_without_room_there_are_no_limits(honest: float, cheat: float) -> None:
    with pytest.raises(ValueError, match="no room"):
        limits_between(honest, cheat, least=1e-6)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_shipped_calibration_carries_its_evidence(path: object) -> None:
    """Its command, what repeated itself, and limits on the right side of everything that was measured."""
    found = Calibration.model_validate_json(path.read_text(encoding="utf-8"))  # type: ignore[attr-defined]
    assert found.command.startswith("kilnet calibrate ") and found.n
    assert bool(found.limits) or found.refused or any("unmeasured" in c.numerics_class for c in found.classes)
    measure = "share_of_pixels_off" if found.kind == "render" else "fingerprint"
    for limits in found.limits:
        assert found.honest[measure]["max"] <= limits.accept < limits.reject
        a, b = (side.numerics_class for side in found.classes)
        assert limits_for(a, b, found.kind) is not None and limits_for(b, a, found.kind) is not None
        assert limits_for(a, "never-seen", found.kind) is None
        for side in found.classes:
            assert side.repeated_differently == 0 < side.repeated


def test_what_the_adversaries_measured_can_be_read() -> None:
    path = SHIPPED / ADVERSARIES
    if not path.is_file():
        pytest.skip("`make adversaries` has not written it")
    found = json.loads(path.read_text(encoding="utf-8"))
    for row in found["render"]:
        assert 0 < row["share_of_cells"] <= 1 and row["floor"]["draws"] == found["draws"]
    assert all(entry["refused"] == 0 for entry in (found["honest"]["render_exact"], found["honest"]["infer_exact"]))
