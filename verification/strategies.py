"""The strategies that verification.economics is asked about: what each saves, and what it touches.

`saves` counts what is left out, so it is an upper bound (leaving out half of the samples saves at most half of the
work). `touches` is 1 where every cell comes out differently by construction, and measured where a cheat touches a part:
economy_data/render.json (tests/economy/measure.py: scene by scene, share touched and processor time saved together) and
calibration_data/adversaries.json (`make adversaries`). Where several scenes were measured, the one counts that is best
for the cheater.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from jobs.planner import WHOLE_RUN
from verification.economics import (
    DEFAULT_STAKE_USD,
    HANDLING,
    Career,
    career,
    collusion_gain,
    collusion_slashed,
    gain,
    refused,
    refused_in_frames,
    stake_needed,
    stake_per_tile_pay,
    wash_trading,
)
from verification.limits import ADVERSARIES, SHIPPED
from verification.policy import FLOOR, GOOD, MOST_CREDIT, REFUSALS_FORGIVEN, REMEMBERED, floor_for, frames_again

__all__ = ["Cheat", "Outcome", "cheats", "least_shares", "outcome_of", "outcomes"]

_EMPTY = "only the empty background"
RENDER_DATA = Path(__file__).parent / "economy_data" / "render.json"
ALL = 1 - HANDLING
"""Nothing is computed at all."""


class Cheat(NamedTuple):
    """Something left out of each tile."""

    name: str
    touches: float
    saves: float
    source: str
    frames: bool = False
    """Only whole frames replay, and frames are what is faked and redone."""
    floor: int = FLOOR
    """Cells redone in good standing: more where a picture is mostly empty (verification.policy.floor_for)."""

    def at_floor(self) -> float:
        """Chance that a tile of a node in good standing is refused."""
        return self.refused(FLOOR)

    def refused(self, probed: int) -> float:
        """Chance that a tile is refused of which `probed` cells (or the drawn frames) are redone; `probed` as for a
        floor of FLOOR."""
        if self.frames:
            faked = max(1, round(self.touches * WHOLE_RUN))
            return refused_in_frames(WHOLE_RUN, faked, frames_again(GOOD, frames=WHOLE_RUN))
        return refused(self.touches, probed * self.floor // FLOOR)


class Outcome(NamedTuple):
    """One line of the table. Amounts in units of one tile's pay, per tile, beyond honest work."""

    name: str
    touches: float | None
    saves: float | None
    refused: float
    """Chance that a tile of a node in good standing is refused."""
    tiles: float | None
    """Expected tiles from good standing to the end of a node that goes on; None where nothing ends it."""
    gain: float
    """Profit if no stake were lost: what withheld pay alone leaves."""
    stake: float
    """Stake, in tiles' pay, that is needed to keep it below zero."""
    profit: float
    """Profit with the default stake."""
    source: str


_EVERY_CELL = {
    "black, white or another frame, scene or camera": ALL,
    "63 of 64 samples": 1 / 64,
    "56 of 64 samples": 8 / 64,
    "half of the samples": 1 / 2,
    "a quarter of the samples, denoised": 3 / 4,
    "half the resolution, upscaled": 3 / 4,
    "another seed, 2% brighter, recompressed (nothing saved)": 0.0,
    "a copy of another tile": ALL,
    "another class than claimed": 1 / 2,
    "fp16 or bf16 weights": 1 / 2,
    "int8 weights": 3 / 4,
    "5% of the weights pruned": 0.05,
    "30% of the weights pruned": 0.30,
    "a smaller model, constant or cached output": ALL,
    "half the input resolution": 3 / 4,
}
"""Changes every cell it can, by construction: what is left out of each."""
_MEASURED_AS = {
    "63 of 64 samples": "samples-63",
    "56 of 64 samples": "samples-56",
    "half of the samples": "samples-32",
    "a quarter of the samples, denoised": "denoised-16",
    "half the resolution, upscaled": "half-resolution",
    "fp16 or bf16 weights": "bf16-weights",
    "int8 weights": "int8-weights",
    "5% of the weights pruned": "pruned-5",
    "30% of the weights pruned": "pruned-30",
    "half the input resolution": "half-size-input",
}
"""What `make adversaries` calls them: then the least share of cells that it saw changed counts, since flat parts of a
picture may come out the same."""
_PARTS = {"0.1% of the cells": 0.001, "1% of the cells": 0.01, "10% of the cells": 0.1, "half of the cells": 0.5}
"""Faked, the rest done: as much is saved as is touched, where cells cost alike."""


def _measured(path: Path = RENDER_DATA) -> Mapping[str, Any]:
    scenes: Mapping[str, Any] = json.loads(path.read_text())["scenes"]
    return scenes


def least_shares(folder: Path = SHIPPED) -> dict[str, float]:
    """The least share of a tile's cells that each cheat changed, as `make adversaries` measured; empty before that."""
    file = folder / ADVERSARIES
    if not file.is_file():
        return {}
    found = json.loads(file.read_text())
    rows = [row for kind in ("render", "infer") for row in found.get(kind, ())]
    shares = {row["name"]: row.get("least_share_of_cells", row.get("share_of_cells")) for row in rows}
    return {name: float(share) for name, share in shares.items() if share}


def _worst(name: str, found: list[tuple[float, float, str]], scenes: Mapping[str, Any]) -> Cheat:
    """The pair (touches, saves) that is best for the cheater, each with the cells that its scene gets."""
    count = len({scene for _, _, scene in found})
    rows = [
        Cheat(name, touches, saves, f"measured, {count} scenes, the worst: {scene}", False, _floor(scenes[scene]))
        for touches, saves, scene in found
    ]
    return max(rows, key=lambda row: gain(row.saves, row.at_floor()))


