"""How much is redone: what the sequential test promises, measured."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.contract import InferContract, Lane
from jobs.tiles import RenderTile
from tests.unit.strategies import infer_contract, render_contract
from verification import policy
from verification.challenge import draw_cells, draw_frames, redraw
from verification.policy import FLOOR, GOOD, PATTERN, REFUSAL, Standing

SUSPICIONS = st.integers(GOOD, PATTERN + 10 * REFUSAL)


def tiles_until(rng: np.random.Generator, refused: float, *, most: int, start: int = 0) -> tuple[int, int]:
    """Tiles until the test calls a node a pattern, or `most`; and its suspicion then. `refused`: chance that one cell
    comes out differently. Tiles are larger than any challenge."""
    suspicion = start
    for tile in range(1, most + 1):
        cells = policy.probes(suspicion, cells=10_000)
        caught = rng.random() < 1 - (1 - refused) ** cells
        suspicion = policy.after_refusal(suspicion) if caught else policy.after_accept(suspicion, cells)
        if policy.standing(suspicion) is Standing.PATTERN:
            return tile, suspicion
    return most, suspicion


@given(SUSPICIONS, st.integers(1, 10_000), st.integers(1, 64), st.integers(0, 20))
def test_cells_are_never_none_and_never_more_than_there_are(s: int, cells: int, floor: int, grounds: int) -> None:
    """One at least, all at most; more for worse standing and for each of the gate's grounds."""
    wanted = policy.probes(s, cells=cells, floor=floor, grounds=grounds)
    assert 1 <= wanted <= cells
    assert wanted >= policy.probes(GOOD, cells=cells, floor=floor)
    assert policy.probes(s, cells=cells, floor=floor, grounds=grounds + 1) >= wanted
    assert policy.probes(s + REFUSAL, cells=cells, floor=floor, grounds=grounds) >= wanted
    assert policy.probes(s, cells=cells, floor=floor, grounds=grounds, least=24) >= min(cells, max(24, wanted))


@given(SUSPICIONS, st.integers(1, 10_000))
def test_suspicion_falls_with_what_came_out_and_is_bounded(suspicion: int, cells: int) -> None:
    """An accepted tile lowers it by its cells, by no more than a tile counts for, and never below good standing; a
    refusal always raises it by the same."""
    after = policy.after_accept(suspicion, cells)
    assert GOOD <= after <= suspicion
    assert suspicion - after <= policy.MOST_CREDIT
    assert policy.after_refusal(suspicion) == suspicion + REFUSAL


def test_the_steps_are_those_of_walds_test() -> None:
    """In units of a cell that came out: bounds log((1-e)/e), a refusal log(s/f), with s 5%, f 1e-4 and e 1e-3."""
    step = math.log((1 - policy.FAULT_RATE) / (1 - policy.CHEAT_SHARE))
    bound = math.log((1 - policy.ERROR_RATE) / policy.ERROR_RATE)
    assert pytest.approx(bound / step, abs=1) == PATTERN == -GOOD == 135
    assert pytest.approx(math.log(policy.CHEAT_SHARE / policy.FAULT_RATE) / step, abs=0.5) == REFUSAL == 121


def test_a_new_node_is_in_good_standing_after_six_tiles_and_not_sooner() -> None:
    """However many cells a tile has, it counts for 24 at most."""
    suspicion, tiles = 0, 0
    while policy.standing(suspicion) is not Standing.GOOD:
        suspicion = policy.after_accept(suspicion, 10**6)
        tiles += 1
    assert tiles == 6


def test_refusals_lead_from_good_standing_to_a_pattern() -> None:
    """One refusal costs good standing, a second soon after makes suspect, a third is a pattern; a new node's second is.
    One refusal alone is never a pattern: memory errors exist."""
    seen = [GOOD]
    for _ in range(3):
        seen.append(policy.after_refusal(seen[-1]))
    assert [policy.standing(s) for s in seen] == [Standing.GOOD, Standing.NEW, Standing.SUSPECT, Standing.PATTERN]
    assert policy.standing(policy.after_refusal(0)) is Standing.SUSPECT
    assert policy.standing(policy.after_refusal(policy.after_refusal(0))) is Standing.PATTERN


def test_audits_of_a_new_node_cost_three_times_those_of_one_in_good_standing() -> None:
    """2% and 6% of the work, where the planner sized tiles for the floor at 2%."""
    assert policy.probes(GOOD, cells=10_000) == FLOOR
    assert policy.probes(0, cells=10_000) == 3 * FLOOR


def test_an_honest_node_is_hardly_ever_a_pattern() -> None:
    """Over 4,000 new nodes whose cells fail at the rate allowed for faults (1e-4): at most the promised 1 in 1,000 is
    called a pattern in its first 20 tiles. The bound is the binomial's 99.9% quantile."""
    rng = np.random.default_rng(1)
    patterns = sum(tiles_until(rng, policy.FAULT_RATE, most=20)[1] >= PATTERN for _ in range(4000))
    assert patterns <= 12


