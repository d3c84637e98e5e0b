"""How much of a tile is redone: a sequential probability ratio test over each node's audits, with a floor.

Wald's test [1] weighs two explanations of what a node's audits have found so far:

    honest    a redone cell comes out differently at most at the rate FAULT_RATE (memory errors exist)
    cheating  the node fakes at least the share CHEAT_SHARE of its cells

by the logarithm of the likelihood ratio. A cell that came out adds log((1 - CHEAT_SHARE) / (1 - FAULT_RATE)), a refusal
log(CHEAT_SHARE / FAULT_RATE). All of it is kept in whole numbers, in units of one cell that came out: `suspicion` falls
by one for each cell, rises by REFUSAL for each refused tile, and starts at 0.

    suspicion <= GOOD         the test accepts "honest": good standing, the floor
    GOOD < suspicion <= 0     not decided: a new node, or one that was refused once a while ago
    0 < suspicion < PATTERN   once suspect
    suspicion >= PATTERN      the test accepts "cheating": a pattern; no paid work, a second auditor confirms

It never falls below GOOD, so a long honest past buys nothing (this makes it Page's test [2]: one that never stops). A
refused tile counts once however many cells differ, and a tile's cells count up to MOST_CREDIT: what goes wrong within
one tile has one cause. Beside the test, more than REFUSALS_FORGIVEN refusals in REMEMBERED tiles are a pattern too.
docs/decisions/0013 and 0021 give reasons for the numbers; tests/unit/test_policy.py measures the error rates.

[1] A. Wald, Sequential Tests of Statistical Hypotheses, Annals of Mathematical Statistics 16 (1945), 117-186.
[2] E. S. Page, Continuous Inspection Schemes, Biometrika 41 (1954), 100-115.
"""

from __future__ import annotations

import math
from enum import StrEnum

from jobs.planner import WHOLE_RUN

__all__ = [
    "CHEAT_SHARE", "ERROR_RATE", "FAULT_RATE", "FLOOR", "GOOD", "LAPSES_FORGIVEN", "MISSED", "MOST_CREDIT", "PATTERN",
    "RECHECK_SHARE", "REFUSAL", "REFUSALS_FORGIVEN", "REMEMBERED", "TOLERANT_FLOOR", "Standing", "after_accept",
    "after_refusal", "floor_for", "frames_again", "keeps_its_word", "probes", "repeats", "standing", "survival",
]  # fmt: skip

CHEAT_SHARE = 0.05
"""The smallest share of faked cells that the test is laid out for; smaller ones are unprofitable without it, because
their tiles are refused more often than they save work (verification.economics)."""
FAULT_RATE = 1e-4
"""Redone cells of an honest node that may come out differently. An allowance: none was seen in what was measured, which
for 3,000 tiles of 8 cells bounds it at 1.25e-4 with 95% confidence (3 / 24,000)."""
ERROR_RATE = 1e-3
"""Of both kinds: an honest node suspended by one run of the test, a cheat of CHEAT_SHARE called honest."""
_PASS = math.log((1 - FAULT_RATE) / (1 - CHEAT_SHARE))
_BOUND = math.log((1 - ERROR_RATE) / ERROR_RATE)
GOOD = -math.ceil(_BOUND / _PASS)
"""-135: that many cells without a refusal are good standing."""
PATTERN = math.ceil(_BOUND / _PASS)
"""135: two refusals of a new node, three in short order of one in good standing."""
REFUSAL = round(math.log(CHEAT_SHARE / FAULT_RATE) / _PASS)
"""121: how many cells must come out to make up for one refused tile."""

REMEMBERED = 200
"""Judged tiles of a node over which its refusals are counted, whatever came out in between."""
REFUSALS_FORGIVEN = 4
"""Of these, so many may be refused. The test above forgets a refusal within six tiles, so that who works honestly for
just so long could go on for ever. An honest node at FAULT_RATE has 200 x 8 x 1e-4 = 0.16 refusals in 200 tiles, and
more than four once in 1,300,000 times; with 24 cells a tile once in 7,000 (Poisson)."""

