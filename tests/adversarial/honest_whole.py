"""The lane of whole tiles, counted: path guiding, which replays only as the rectangle that it was rendered as.

Within one class: rectangles of 16x16 pixels, each rendered by itself as if it were the window of its job, by one
process and again by another one with another number of threads, which has just rendered the low-resolution reference
and another frame; and whole frames, which is what the planner leases. Across classes: the same frames by mean and
noise, for which they have the pixels; the order of the two sides changes no p, so each pair is one tile. And a few
cheats, of which the first tile decides. Pictures of the same bits are counted once.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from typing import Any, NamedTuple

from jobs.contract import RenderContract
from jobs.states import Verdict
from node.calibrate.scene_set import gathered
from node.calibrate.shots import Scene, Shot, shots_of
from node.calibrate.sides import Side
from node.calibrate.studio import NotKept, Planes, Studio
from node.runner_process import RunnerFailure
from tests.adversarial.material import AWKWARD, SWITCHED, WORK, awkward
from tests.adversarial.trials import interval
from tests.adversarial.whole_cheats import ACROSS, Whole, cheated, contract_of, guided, judged
from verification.compare import Comparison
from verification.limits import Limits

__all__ = ["PICTURES", "count_whole"]

PICTURES: Mapping[str, tuple[int, int, int]] = {
    "golem_cubes": (144, 64, 2), "morse_human_walk": (116, 48, 2), "golem_column": (80, 20, 0),
    "image-sequence": (56, 48, 2), "geometry-nodes": (52, 48, 2), "adaptive-subdivision": (36, 16, 1),
    "hair": (36, 32, 2), "openshot_earth": (24, 12, 2), "ignis_glass": (92, 12, 1), "still": (4, 2, 0),
}  # fmt: skip
"""Of each scene, by how fast it renders: pictures cut into rectangles within one class, whole frames across
classes, and frames that are cheated on."""
_RAGGED = (166, 94)
"""The same of frames with adaptive sampling: 15,604 pixels, in regions of 16x16 of which the last ones are cut."""
_SIDE = 16
_OTHER = "sse42"
Say = Callable[[str], None]


class _Both(NamedTuple):
    """One frame, of either class; `again` as an auditor of the worker's class redid it, where one did."""

    shot: Shot
    contract: RenderContract
    mine: Planes
    again: Planes | None
    theirs: Planes


def count_whole(
    folders: list[Path], limits: Limits, *, pictures: Mapping[str, tuple[int, int, int]] = PICTURES,
    work: Path = WORK, kept: bool = False, say: Say = print,
) -> dict[str, Any]:  # fmt: skip
    """Honest tiles within one class and across, and cheats. `limits`: of the pair of classes, whose names they hold.
    What was rendered before is not rendered again; `kept`: nothing is, and what is not there is left out."""
    same: Counter[str] = Counter()
    alone: Counter[str] = Counter()
    across: dict[str, Counter[str]] = {"honest": Counter(), "apart": Counter()}
    cheats: dict[str, dict[str, Counter[str]]] = {}
    scenes: list[str] = []
    bits: set[bytes] = set()
    closest, differing, adaptive, afield = dict.fromkeys(across, 1.0), 0, 0, 0
    awkward()
    with ExitStack() as stack:
        own, other = Side.of("a"), Side.of(_OTHER, wrapper=SWITCHED[_OTHER])
        sides = (replace(own, threads=1), replace(own, threads=2), other)
        pools = [stack.enter_context(side.pool(work / f"runners-whole-{i}")) for i, side in enumerate(sides)]
        studios = (Studio(s, None if kept else p, work / "renders") for s, p in zip(sides, pools, strict=True))
        whole = Whole(*studios, limits=limits)
        for scene in gathered([*folders, AWKWARD], work / "scenes", only=tuple(pictures)):
            learned = guided(scene)
            alike, afar, faked = pictures[scene.name]
            try:
                same.update(_within(whole, learned, alike, bits))
                frames = _both(whole, learned, afar)
                differing += sum(one.mine.tobytes() != one.theirs.tobytes() for one in frames)
                adaptive += sum(one.shot.adaptive for one in frames)
                afield += bool(frames)
                alone.update(_alone(whole, frames))
                for what, comparison in _between(whole, frames):
                    across[what][str(comparison.verdict)] += 1
                    closest[what] = min(closest[what], float(comparison.evidence["p"]))
                    if comparison.verdict is not Verdict.ACCEPT:
                        say(f"{scene.name}, {what}: {comparison.reason}")
                for name, lane, comparison in cheated(whole, learned, faked):
                    cheats.setdefault(name, {}).setdefault(lane, Counter())[str(comparison.verdict)] += 1
            except RunnerFailure as error:
                say(f"{scene.name}: left out: {' '.join(str(error).split())[:160]}")
                continue
            scenes.append(scene.name)
            say(f"{scene.name}: within a class {dict(same)}; across {json.dumps(across)}, smallest p {closest}")
    off = same.pop("last bits", 0)
    stopped, total = same.pop("adaptive", 0), same.pop("pictures", 0)
    return {
        "same": {
            "tiles": same.total(), "refused": same["reject"], "escalated": same["escalate"],
            "pictures": total, "adaptive": stopped,
            "scenes": len(scenes), "distinct": len(bits), "last_bits": off,
        },
        "frames": {"tiles": alone.total(), "refused": alone["reject"]},
        "across": _counts(across["honest"], closest["honest"])
        | {
            "pictures": across["honest"].total(), "differing": differing, "scenes": afield,
            "adaptive": adaptive, "pixels": math.prod(ACROSS),
        },
        "apart": _counts(across["apart"], closest["apart"]),
        "cheats": {name: {lane: _rate(counted) for lane, counted in lanes.items()} for name, lanes in cheats.items()},
    }  # fmt: skip


