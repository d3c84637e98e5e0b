"""What only the coordinator's own workers do: describe, reference, assemble, reproduce.

Costs are handed back as seconds at benchmark score 1.0: what was measured here, times this machine's score.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from jobs.contract import HALF_PRECISION, InferContract, Lane, RenderContract
from jobs.spec import InferSpec, RenderSpec, explain
from jobs.states import JobKind, WorkKind
from node.agent.arrivals import measured_shards
from node.agent.failures import SUSPECT, failure_of
from node.agent.inputs import SHARD_ITEMS
from node.agent.parts import merge_frame, write_predictions
from node.agent.work import Outcome, Produced, Work, WorkFailed
from node.agent.worker import Worker
from node.runner_pool import WarmRunner
from node.runner_process import RunnerFailure, open_result
from node.runner_programs import BLENDER, ONNX
from node.sandbox import JOB, SCRATCH
from verification.frames import item_picture

__all__ = ["TrustedWork"]

log = logging.getLogger("kilnet.node")

_COSTS = ("load_seconds", "sync_seconds", "per_pixel_sample_seconds", "cell_seconds", "item_seconds", "content")
_FACTS = ("call_seconds", "frame_seconds")
_MAX_FILE = 64 << 30


class TrustedWork:
    """Trusted kinds of work on top of a Worker. `score` gives the benchmark score of a runtime on this device."""

    def __init__(self, worker: Worker, score: Callable[[str], float]) -> None:
        self._worker, self._score = worker, score

    def do(self, work: Work, out: Path) -> Outcome:
        """The lease's outcome; files that are delivered are put into the folder `out`.

        Raises RunnerFailure, WorkFailed and what fetching parts raises.
        """
        render = work.offer.job_kind is JobKind.RENDER
        match work.offer.kind:
            case WorkKind.DESCRIBE:
                return self._describe_scene(work, out) if render else self._describe_model(work, out)
            case WorkKind.REFERENCE:
                return self._reference(work, out)
            case WorkKind.ASSEMBLE:
                return self._assemble_frame(work, out) if render else self._assemble_batch(work, out)
            case WorkKind.REPRODUCE:
                return self._reproduce(work)
            case kind:
                raise WorkFailed(f"this agent does not know how to {kind}", code="unknown_kind")

    def _describe_scene(self, work: Work, out: Path) -> Outcome:
        spec = _spec(RenderSpec, work)
        runner = self._worker.runner(BLENDER, work)
        payload: dict[str, Any] = {"blend": work.main, "overrides": spec.overrides()}
        description = runner.request("describe", payload, cancel=work.cancel, on_progress=_to(work, 0, 0.3))
        files: tuple[Produced, ...] = ()
        result: dict[str, Any] = {}
        if description.get("needs_bake"):
            baked, result = self._bake(work, runner, payload, description, out)
            files = (baked,)
            description = result.pop("description")
        contract = _render_contract(description)
        described = {name: value for name, value in description.items() if name != "contract"}
        result |= {"description": described, "contract": contract.model_dump(mode="json")}
        runner.clear()
        return Outcome(result, files)

    def _bake(
        self, work: Work, runner: WarmRunner, payload: dict[str, Any], description: dict[str, Any], out: Path
    ) -> tuple[Produced, dict[str, Any]]:
        """The scene with its simulations baked in, described anew: from here on it is the job's main file."""
        spec = _spec(RenderSpec, work)
        frames = spec.frames or (description["frame_start"], description["frame_end"])
        answer = runner.request(
            "bake",
            {**payload, "frame_end": max(frames), "out": "baked.blend"},
            cancel=work.cancel,
            on_progress=_to(work, 0.3, 0.9),
        )
        target = out / "baked.blend"
        _take_file(runner, answer.get("file", "baked.blend"), target)
        # The baked file stands where the artist's file stood: what it refers to is found from there.
        main = work.folder / work.offer.main
        main.unlink()
        shutil.copyfile(target, main)
        again = runner.request("describe", payload, cancel=work.cancel, on_progress=_to(work, 0.9, 1.0))
        if again.get("needs_bake"):
            raise WorkFailed("simulations are still not baked after baking", code="bake_failed", scene_fault=True)
        sources = {key: value for key, value in answer.items() if key != "file"}
        return Produced(work.offer.main, target), {
            "replaces": {work.offer.main: _sha256(target)},
            "bake": sources,
            "description": again,
        }

    def _describe_model(self, work: Work, out: Path) -> Outcome:
        spec = _spec(InferSpec, work)
        runner = self._worker.runner(ONNX, work)
        shards = measured_shards(work.offer.assets, spec.shard_items)
        inputs = [
            {"path": f"{JOB}/{shards[number].path}", "first": number * spec.shard_items} for number in sorted(shards)
        ]
        asked = {"tap": spec.tap, "outputs": list(spec.outputs)}
        described = runner.request(
            "describe",
            {
                "model": work.main,
                "inputs": inputs,
                "out": f"{SCRATCH}/instrumented.onnx",
                **{name: value for name, value in asked.items() if value},
            },
            cancel=work.cancel,
            on_progress=_to(work, 0, 1),
        )
        if described.get("items") not in (None, spec.items):
            raise WorkFailed(
                f"the inputs hold {described['items']} items, the job says {spec.items}", code="inputs_mismatch",
                scene_fault=True,
            )  # fmt: skip
        try:
            contract = InferContract.model_validate(described["contract"])
        except (KeyError, ValidationError) as error:
            raise WorkFailed(f"the runner's contract: {error}", code="runner_protocol") from error
        contract = _by_precision(contract, half=described.get("half_precision") is True)
        contract = contract.model_copy(update={"extra": {**contract.extra, SHARD_ITEMS: spec.shard_items}})
        target = out / "instrumented.onnx"
        _take_file(runner, described.pop("path", None), target)
        described.pop("contract")
        result = {
            "description": described,
            "contract": contract.model_dump(mode="json"),
            "cost": self._cost(described, ONNX),
            "replaces": {work.offer.main: _sha256(target)},
        }
        return Outcome(result, (Produced(work.offer.main, target),))

    def _reference(self, work: Work, out: Path) -> Outcome:
        contract, params = work.render_contract(), work.offer.params
        runner = self._worker.runner(BLENDER, work)
        payload: dict[str, object] = {
            name: params[name] for name in ("frame", "width", "height", "samples") if name in params
        }
        answer = runner.request(
            "reference",
            {"blend": work.main, "contract": contract.model_dump(mode="json"), **payload, "out": "reference.raw",
             "png": "reference.png"},
            cancel=work.cancel,
            on_progress=_to(work, 0, 1),
        )  # fmt: skip
        files = []
        for name in ("reference.raw", "reference.png"):
            _take_file(runner, name, out / name, keep_others=True)
            files.append(Produced(name, out / name))
        runner.clear()
        measured = answer.get("cost")
        cost = self._cost(measured if isinstance(measured, dict) else answer, BLENDER)
        facts = {
            name: answer[name] * self._score(BLENDER) for name in _FACTS if isinstance(answer.get(name), int | float)
        }
        return Outcome({**answer, **facts, "cost": cost}, tuple(files))

    def _assemble_frame(self, work: Work, out: Path) -> Outcome:
        contract, frame = work.render_contract(), int(work.offer.params["frame"])
        planes = merge_frame(work, contract, frame, out, _to(work, 0, 0.3))
        runner = self._worker.runner(BLENDER, work)
        runner.clear()
        merged = runner.give("merged.raw", planes)
        del planes
        output = work.offer.params.get("output")
        answer = runner.request(
            "assemble",
            {
                "blend": work.main,
                "contract": contract.model_dump(mode="json"),
                "frame": frame,
                "merged": merged,
                "out_dir": "delivered",
                "output": output if isinstance(output, dict) else {"format": output} if output else {},
            },
            cancel=work.cancel,
            on_progress=_to(work, 0.3, 1),
        )
        kinds, files = {}, []
        for number, item in enumerate(answer.get("files") or ()):
            path, kind = str(item["path"]), str(item["kind"])
            target = out / f"file-{number}"
            _copy_out(runner.scratch / "delivered", path, target)
            kinds[path] = _KINDS.get(kind, kind)
            files.append(Produced(path, target))
        runner.clear()
        if not files:
            raise WorkFailed("the runner delivered no file", code="assemble_failed")
        return Outcome({"kinds": kinds}, tuple(files))

    def _assemble_batch(self, work: Work, out: Path) -> Outcome:
        target = out / "predictions.npz"
        items = write_predictions(work, work.infer_contract(), target, out, _to(work, 0, 1))
        return Outcome({"kinds": {target.name: "predictions"}, "items": items}, (Produced(target.name, target),))

    def _reproduce(self, work: Work) -> Outcome:
        try:
            self._worker.tile(work)
        except (RunnerFailure, WorkFailed) as error:
            report = failure_of(work.offer.token, error, "")
            if work.cancel.is_set() or not (report.scene_fault or report.code in SUSPECT):
                raise
            self._worker.pool.discard(work.offer.job)
            return Outcome({"reproduced": True, "message": report.message, "code": report.code})
        return Outcome({"reproduced": False, "message": "it works here"})

    def _cost(self, measured: dict[str, Any], runtime: str) -> dict[str, float]:
        """Measured seconds at score 1.0."""
        score = self._score(runtime)
        known = {name: measured[name] for name in _COSTS if isinstance(measured.get(name), int | float)}
        return {name: max(0.0, float(value)) * score for name, value in known.items()}


