"""Cheats before the lane of whole tiles: scenes with path guiding, who renders them, and what a cheat hands in."""

from __future__ import annotations

import secrets
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter

from jobs.contract import RenderContract
from jobs.geometry import Rect
from jobs.tiles import RenderTile
from node.calibrate.cheats import Desk
from node.calibrate.shots import Scene, Shot, shots_of
from node.calibrate.studio import NotKept, Planes, Studio
from verification.challenge import draw_frames, new_secret
from verification.commitment import cell_bytes, commit
from verification.compare import Comparison
from verification.judgement import judge_cells
from verification.limits import Limits

__all__ = ["ACROSS", "HONEST", "Whole", "cheated", "contract_of", "guided", "judged"]

ACROSS = (160, 96)
"""Width and height of frames across classes: 15,360 pixels, where 13,056 are needed."""
HONEST = "none: honest frames"


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


def guided(scene: Scene) -> Scene:
    """The scene with path guiding; made once."""
    blend = scene.folder / scene.blend
    made = blend.with_name("guided.blend")
    if not made.is_file():
        script = Path(__file__).with_name("guided_scene.py")
        subprocess.run([sys.executable, str(script), str(blend)], check=True, capture_output=True, timeout=280)
    return replace(scene, name=f"{scene.name}-guided", blend=str(made.relative_to(scene.folder)))


def contract_of(studio: Studio, shot: Shot) -> RenderContract:
    """Frames of one scene share it; guided, or the count would be of another lane."""
    contract = studio.contract(replace(shot, frame=shot.scene.frames[0]))
    assert contract.path_guiding and not contract.in_cells
    return contract


def cheated(whole: Whole, scene: Scene, frames: int) -> Iterator[tuple[str, str, Comparison]]:
    """(cheat, "same" or "across", verdict on its first tile), of pictures that the cheat changes at all; and of honest
    ones, for comparison."""
    shots, _ = shots_of(scene, cheats=frames, honest=0)
    for shot in shots:
        shot = replace(shot, overrides={"resolution": list(ACROSS)})
        try:
            contract = contract_of(whole.worker, shot)
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