def _saved(row: Mapping[str, float]) -> float:
    """A saving counts where three of four pairs of renders show one: the rest cannot be told from noise."""
    return min(row["saves"], ALL) if row.get("saves_low", row["saves"]) > 0 else 0.0


def _floor(scene: Mapping[str, Any]) -> int:
    content = scene["cheats"].get(_EMPTY, {}).get("touches", 1.0)
    return floor_for(float(content))


def cheats() -> Iterator[Cheat]:
    """All ways to leave something out of a tile."""
    seen = least_shares()
    for name, saves in _EVERY_CELL.items():
        share = seen.get(_MEASURED_AS.get(name, ""))
        source = "every cell, by construction" if share is None else "make adversaries, the least of all pictures"
        yield Cheat(name, 1.0 if share is None else share, saves, source)
    for name, share in _PARTS.items():
        yield Cheat(f"{name} faked", share, share * ALL, "by construction, where cells cost alike")
    scenes = _measured()
    dearest = [(float(s), float(v), name) for name, row in scenes.items() for s, v in row["dearest"].items()]
    yield _worst("the dearest cells faked, the cheap ones done", dearest, scenes)
    kinds = sorted({kind for row in scenes.values() for kind in row["cheats"]})
    for kind in kinds:
        rows = [(name, row["cheats"][kind]) for name, row in scenes.items() if kind in row["cheats"]]
        yield _worst(kind, [(one["touches"], _saved(one), name) for name, one in rows if one["touches"] > 0], scenes)
    yield Cheat("1 of 64 items forged", 1 / 64, 1 / 64, "by construction")
    for faked in (1, WHOLE_RUN // 2, WHOLE_RUN):
        share = faked / WHOLE_RUN
        yield Cheat(f"{faked} of {WHOLE_RUN} whole frames faked", share, share * ALL, "by construction", True)


def outcome_of(cheat: Cheat, stake: float) -> Outcome:
    """What a node earns that does this in every tile until it is stopped, with a stake of so many tiles' pay."""
    chance = cheat.at_floor()
    alone = gain(cheat.saves, chance)
    life: Career = career(cheat.saves, cheat.refused)
    slashed = 1 / life.tiles
    return Outcome(
        cheat.name, cheat.touches, cheat.saves, chance, life.tiles, alone, stake_needed(alone, slashed),
        max(alone, life.gain / life.tiles) - slashed * stake, cheat.source,
    )  # fmt: skip


def _resting(best: Cheat) -> Outcome:
    """Cheats in good standing until refused, then works honestly until that is forgotten: by the test after six tiles,
    and so that no more than REFUSALS_FORGIVEN are remembered, which is what keeps it from ever being a pattern."""
    chance = best.at_floor()
    rest = max(math.ceil(-GOOD / MOST_CREDIT), REMEMBERED / REFUSALS_FORGIVEN - 1 / chance)
    profit = gain(best.saves, chance) / chance / (1 / chance + rest)
    name = f"the best of these ({best.name}) until refused, then honest until forgotten"
    return Outcome(name, best.touches, best.saves, chance, None, profit, 0.0, profit, "no stake is ever lost")


def _renamed(best: Cheat) -> Outcome:
    """A new name after each refusal: the stake comes along. A new node's tiles have three times the cells."""
    chance = best.refused(MOST_CREDIT)
    profit = gain(best.saves, chance)
    name = "many identities: the same, under a new name after each refusal"
    return Outcome(name, best.touches, best.saves, chance, None, profit, 0.0, profit, "names cost nothing here")


def _colluding(stake: float, partners: float) -> Outcome:
    """Nothing is done; the drawn auditor is a partner with this chance."""
    alone, slashed = collusion_gain(ALL, partners), collusion_slashed(partners)
    return Outcome(
        f"nothing done, {partners:.0%} of the auditors are partners", 1.0, ALL, ALL - alone, 1 / slashed, alone,
        stake_needed(alone, slashed), alone - slashed * stake, "trusted workers repeat a share of strangers' audits",
    )  # fmt: skip


def _delivering_nothing(name: str) -> Outcome:
    """A lease that is taken and not kept: no pay, and what it took to take it."""
    return Outcome(name, None, ALL, 1.0, None, gain(ALL, 1.0), 0.0, gain(ALL, 1.0), "no delivery, no receipt")


def outcomes(stake_usd: float = DEFAULT_STAKE_USD) -> list[Outcome]:
    """The table: every strategy with the default policy and this stake."""
    stake = stake_per_tile_pay(stake_usd)
    all_cheats = list(cheats())
    rows = [outcome_of(cheat, stake) for cheat in all_cheats]
    best = max((one for one in all_cheats if not one.frames), key=lambda one: gain(one.saves, one.at_floor()))
    rows += [_resting(best), _renamed(best)]
    rows.append(rows[0]._replace(name="honest for 200 tiles, then black", source="a long honest past buys nothing"))
    rows += [_colluding(stake, partners) for partners in (0.1, 0.5, 1.0)]
    wash = wash_trading()
    rows.append(Outcome("wash trading: own jobs, own nodes", 0.0, 0.0, 0.0, None, wash, 0.0, wash, "5% fee, 5% burned"))
    rows.append(_delivering_nothing("vanishing: leases taken, or committed to, and never delivered"))
    rows.append(_delivering_nothing("bid spamming: asking least for leases it cannot keep"))
    return rows
