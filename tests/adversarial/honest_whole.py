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
import secrets
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import permutations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter

from jobs.contract import RenderContract
from jobs.geometry import Rect
from jobs.states import Verdict
from jobs.tiles import RenderTile
from node.calibrate.cheats import Desk
from node.calibrate.scene_set import gathered
from node.calibrate.shots import Scene, Shot, shots_of
from node.calibrate.sides import Side
from node.calibrate.studio import NotKept, Planes, Studio
from node.runner_process import RunnerFailure
from tests.adversarial.material import AWKWARD, SWITCHED, WORK, awkward
from tests.adversarial.trials import interval
from verification.challenge import draw_frames, new_secret
from verification.commitment import cell_bytes, commit
from verification.compare import Comparison
from verification.judgement import judge_cells
from verification.limits import Limits

__all__ = ["HONEST", "PICTURES", "Whole", "count_whole", "judged"]

PICTURES: Mapping[str, tuple[int, int, int]] = {
    "golem_cubes": (144, 64, 2), "morse_human_walk": (116, 48, 2), "golem_column": (80, 20, 0),
    "image-sequence": (56, 48, 2), "geometry-nodes": (52, 48, 2), "adaptive-subdivision": (36, 16, 1),
    "hair": (36, 32, 2), "openshot_earth": (24, 12, 2), "ignis_glass": (92, 12, 1), "still": (4, 2, 0),
}  # fmt: skip
"""Of each scene, by how fast it renders: pictures cut into rectangles within one class, whole frames across
classes, and frames that are cheated on."""
_ACROSS = (160, 96)
"""Width and height of frames across classes: 15,360 pixels, where 13,056 are needed."""
_RAGGED = (166, 94)
"""The same of frames with adaptive sampling: 15,604 pixels, in regions of 16x16 of which the last ones are cut."""
_SIDE = 16
HONEST = "none: honest frames"
_OTHER = "sse42"
Say = Callable[[str], None]


@dataclass(frozen=True)
class Whole:
    """Who renders: the worker, an auditor of its class, and an auditor of the other one."""

    worker: Studio
    auditor: Studio
    other: Studio
    limits: Limits

    @property
    def same(self) -> tuple[str, str]:
        return self.limits.worker_class, self.limits.worker_class

    @property
    def across(self) -> tuple[str, str]:
        return self.limits.worker_class, self.limits.auditor_class


class _Both(NamedTuple):
    """One frame, of either class; `again` as an auditor of the worker's class redid it."""

    shot: Shot
    contract: RenderContract
    mine: Planes
    again: Planes
    theirs: Planes


