"""`kilnet calibrate`: measure a pair of numerics classes on this machine and write what was found as JSON."""

from __future__ import annotations

import datetime
import json
import logging
import re
import shlex
import sys
import warnings
from pathlib import Path
from typing import Annotated

import typer

from node.calibrate.infer_pair import InferPair, measure_infer
from node.calibrate.models import find_models
from node.calibrate.render_pair import RenderPair, measure_render
from node.calibrate.scene_set import gathered
from node.calibrate.sides import Side, class_of
from node.hardware import probe
from node.runner_programs import BLENDER, ONNX, RunnerSettings, installed_runtimes
from verification.calibration import Calibration, ClassSeen
from verification.limits import Limits

__all__ = ["app"]

app = typer.Typer(
    help="Measure how far two numerics classes are apart, honestly and cheating, and write the limits between them."
)

_RUNTIMES = {"render": BLENDER, "infer": ONNX}


@app.command()
def calibrate(
    against: Annotated[
        str, typer.Option("--against", help='A wrapper that makes another class, such as "qemu-x86_64 -cpu max,-avx2".')
    ] = "",
    against_python: Annotated[
        Path | None, typer.Option("--against-python", help="Another interpreter, with other versions of the runtimes.")
    ] = None,
    against_device: Annotated[str, typer.Option("--against-device", help="CUDA, OPTIX, HIP, with :INDEX.")] = "CPU",
    device: Annotated[str, typer.Option("--device", help="The device of the first class.")] = "CPU",
    kinds: Annotated[str, typer.Option("--kinds", help="render, infer, or both with a comma.")] = "render,infer",
    scenes: Annotated[list[Path] | None, typer.Option("--scenes", help="More folders of scenes.")] = None,
    models: Annotated[list[Path] | None, typer.Option("--models", help="More folders of models and items.")] = None,
    only: Annotated[str, typer.Option("--only", help="Names of scenes and models, with commas; default: all.")] = "",
    shots: Annotated[int, typer.Option("--shots", min=1, help="Pictures of a scene that are cheated on.")] = 1,
    honest: Annotated[int, typer.Option("--honest", min=0, help="More pictures of a scene, honest alone.")] = 2,
    items: Annotated[int, typer.Option("--items", min=4, help="Items of each model.")] = 16,
    out: Annotated[Path, typer.Option("--out", help="Folder for the JSON; the gateway's calibration folder.")] = Path(),
    work: Annotated[Path, typer.Option("--work", help="Folder for renders, kept for the next run.")] = Path(
        "build/calibrate"
    ),
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout and nothing else.")] = False,
) -> None:
    """Run scenes and models on this machine's class and on another one: through an emulator, by another interpreter, or
    on another device."""
    warnings.simplefilter("ignore", RuntimeWarning)  # the scenes are the operator's own: nothing to shield from
    logging.getLogger("kilnet").setLevel(logging.ERROR)
    sides = Side.of("a", device=device), Side.of("b", wrapper=against, python=against_python, device=against_device)
    chosen = tuple(name for name in only.split(",") if name)
    work = work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    out.mkdir(parents=True, exist_ok=True)
    written = {}
    for kind in kinds.split(","):
        if kind not in _RUNTIMES:
            raise typer.BadParameter(f"{kind}: one of render, infer", param_hint="--kinds")
        if _RUNTIMES[kind] not in installed_runtimes(RunnerSettings(device=device)):
            _say(f"{kind}: {_RUNTIMES[kind]} is not installed here")
            continue
        made = _render if kind == "render" else _infer
        found = made(sides, work, scenes or [], models or [], chosen, shots, honest, items)
        calibration = _document(kind, sides, found, work)
        second = sides[1]
        path = out / f"{kind}-{_slug(calibration.classes[1].version if second.python else second.how)}.json"
        path.write_text(calibration.model_dump_json(indent=1) + "\n", encoding="utf-8")
        written[kind] = {"file": str(path), "gap": found.gap, "limits": found.limits, "refused": found.refused}
        _say(f"{path}: " + (found.refused or f"gap {found.gap}, limits {found.limits}"))
    if as_json:
        typer.echo(json.dumps(written))


def _render(
    sides: tuple[Side, Side], work: Path, scenes: list[Path], _models: list[Path], only: tuple[str, ...],
    shots: int, honest: int, _items: int,
) -> RenderPair:  # fmt: skip
    found = gathered(scenes, work / "scenes", only=only)
    return measure_render(sides, found, work, cheats=shots, honest=honest, say=_say)


def _infer(
    sides: tuple[Side, Side], work: Path, _scenes: list[Path], models: list[Path], only: tuple[str, ...],
    _shots: int, _honest: int, items: int,
) -> InferPair:  # fmt: skip
    return measure_infer(sides, find_models(models, items, only=only), work, say=_say)


def _document(kind: str, sides: tuple[Side, Side], found: RenderPair | InferPair, work: Path) -> Calibration:
    hardware = probe()
    seen = []
    for side, key in zip(sides, ("a", "b"), strict=True):
        name, version = class_of(side, _RUNTIMES[kind], work)
        repeated, differently = found.repeats[key]
        seen.append(
            ClassSeen(
                numerics_class=name, version=version, how=side.how,
                repeated=repeated, repeated_differently=differently,
            )
        )  # fmt: skip
    limits: tuple[Limits, ...] = ()
    if found.limits is not None and not any("/unmeasured/" in one.numerics_class for one in seen):
        pair = {"worker_class": seen[0].numerics_class, "auditor_class": seen[1].numerics_class}
        limits = (Limits.model_validate({**pair, "kind": kind, **found.limits}),)
    return Calibration(
        kind="render" if kind == "render" else "infer",
        made=datetime.datetime.now(datetime.UTC).date().isoformat(),
        command=_command(),
        machine=f"{hardware.cpu}, {hardware.threads} threads",
        classes=(seen[0], seen[1]),
        n=found.n,
        honest=found.honest,
        cheats=found.cheats,
        gap=found.gap,
        limits=limits,
        refused=found.refused,
        skipped=tuple(found.skipped),
    )


def _command() -> str:
    """The command as it was given, with no folder of this machine in it."""
    words = [word if word.startswith("-") or "/" not in word else f".../{Path(word).name}" for word in sys.argv[1:]]
    return shlex.join(["kilnet", *(["calibrate"] if "calibrate" not in words else []), *words])


def _slug(how: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", how.lower()).strip("-")


def _say(text: str) -> None:
    typer.echo(text, err=True)
