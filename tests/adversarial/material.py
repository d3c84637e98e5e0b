"""What trials draw from: pictures and batches, honest and cheating, of this machine's class and of emulated ones.

Everything is rendered once and kept in build/; a second run draws again without rendering.
"""

from __future__ import annotations

import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from jobs.contract import InferContract, RenderContract
from node.calibrate.batches import INFER_CHEATS, Results, Workbench, cheated
from node.calibrate.cheats import RENDER_CHEATS, Desk
from node.calibrate.models import find_models
from node.calibrate.scene_set import gathered
from node.calibrate.shots import Scene, Shot, shots_of
from node.calibrate.sides import Side
from node.calibrate.studio import NotKept, Planes, Studio, pasted
from node.runner_process import RunnerFailure
from verification.calibration import Calibration
from verification.limits import SHIPPED, Limits

__all__ = [
    "AWKWARD",
    "EMULATED",
    "ITEMS",
    "SWITCHED",
    "WORK",
    "Batch",
    "Material",
    "Picture",
    "awkward",
    "gather",
    "limits_across",
]

REPO = Path(__file__).parents[2]
WORK = REPO / "build" / "calibrate"
AWKWARD = REPO / "build" / "adversaries" / "awkward"
ITEMS = 8
"""Of each model; as many as the shipped calibrations ran."""
EMULATED = {"avx2": "qemu-x86_64 -cpu max", "no-avx2": "qemu-x86_64 -cpu max,-avx2"}
"""Numerics classes that this machine can have through an emulator, at a fiftieth of its speed."""
SWITCHED = {"sse42": "env CYCLES_CPU_NO_AVX2=1"}
"""A class that Cycles has by a switch of its own, at full speed: its kernel for machines without AVX2."""
_SLUGS = {
    "avx2": "qemu-x86-64-cpu-max", "no-avx2": "qemu-x86-64-cpu-max-avx2", "sse42": "env-cycles-cpu-no-avx2-1"
}  # fmt: skip


@dataclass
class Picture:
    """One shot: the worker's, the auditor's (this class; put together from cells rendered alone by a runner that had
    rendered other things before; None where that was not asked for), and those of other classes by name."""

    shot: Shot
    contract: RenderContract
    honest: Planes
    audited: Planes | None
    others: dict[str, Planes] = field(default_factory=dict)
    cheats: dict[str, Planes] = field(default_factory=dict)


@dataclass
class Batch:
    """One model's items, in the same order everywhere."""

    name: str
    contract: InferContract
    honest: Results
    audited: Results
    others: dict[str, Results] = field(default_factory=dict)
    cheats: dict[str, Results] = field(default_factory=dict)


@dataclass
class Material:
    pictures: list[Picture] = field(default_factory=list)
    batches: list[Batch] = field(default_factory=list)
    limits: dict[tuple[str, str], Limits] = field(default_factory=dict)
    """By kind and emulated class; what was calibrated and shipped."""
    skipped: list[str] = field(default_factory=list)