def judged(
    contract: RenderContract, frame: int, rect: Rect, claimed: Planes, redone: Planes, classes: tuple[str, str]
) -> Comparison:
    """A lease, a commitment, a drawn frame and a verdict, by the code that decides in production. Raises ValueError
    where nobody of the auditor's class may judge."""
    tile = RenderTile(frames=(frame,), rect=tuple(rect), samples=(0, contract.samples))
    lease, data, again = secrets.token_hex(16), claimed.tobytes(), redone.tobytes()
    drawn = draw_frames(commit(lease, contract, tile, data).root, lease, new_secret(), tile, frames=1)
    shown, found = ({i: cell_bytes(contract, tile, part, i) for i in drawn} for part in (data, again))
    lane, comparison = judge_cells(contract, tile, classes, shown, found)
    if lane is not contract.lane or comparison is None:
        raise ValueError(f"{classes[1]} cannot judge {classes[0]} in the lane of whole tiles (lane {lane})")
    return comparison


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
    closest, differing, adaptive = dict.fromkeys(across, 1.0), 0, 0
    awkward()
    with ExitStack() as stack:
        own, other = Side.of("a"), Side.of(_OTHER, wrapper=SWITCHED[_OTHER])
        sides = (replace(own, threads=1), replace(own, threads=2), other)
        pools = [stack.enter_context(side.pool(work / f"runners-whole-{i}")) for i, side in enumerate(sides)]
        studios = (Studio(s, None if kept else p, work / "renders") for s, p in zip(sides, pools, strict=True))
        whole = Whole(*studios, limits=limits)
        for scene in gathered([*folders, AWKWARD], work / "scenes", only=tuple(pictures)):
            guided = _guided(scene)
            alike, afar, cheated = pictures[scene.name]
            try:
                same.update(_within(whole, guided, alike, bits))
                frames = _both(whole, guided, afar)
                differing += sum(one.mine.tobytes() != one.theirs.tobytes() for one in frames)
                adaptive += sum(one.shot.adaptive for one in frames)
                for one in frames:
                    found = judged(one.contract, one.shot.frame, one.contract.rect, one.mine, one.again, whole.same)
                    alone[str(found.verdict)] += 1
                for what, comparison in _between(whole, frames):
                    across[what][str(comparison.verdict)] += 1
                    closest[what] = min(closest[what], float(comparison.evidence["p"]))
                    if comparison.verdict is not Verdict.ACCEPT:
                        say(f"{scene.name}, {what}: {comparison.reason}")
                for name, lane, comparison in _cheated(whole, guided, cheated):
                    cheats.setdefault(name, {}).setdefault(lane, Counter())[str(comparison.verdict)] += 1
            except RunnerFailure as error:
                say(f"{scene.name}: left out: {' '.join(str(error).split())[:160]}")
                continue
            scenes.append(scene.name)
            say(f"{scene.name}: within a class {dict(same)}; across {json.dumps(across)}, smallest p {closest}")
    stopped, total = same.pop("adaptive", 0), same.pop("pictures", 0)
    return {
        "same": {
            "tiles": same.total(), "refused": same["reject"], "pictures": total, "adaptive": stopped,
            "scenes": len(scenes), "distinct": len(bits),
        },
        "frames": {"tiles": alone.total(), "refused": alone["reject"]},
        "across": _counts(across["honest"], closest["honest"])
        | {
            "pictures": across["honest"].total(), "differing": differing, "scenes": len(scenes),
            "adaptive": adaptive, "pixels": math.prod(_ACROSS),
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


def _guided(scene: Scene) -> Scene:
    """The scene with path guiding; made once."""
    blend = scene.folder / scene.blend
    made = blend.with_name("guided.blend")
    if not made.is_file():
        script = Path(__file__).with_name("guided_scene.py")
        subprocess.run([sys.executable, str(script), str(blend)], check=True, capture_output=True, timeout=280)
    return replace(scene, name=f"{scene.name}-guided", blend=str(made.relative_to(scene.folder)))


def _contract(studio: Studio, shot: Shot) -> RenderContract:
    """Frames of one scene share it; guided, or the count would be of another lane."""
    contract = studio.contract(replace(shot, frame=shot.scene.frames[0]))
    assert contract.path_guiding and not contract.in_cells
    return contract


def _within(whole: Whole, scene: Scene, pictures: int, bits: set[bytes]) -> Iterator[str]:
    """For each tile its verdict, and its bits into `bits`; "pictures" and "adaptive" for each different picture."""
    _, shots = shots_of(scene, cheats=0, honest=pictures)
    seen: set[bytes] = set()
    for shot in shots:
        try:
            contract = _contract(whole.worker, shot)
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
        shot = replace(shot, overrides={"resolution": list(_RAGGED if shot.adaptive else _ACROSS)})
        try:
            contract = _contract(whole.worker, shot)
            (mine,) = whole.worker.pieces(shot, contract, [contract.rect])
            (again,) = whole.auditor.pieces(shot, contract, [contract.rect], again=True)
            (theirs,) = whole.other.pieces(shot, contract, [contract.rect], again=True)
        except NotKept:
            continue
        if not _known(seen, mine):
            found.append(_Both(shot, contract, mine, again, theirs))
    return found


def _between(whole: Whole, frames: list[_Both]) -> Iterator[tuple[str, Comparison]]:
    """("honest", verdict) for each frame. ("apart", verdict) for each two seeds of one frame, one rendered by each
    class: what honest frames would be if not one grain were the same."""
    for one in frames:
        yield "honest", judged(one.contract, one.shot.frame, one.contract.rect, one.mine, one.theirs, whole.across)
    for one, two in permutations(frames, 2):
        if (one.shot.frame, one.shot.adaptive) == (two.shot.frame, two.shot.adaptive):
            contract = one.contract
            yield "apart", judged(contract, one.shot.frame, contract.rect, one.mine, two.theirs, whole.across)


def _cheated(whole: Whole, scene: Scene, frames: int) -> Iterator[tuple[str, str, Comparison]]:
    """(cheat, "same" or "across", verdict on its first tile), of pictures that the cheat changes at all; and of honest
    ones, for comparison."""
    shots, _ = shots_of(scene, cheats=frames, honest=0)
    for shot in shots:
        shot = replace(shot, overrides={"resolution": list(_ACROSS)})
        try:
            contract = _contract(whole.worker, shot)
            (honest,) = whole.worker.pieces(shot, contract, [contract.rect])
            (again,) = whole.auditor.pieces(shot, contract, [contract.rect], again=True)
            (afar,) = whole.other.pieces(shot, contract, [contract.rect], again=True)
            claims = list(_claims(whole, shot, contract, honest))
        except NotKept:
            continue
        for name, claimed in claims:
            if name != HONEST and claimed.tobytes() == honest.tobytes():
                continue
            for lane, redone, classes in (("same", again, whole.same), ("across", afar, whole.across)):
                yield name, lane, judged(contract, shot.frame, contract.rect, claimed, redone, classes)


def _claims(whole: Whole, shot: Shot, contract: RenderContract, honest: Planes) -> Iterator[tuple[str, Planes]]:
    studio = whole.worker
    half = studio.tile(shot, contract, samples=(0, contract.samples // 2))
    yield HONEST, honest
    yield "half of the samples", half
    yield "half of the samples, smoothed as it fits best", _smoothed(whole, shot, contract, half, honest)
    yield "another seed", studio.tile(shot, _seeded(contract, contract.seed + 1))
    yield "2% brighter", Desk(studio, shot, contract, honest, None).recolored(lambda rgb: rgb * np.float32(1.02))
    yield "a third of the light bounces", studio.tile(shot, contract, blend=_fewer_bounces(shot.scene))
    if len(shot.scene.frames) > 1:
        yield "the next frame", studio.tile(replace(shot, frame=shot.frame + 1), contract)


def _smoothed(whole: Whole, shot: Shot, contract: RenderContract, few: Planes, honest: Planes) -> Planes:
    """`few` with noise of the right strength: mixed with what a Gaussian filter makes of it, by the share (in steps of
    a twentieth) that the test of the lane likes best. Nobody who saved the samples has `honest` to choose by."""
    soft = few.copy()
    for at, channel in enumerate(contract.channels):
        if channel.endswith((".R", ".G", ".B")):  # depth and alpha have hardly any noise
            soft[at] = gaussian_filter(few[at], 1)
    mixed = [(few + np.float32(step / 20) * (soft - few)).astype(np.float32) for step in range(13)]

    def likes(claimed: Planes) -> float:
        found = judged(contract, shot.frame, contract.rect, claimed, honest, whole.across)
        return float(found.evidence["p"])

    return max(mixed, key=likes)


def _seeded(contract: RenderContract, seed: int) -> RenderContract:
    return contract.model_copy(update={"seed": seed, "overrides": {**contract.overrides, "seed": seed}})


def _fewer_bounces(scene: Scene) -> str:
    return str(Path(scene.blend).with_name("guided-bounces.blend"))