def _counts(counted: Counter[str], closest: float) -> dict[str, Any]:
    return {
        "tiles": counted.total(), "refused": counted["reject"], "escalated": counted["escalate"], "smallest_p": closest
    }  # fmt: skip


def _rate(counted: Counter[str]) -> dict[str, Any]:
    low, high = interval(counted["reject"], counted.total(), tests=1)
    return {
        "tiles": counted.total(), "refused": counted["reject"], "escalated": counted["escalate"],
        "interval": [low, high],
    }  # fmt: skip


def _within(whole: Whole, scene: Scene, pictures: int, bits: set[bytes]) -> Iterator[str]:
    """For each tile its verdict, and its bits into `bits`; "pictures" and "adaptive" for each different picture,
    "last bits" for each tile that did not repeat to the bit."""
    _, shots = shots_of(scene, cheats=0, honest=pictures)
    seen: set[bytes] = set()
    for shot in shots:
        try:
            contract = contract_of(whole.worker, shot)
            rects = list(contract.rect.blocks(_SIDE))
            mine = whole.worker.pieces(shot, contract, rects)
            theirs = whole.auditor.pieces(shot, contract, rects, again=True)
        except NotKept:
            continue
        if _known(seen, *mine):
            continue
        yield from ["pictures"] + ["adaptive"] * shot.adaptive
        for rect, claimed, redone in zip(rects, mine, theirs, strict=True):
            _known(bits, claimed)
            if claimed.tobytes() != redone.tobytes():
                yield "last bits"
            yield str(judged(contract, shot.frame, rect, claimed, redone, whole.same).verdict)


def _known(seen: set[bytes], *planes: Planes) -> bool:
    """Whether these bits were there before; they are from now on."""
    digest = hashlib.sha256(b"".join(part.tobytes() for part in planes)).digest()
    before = digest in seen
    seen.add(digest)
    return before


def _both(whole: Whole, scene: Scene, pictures: int) -> list[_Both]:
    _, shots = shots_of(scene, cheats=0, honest=pictures)
    found: list[_Both] = []
    seen: set[bytes] = set()
    for shot in shots:
        shot = replace(shot, overrides={"resolution": list(_RAGGED if shot.adaptive else ACROSS)})
        try:
            contract = contract_of(whole.worker, shot)
            (mine,) = whole.worker.pieces(shot, contract, [contract.rect])
            (theirs,) = whole.other.pieces(shot, contract, [contract.rect], again=True)
        except NotKept:
            continue
        if not _known(seen, mine):
            found.append(_Both(shot, contract, mine, _again(whole, shot, contract), theirs))
    return found


def _again(whole: Whole, shot: Shot, contract: RenderContract) -> Planes | None:
    try:
        (again,) = whole.auditor.pieces(shot, contract, [contract.rect], again=True)
    except NotKept:
        return None
    return again


def _alone(whole: Whole, frames: list[_Both]) -> Iterator[str]:
    """The verdict within one class for each frame that was redone there."""
    for one in frames:
        if one.again is not None:
            rect = one.contract.rect
            yield str(judged(one.contract, one.shot.frame, rect, one.mine, one.again, whole.same).verdict)


def _between(whole: Whole, frames: list[_Both]) -> Iterator[tuple[str, Comparison]]:
    """("honest", verdict) for each frame. ("apart", verdict) for each two seeds of one frame, one rendered by each
    class: what honest frames would be if not one grain were the same."""
    for one in frames:
        yield "honest", judged(one.contract, one.shot.frame, one.contract.rect, one.mine, one.theirs, whole.across)
    for one, two in permutations(frames, 2):
        if (one.shot.frame, one.shot.adaptive) == (two.shot.frame, two.shot.adaptive):
            contract = one.contract
            yield "apart", judged(contract, one.shot.frame, contract.rect, one.mine, two.theirs, whole.across)