def gather(
    scenes: list[Path], *, only: tuple[str, ...] = (), honest: int = 0, render: bool = True,
    audit: bool = True, cheat: bool = True, infer: bool = True, models: tuple[str, ...] = (),
    honest_of: Mapping[str, int] | None = None, kept: bool = False,
    say: Callable[[str], None] = print,
) -> Material:  # fmt: skip
    """Render what is not there yet; `honest` more pictures of each scene, of some as many as `honest_of` says. Of
    emulated classes only what `kilnet calibrate` has rendered already is taken where `render` is False; cells are not
    redone in this class where `audit` is False, nothing is faked where `cheat` is, models not run where `infer` is.
    `kept`: nothing at all is rendered, and pictures that were not are left out."""
    wrappers = EMULATED | SWITCHED
    warnings.simplefilter("ignore", RuntimeWarning)
    found = Material(limits=limits_across())
    awkward()
    with ExitStack() as stack:
        own = stack.enter_context(Side.of("a").pool(WORK / "runners-worker"))
        again = stack.enter_context(Side.of("a").pool(WORK / "runners-auditor"))
        classes = {name: Side.of(name, wrapper=wrapper) for name, wrapper in wrappers.items()}
        pools = {
            name: stack.enter_context(side.pool(WORK / f"runners-{name}"))
            if not kept and (render or name in SWITCHED)
            else None
            for name, side in classes.items()
        }
        worker, auditor = (Studio(Side.of("a"), None if kept else pool, WORK / "renders") for pool in (own, again))
        others = {name: Studio(classes[name], pools[name], WORK / "renders") for name in classes}
        elsewhere: Planes | None = None
        for scene in gathered([*scenes, AWKWARD], WORK / "scenes", only=only):
            try:
                for picture in _pictures(
                    scene,
                    worker,
                    auditor if audit else None,
                    others,
                    (honest_of or {}).get(scene.name, honest),
                    elsewhere,
                    cheat=cheat,
                ):
                    found.pictures.append(picture)
                    if picture.cheats:
                        elsewhere = picture.honest[
                            Desk(worker, picture.shot, picture.contract, picture.honest, None).colors[0]
                        ]
            except RunnerFailure as error:
                found.skipped.append(f"{scene.name}: {' '.join(str(error).split())[:160]}")
            say(f"{scene.name}: {sum(p.shot.scene.name == scene.name for p in found.pictures)} pictures")
        benches = {
            name: Workbench(side, pools[name], WORK / "models", WORK / "results")
            for name, side in classes.items()
            if name in EMULATED
        }  # type: ignore[arg-type]
        first, second = (Workbench(Side.of("a"), pool, WORK / "models", WORK / "results") for pool in (own, again))
        for case in find_models([], ITEMS, only=models) if infer else ():
            contract = first.contract(case)
            mine, theirs = first.results(case, contract), second.results(case, contract, one_by_one=True)
            batch = Batch(case.name, contract, mine, theirs)
            rng = np.random.default_rng(31)
            if cheat:
                batch.cheats = {c.name: cheated(c, first, case, contract, mine, rng) for c in INFER_CHEATS}
            for name, bench in benches.items():
                made = _if_there(lambda bench=bench, case=case, contract=contract: bench.results(case, contract))
                if made is not None:
                    batch.others[name] = made
            found.batches.append(batch)
            say(f"{case.name}: {len(mine)} items")
    return found


def _pictures(
    scene: Scene,
    worker: Studio,
    auditor: Studio | None,
    others: dict[str, Studio],
    honest: int,
    elsewhere: Planes | None,
    *,
    cheat: bool,
) -> Iterator[Picture]:
    cheated_on, plain = shots_of(scene, cheats=1, honest=honest)
    for shot in (*cheated_on, *plain):
        try:
            contract = worker.contract(shot)
            mine = worker.tile(shot, contract)
            redone = pasted(auditor.cells(shot, contract), len(contract.channels)) if auditor is not None else None
        except NotKept:
            continue
        picture = Picture(shot, contract, mine, redone)
        for name, studio in others.items():
            made = _if_there(lambda studio=studio, shot=shot, contract=contract: studio.tile(shot, contract))
            if made is not None:
                picture.others[name] = made
        if cheat and shot in cheated_on:
            desk = Desk(worker, shot, contract, mine, elsewhere)
            made_up = {one.name: one.make(desk) for one in RENDER_CHEATS}
            picture.cheats = {name: planes for name, planes in made_up.items() if planes is not None}
        yield picture


def _if_there(make: Callable[[], Any]) -> Any:
    """None where it was not rendered, and cannot be now."""
    try:
        return make()
    except (AttributeError, RunnerFailure):  # no pool was given, or the emulator gave up
        return None


def awkward() -> None:
    """Make the scenes of awkward_scenes.py, once."""
    if not (AWKWARD / "MANIFEST.tsv").is_file():
        AWKWARD.mkdir(parents=True, exist_ok=True)
        script = Path(__file__).with_name("awkward_scenes.py")
        subprocess.run([sys.executable, str(script), str(AWKWARD)], check=True, capture_output=True, timeout=280)


def limits_across() -> dict[tuple[str, str], Limits]:
    """The shipped limits between this machine's class and the others that it can have, by kind and class."""
    found: dict[tuple[str, str], Limits] = {}
    for name, slug in _SLUGS.items():
        for kind in ("render", "infer"):
            file = SHIPPED / f"{kind}-{slug}.json"
            if file.is_file():
                read = Calibration.model_validate_json(file.read_text(encoding="utf-8"))
                if read.limits:
                    found[kind, name] = read.limits[0]
    return found