_Spec = TypeVar("_Spec", RenderSpec, InferSpec)

_KINDS = {"linear": "exr", "frame": "image"}
"""What the runner calls its files, and what the people call them (jobs.wire.OutputView)."""


def _spec(model: type[_Spec], work: Work) -> _Spec:
    try:
        return model.model_validate(work.offer.params.get("spec"))
    except ValidationError as error:
        raise WorkFailed(f"the spec of the lease: {explain(error)}", code="bad_lease") from error


def _render_contract(description: dict[str, Any]) -> RenderContract:
    """The runner's contract, with what the description says about merging; other fields are left out."""
    raw = description.get("contract")
    if not isinstance(raw, dict):
        raise WorkFailed("the runner described no contract", code="runner_protocol")
    fields: dict[str, Any] = {name: value for name, value in raw.items() if name in RenderContract.model_fields}
    fields.setdefault("pass_kinds", description.get("pass_kinds") or {})
    fields.setdefault("sample_split", bool(description.get("sample_split_ok", False)))
    if fields.get("lane") in (Lane.WHOLE, Lane.PERCEPTUAL):
        fields["sample_split"] = False
    try:
        return RenderContract.model_validate(fields)
    except ValidationError as error:
        raise WorkFailed(f"the runner's contract: {explain(error)}", code="runner_protocol") from error