FLOOR = 8
"""Cells of each tile of a node in good standing. 7 refuse a cheat of CHEAT_SHARE within 20 tiles in 999 of 1,000 cases
((1 - 0.05)^(7 x 20) = 0.0008); with 8 half of the cells faked survive one tile in 256."""
TOLERANT_FLOOR = 24
"""The same of a render that is compared across numerics classes. There no one cell decides, but the share of pixels
that are off in all of them; of eight cells it scatters so widely that a cheat which leaves half of the picture alone
(the next frame of a scene in which little moves) was taken for another class in 8 of 1,000 draws (decision 23)."""
MISSED = 0.005
"""Chance, at most, that who leaves out all of a picture but its empty background is not refused: below what handling a
tile costs anyway (verification.economics.HANDLING), so it cannot pay."""
_MOST_FLOOR = 256
_NEW, _SUSPECT = 3, 6
"""Times the floor: a new node's audits may cost 6% where those of one in good standing cost 2%."""
MOST_CREDIT = _NEW * FLOOR
"""Cells that one tile counts for at most: good standing takes at least six tiles."""
_MOST_DOUBLINGS = 4
LAPSES_FORGIVEN = 3
"""Leases that anybody may let lapse in a day: machines are switched off, lines are cut."""
RECHECK_SHARE = 0.125
"""Share of strangers' audits, accepts as well as refusals, that a trusted worker repeats."""


class Standing(StrEnum):
    """What the test says of a node so far."""

    GOOD = "good"
    """Accepted as honest."""
    NEW = "new"
    """Not decided."""
    SUSPECT = "suspect"
    """Not decided, and a refusal weighs more than all that came out since."""
    PATTERN = "pattern"
    """Accepted as cheating."""


def standing(suspicion: int) -> Standing:
    """The test's state at this value."""
    if suspicion <= GOOD:
        return Standing.GOOD
    if suspicion <= 0:
        return Standing.NEW
    return Standing.SUSPECT if suspicion < PATTERN else Standing.PATTERN


def after_accept(suspicion: int, cells: int) -> int:
    """Suspicion after a tile was accepted of which `cells` cells had come out again."""
    return max(GOOD, suspicion - min(cells, MOST_CREDIT))


def after_refusal(suspicion: int) -> int:
    """Suspicion after a tile was refused."""
    return max(GOOD, suspicion) + REFUSAL


def repeats(refusals: int) -> bool:
    """Whether so many refusals in the last REMEMBERED judged tiles are a pattern by themselves."""
    return refusals > REFUSALS_FORGIVEN


def probes(suspicion: int, *, cells: int, floor: int = FLOOR, grounds: int = 0, least: int = 1) -> int:
    """Cells to redo in a tile of `cells` cells: `floor` in good standing, three times as many for a new node, six times
    for a suspect one, `least` whoever it is, doubled for each of the gate's `grounds`; all of them where there are no
    more, never none."""
    times = {Standing.GOOD: 1, Standing.NEW: _NEW}.get(standing(suspicion), _SUSPECT)
    return max(1, min(cells, max(times * max(1, floor), least) << min(max(0, grounds), _MOST_DOUBLINGS)))


def floor_for(content: float, floor: int = FLOOR) -> int:
    """The floor for a picture of which the share `content` is not empty background: m with (1 - content)^m <= MISSED,
    where that is more than `floor`; from about half of the picture on it is not. At most 256, for 2% of content."""
    if content >= 1:
        return floor
    needed = math.log(MISSED) / math.log(1 - content) if content > 0 else math.inf
    return max(floor, math.ceil(min(needed, _MOST_FLOOR)))


def frames_again(suspicion: int, *, frames: int, grounds: int = 0) -> int:
    """Frames to redo of a tile of `frames` frames where only whole frames replay: a tenth in good standing (one at
    least), three times as many for a new node, all for a suspect one or where the gate has grounds."""
    state = standing(suspicion)
    if grounds or state not in (Standing.GOOD, Standing.NEW):
        return frames
    return min(frames, math.ceil(frames / WHOLE_RUN) * (1 if state is Standing.GOOD else _NEW))


def keeps_its_word(kept: int, lapsed: int) -> bool:
    """Whether a node that delivered `kept` tiles lately, and let `lapsed` leases lapse, gets more of them and has its
    ask counted: three lapses are forgiven, and one for each four tiles that were delivered."""
    return lapsed <= LAPSES_FORGIVEN + kept // 4


def survival(share: float, probes: int) -> float:
    """Chance that a node which faked this share of its cells is not seen by that many probes: (1 - share)^probes, and
    less where the tile is so small that drawing without replacement matters."""
    return float((1 - share) ** probes)
