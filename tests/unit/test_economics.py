"""What cheating pays: the formulas against simulated nodes, and the table against what is promised."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.planner import WHOLE_RUN
from jobs.pricing import UNIT, reward_units, split_price
from verification import economics, policy
from verification.economics import career, gain, refused, refused_exactly
from verification.policy import FLOOR, GOOD, Standing
from verification.strategies import cheats, least_shares, outcome_of, outcomes

CELLS = 2000
SHARES = st.floats(0.001, 1.0)


def simulate(rng: np.random.Generator, share: float, saves: float) -> tuple[int, int, float]:
    """One node that cheats in every tile from good standing until it is a pattern: its tiles, refusals, and profit in
    tiles' pay. Real cells are faked, real cells are drawn, and the books are kept tile by tile: pay, or none, and the
    time that the tile took, at what honest work would have earned in it."""
    suspicion, tiles, refusals, profit = GOOD, 0, 0, 0.0
    faked = round(share * CELLS)
    while policy.standing(suspicion) is not Standing.PATTERN:
        tiles += 1
        wanted = policy.probes(suspicion, cells=CELLS)
        caught = bool((rng.choice(CELLS, wanted, replace=False) < faked).any())
        paid, time_spent = (0.0 if caught else 1.0), 1 - saves
        profit += paid - time_spent
        refusals += caught
        suspicion = policy.after_refusal(suspicion) if caught else policy.after_accept(suspicion, wanted)
    return tiles, refusals, profit


@pytest.mark.parametrize(("share", "saves"), [(0.02, 0.02), (0.05, 0.3), (0.1, 0.9), (0.3, 0.1), (1.0, 0.99)])
def test_a_career_is_what_simulated_nodes_have(share: float, saves: float) -> None:
    """Expected tiles, refusals and profit lie within four standard errors of the mean over 1,500 simulated nodes."""
    rng = np.random.default_rng(7)
    lives = np.array([simulate(rng, share, saves) for _ in range(1500)], float)
    found = career(saves, lambda probed: refused_exactly(CELLS, round(share * CELLS), probed))
    # What never varied here (a third refusal more or less) may still be off by what happens once in a thousand lives.
    error = 4 * lives.std(axis=0) / math.sqrt(len(lives)) + 1e-3
    assert (np.abs(lives.mean(axis=0) - np.array(found)) < error).all()


@given(st.integers(1, 5000), st.data())
def test_drawing_without_replacement_refuses_more_than_the_formula_says(cells: int, data: st.DataObject) -> None:
    """1 - (1-s)^m is a lower bound of the exact chance, so no profit is understated."""
    faked, probed = data.draw(st.integers(0, cells)), data.draw(st.integers(1, 64))
    exact = refused_exactly(cells, faked, probed)
    assert 0 <= exact <= 1
    assert exact >= refused(faked / cells, probed) - 1e-9


@given(SHARES, st.integers(1, 200))
def test_faking_a_share_of_equal_cells_never_pays(share: float, probed: int) -> None:
    """Who saves as much as it touches is refused at least that often, however few cells are redone."""
    assert gain(share, refused(share, probed)) <= 1e-12


@settings(deadline=None)
@given(SHARES, st.floats(0, 1))
def test_what_does_not_pay_at_the_floor_pays_in_no_standing(share: float, saves: float) -> None:
    """More cells refuse more: resting until forgotten, or another name, lead to no better odds."""
    chances = [refused(share, policy.probes(s, cells=10_000)) for s in (GOOD, 0, policy.REFUSAL)]
    assert chances == sorted(chances)
    if gain(saves, chances[0]) < 0:
        assert career(saves, lambda m: refused(share, m)).gain < 0


def test_a_career_without_an_end_is_refused() -> None:
    with pytest.raises(ValueError, match="no end"):
        career(0.5, lambda _: 0.0)


@given(st.floats(0.01, 0.5), st.floats(1e-4, 0.5))
def test_the_stake_needed_is_the_one_at_which_profit_is_gone(per_tile: float, slashed: float) -> None:
    """A little less and it pays, a little more and it does not; what does not pay needs none."""
    stake = economics.stake_needed(per_tile, slashed)
    assert per_tile - slashed * stake == pytest.approx(0, abs=1e-9)
    assert economics.stake_needed(-per_tile, slashed) == 0
    assert economics.stake_needed(per_tile, 0) == math.inf


@pytest.mark.parametrize("partners", [0.1, 0.5, 1.0])
def test_colluding_auditors_are_found_as_often_as_the_formula_says(partners: float) -> None:
    """200,000 tiles of nothing: paid where a partner audits and nobody repeats it; contradicted where somebody does."""
    rng = np.random.default_rng(8)
    partner = rng.random(200_000) < partners
    repeated = rng.random(200_000) < policy.RECHECK_SHARE
    profit = np.where(partner & ~repeated, 1.0, 0.0) - (1 - 0.99)
    assert profit.mean() == pytest.approx(economics.collusion_gain(0.99, partners), abs=0.005)
    assert (partner & repeated).mean() == pytest.approx(economics.collusion_slashed(partners), abs=0.005)


@given(st.integers(1, 10**30))
def test_ordering_from_oneself_loses_to_the_unit(price: int) -> None:
    """What comes back is never what was spent; for amounts beyond rounding it is 0.9025 of it."""
    split = split_price(price, price)
    assert reward_units(price) < split.burned + split.fee
    if price >= UNIT:
        assert economics.wash_trading(price) == pytest.approx(1 - 1 / 0.9025)


def test_frames_of_a_run_are_drawn_like_cells() -> None:
    """One of ten redone: whoever fakes k of them is refused with k/10."""
    for faked in range(WHOLE_RUN + 1):
        assert economics.refused_in_frames(WHOLE_RUN, faked, 1) == pytest.approx(faked / WHOLE_RUN)


@given(st.floats(0.02, 1.0))
def test_leaving_out_all_but_an_empty_background_is_refused(content: float) -> None:
    """However small the part with content is (from 2% on), the cells suffice to refuse whoever leaves it out."""
    assert 1 - refused(content, policy.floor_for(content)) <= policy.MISSED + 1e-9 or content < 0.0205
    assert policy.floor_for(content) >= FLOOR
    assert policy.floor_for(0.0) == 256 and policy.floor_for(1.0, 12) == 12


def test_no_strategy_pays_with_the_default_policy_and_stake() -> None:
    """Every line of `kilnet economics` is negative; and what a node leaves out of its own tiles is so by withheld pay
    alone, without any stake, since names are free."""
    rows = outcomes()
    assert len(rows) >= 30 and all(row.profit < 0 for row in rows), [row for row in rows if row.profit >= 0]
    alone = [outcome_of(cheat, 0.0) for cheat in cheats()]
    assert all(row.gain < 0 and row.stake == 0 for row in alone), [row for row in alone if row.gain >= 0]
    assert max(row.stake for row in rows) < economics.stake_per_tile_pay() / 10


def test_shares_come_from_the_adversaries_where_they_were_measured(tmp_path: Path) -> None:
    """The least share of cells of each cheat; nothing before the measurement."""
    assert least_shares(tmp_path) == {}
    rows = {
        "render": [{"name": "samples-63", "share_of_cells": 0.9, "least_share_of_cells": 0.7}, {"name": "black"}],
        "infer": [{"name": "int8-weights", "share_of_cells": 1.0}],
    }
    (tmp_path / "adversaries.json").write_text(json.dumps(rows))
    assert least_shares(tmp_path) == {"samples-63": 0.7, "int8-weights": 1.0}


def test_measured_cheats_come_from_scenes_that_repeat() -> None:
    """The measurements behind the table: several scenes, each of which came out the same twice."""
    from verification.strategies import _measured

    scenes = _measured()
    assert len([row for row in scenes.values() if row["dearest"]]) >= 8
    measured = [row for row in scenes.values() if row["cheats"]]
    assert len(measured) >= 8 and all(row["repeat_differs"] == 0 for row in measured)
