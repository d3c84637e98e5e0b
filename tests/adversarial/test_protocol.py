"""Cheats that need no renderer: what is committed to, delivered, copied and claimed.

That a second commitment for one token, an upload that is not what was signed, and silence after a commitment cost the
lease is shown on the coordinator itself: tests/coordinator/test_leasing_life.py and test_judging.py.
"""

from __future__ import annotations

import secrets

import numpy as np
import pytest

from jobs.contract import Lane
from jobs.states import Verdict
from jobs.tiles import RenderTile
from tests.adversarial.trials import expected, interval, render_trial
from tests.unit.strategies import render_contract
from verification import policy
from verification.challenge import draw_cells, new_secret
from verification.commitment import commit

CONTRACT = render_contract(64, 48)
TILE = RenderTile(frames=(1,), rect=(0, 0, 64, 48), samples=(0, 64))


def noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).random((4, 48, 64), np.float32)


def test_a_copied_commitment_fits_no_other_lease() -> None:
    """Another node's root, and one's own of an older lease, are roots of other leaves: the bytes that would have to
    match them cannot be had."""
    data = noise(1).tobytes()
    roots = {commit(secrets.token_hex(16), CONTRACT, TILE, data).root for _ in range(200)}
    assert len(roots) == 200, "the same bytes under another lease have another root"


def test_the_challenge_of_another_root_is_another_challenge() -> None:
    """Who looks for a root whose cells suit him has to do so before he knows the secret."""
    secret, lease = new_secret(), secrets.token_hex(16)
    drawn = {tuple(draw_cells(secrets.token_bytes(32), lease, secret, cells=48, probes=8)) for _ in range(200)}
    assert len(drawn) > 190


@pytest.mark.parametrize("what", ["older tile", "swapped blocks"])
def test_replayed_and_misplaced_work_is_refused(what: str) -> None:
    """Work that was done, but not here: an older tile at the first probe, two blocks in each other's place at the
    rate of two cells in 48."""
    honest = noise(1)
    claimed = noise(2)
    if what == "swapped blocks":
        claimed = honest.copy()
        claimed[:, :8, :8], claimed[:, 8:16, 8:16] = honest[:, 8:16, 8:16], honest[:, :8, :8]
    draws = 600
    refused = sum(
        render_trial(CONTRACT, TILE, claimed, honest, Lane.EXACT, policy.FLOOR) is Verdict.REJECT for _ in range(draws)
    )
    wanted = expected(48 if what == "older tile" else 2, 48, policy.FLOOR)
    low, high = interval(refused, draws, tests=2)
    assert low <= wanted <= high


def test_a_long_honest_past_never_buys_a_tile_without_probes() -> None:
    """After 200 accepted tiles a node still has the floor's cells redone: a cheat that touches every cell is refused on
    its first tile, as on the first of a new node."""
    suspicion = 0
    for _ in range(200):
        suspicion = policy.after_accept(suspicion, policy.FLOOR)
    probes = policy.probes(suspicion, cells=48)
    assert probes >= policy.FLOOR
    honest, claimed = noise(1), noise(3)
    verdicts = {render_trial(CONTRACT, TILE, claimed, honest, Lane.EXACT, probes) for _ in range(200)}
    assert verdicts == {Verdict.REJECT}
