"""What a trusted worker measured, as the planner takes it."""

from __future__ import annotations

import pytest

from jobs.planner import RenderCost
from node.agent.trusted import cost_at_one


@pytest.mark.parametrize("score", [0.5, 1.0, 4.0])
def test_seconds_go_by_the_machine_and_shares_do_not(score: float) -> None:
    """A machine of score 4 takes a quarter of the time, and sees as much of the picture empty as any other."""
    answer = {"sync_seconds": 2 / score, "per_pixel_sample_seconds": 1e-6 / score, "content": 0.9, "taken": 0.4,
              "file": "low.raw"}  # fmt: skip
    cost = RenderCost.model_validate(cost_at_one(answer, score))
    assert cost.sync_seconds == pytest.approx(2) and cost.per_pixel_sample_seconds == pytest.approx(1e-6)
    assert (cost.content, cost.taken) == (0.9, 0.4)