def test_a_node_in_good_standing_with_faults_lasts_long() -> None:
    """At the allowed fault rate one tile in 1,250 is refused, and a pattern needs three within a few tiles: none in
    400,000 tiles of nodes in good standing."""
    rng = np.random.default_rng(2)
    assert all(tiles_until(rng, policy.FAULT_RATE, most=4000, start=GOOD)[1] < PATTERN for _ in range(100))


@pytest.mark.parametrize(("cells", "once_in"), [(FLOOR, 1_000_000), (policy.TOLERANT_FLOOR, 5_000)])
def test_refusals_that_are_remembered_are_hardly_ever_an_honest_nodes(cells: int, once_in: int) -> None:
    """By the binomial, at the rate allowed for faults: more than are forgiven among the tiles that are remembered."""
    refused, tiles = 1 - (1 - policy.FAULT_RATE) ** cells, policy.REMEMBERED
    few = sum(
        math.comb(tiles, k) * refused**k * (1 - refused) ** (tiles - k) for k in range(policy.REFUSALS_FORGIVEN + 1)
    )
    assert 1 - few < 1 / once_in
    assert not policy.repeats(policy.REFUSALS_FORGIVEN) and policy.repeats(policy.REFUSALS_FORGIVEN + 1)


def test_who_works_honestly_until_it_is_forgotten_is_a_pattern_soon() -> None:
    """Six honest tiles after each faked one: the test never calls it a pattern, its refusals do, by the 35th tile."""
    suspicion, refusals, tiles = GOOD, 0, 0
    while not policy.repeats(refusals):
        fakes = policy.standing(suspicion) is Standing.GOOD
        suspicion = policy.after_refusal(suspicion) if fakes else policy.after_accept(suspicion, 3 * FLOOR)
        refusals, tiles = refusals + fakes, tiles + 1
        assert suspicion < PATTERN
    assert tiles <= 35 < policy.REMEMBERED


@pytest.mark.parametrize(("share", "within"), [(0.05, 20), (0.1, 12), (0.5, 3)])
def test_a_cheat_in_good_standing_is_refused_soon(share: float, within: int) -> None:
    """A share of 5% is refused within 20 tiles in 999 of 1,000 cases, by formula and over 20,000 nodes."""
    assert policy.survival(share, FLOOR * within) < 1e-3
    rng = np.random.default_rng(3)
    unseen = (rng.random((20_000, within)) < policy.survival(share, FLOOR)).all(axis=1).mean()
    assert unseen < 2e-3


def test_a_cheat_of_the_share_it_is_laid_out_for_is_seldom_called_honest() -> None:
    """A new node that fakes 5% of its cells gets into good standing unrefused in at most 1 of 1,000 cases."""
    assert policy.survival(policy.CHEAT_SHARE, 6 * policy.MOST_CREDIT) <= policy.ERROR_RATE


def test_who_goes_on_cheating_is_a_pattern_soon() -> None:
    """A node in good standing that fakes a tenth of its cells from now on: half within 7 tiles, all within 60."""
    rng = np.random.default_rng(4)
    tiles = [tiles_until(rng, 0.1, most=60, start=GOOD)[0] for _ in range(2000)]
    assert np.median(tiles) <= 7 and max(tiles) < 60


def test_a_long_honest_past_buys_nothing() -> None:
    """Honest for 200 tiles or for six: suspicion is the same, and so is what comes then."""
    suspicion = 0
    for _ in range(200):
        suspicion = policy.after_accept(suspicion, policy.probes(suspicion, cells=1000))
    assert suspicion == GOOD


@given(SUSPICIONS, st.integers(1, 40), st.integers(0, 3))
def test_of_a_run_of_frames_one_at_least_is_redone(suspicion: int, frames: int, grounds: int) -> None:
    """Where only whole frames replay; all of them where there are grounds or suspicion."""
    again = policy.frames_again(suspicion, frames=frames, grounds=grounds)
    assert 1 <= again <= frames
    if grounds or suspicion > 0:
        assert again == frames
    assert policy.frames_again(GOOD, frames=10) == 1 and policy.frames_again(0, frames=10) == 3


@given(st.binary(min_size=32, max_size=32), st.integers(1, 12), st.data())
def test_frames_are_drawn_whole_and_the_drawing_can_be_checked(secret: bytes, count: int, data: st.DataObject) -> None:
    """All cells of the drawn frames and no others; who knows the secret draws the same, either way."""
    tile = RenderTile(frames=tuple(range(count)), rect=(0, 0, 20, 12), samples=(0, 64))
    again = data.draw(st.integers(1, count))
    whole = render_contract(20, 12).model_copy(update={"lane": Lane.WHOLE})
    drawn = draw_frames(b"r" * 32, "lease", secret, tile, frames=again)
    assert len(drawn) == again * tile.cell_count() // count
    assert len({tile.cell(cell).frame for cell in drawn}) == again
    assert redraw(whole, tile, b"r" * 32, "lease", secret, drawn) == drawn
    contract: InferContract = infer_contract()
    cells = draw_cells(b"r" * 32, "lease", secret, cells=tile.cell_count(), probes=again)
    assert redraw(contract, tile, b"r" * 32, "lease", secret, cells) == cells