def _by_precision(contract: InferContract, *, half: bool) -> InferContract:
    """Models in half precision differ between classes by as much as cheats do: there their pictures are compared by
    look, and whatever else they make by nobody but auditors of the same class."""
    if not half:
        return contract
    lane = Lane.PERCEPTUAL if item_picture(contract) is not None else contract.lane
    return contract.model_copy(update={"lane": lane, "extra": {**contract.extra, HALF_PRECISION: True}})


def _take_file(runner: WarmRunner, name: object, target: Path, *, keep_others: bool = False) -> None:
    """Copy a result out of the scratch folder, never through a link, and empty the folder."""
    with open_result(runner.scratch, name, max_size=_MAX_FILE) as (file, _), target.open("wb") as out:
        shutil.copyfileobj(file, out, 1 << 20)
    if not keep_others:
        runner.clear()


def _copy_out(root: Path, path: str, target: Path) -> None:
    """A file below `root` in the scratch folder, every folder on the way opened without following links."""
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    *folders, name = path.split("/")
    try:
        for folder in folders:
            if folder in ("", ".", ".."):
                raise WorkFailed(f"the runner delivered {path[:80]!r}", code="runner_protocol")
            inner = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = inner
        source = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=descriptor)
        with os.fdopen(source, "rb") as file, target.open("wb") as out:
            if not Path(f"/proc/self/fd/{file.fileno()}").is_file():
                raise WorkFailed(f"the runner delivered {path[:80]!r}, which is no file", code="runner_protocol")
            shutil.copyfileobj(file, out, 1 << 20)
    except OSError as error:
        raise WorkFailed(f"the runner's file {path[:80]!r}: {error.strerror}", code="runner_protocol") from error
    finally:
        os.close(descriptor)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _to(work: Work, begin: float, end: float) -> Callable[[float], None]:
    """Progress of a step as progress of the lease."""
    return lambda done: work.on_progress(begin + (end - begin) * done, str(work.offer.kind))
