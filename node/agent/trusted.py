"""What only the coordinator's own workers do: describe, reference, assemble, reproduce.

Costs are handed back as seconds at benchmark score 1.0: what was measured here, times this machine's score.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from jobs.contract import Lane, RenderContract
from jobs.spec import InferSpec, RenderSpec, explain
from jobs.states import JobKind, WorkKind
from jobs.wire import RuntimeClass
from node.agent.failures import SUSPECT, failure_of
from node.agent.known_models import KnownModels
from node.agent.models import describe_model
from node.agent.parts import merge_frame, write_predictions
from node.agent.taking import copy_out, progress_of, sha256_of, take_file
from node.agent.work import Outcome, Produced, Work, WorkFailed
from node.agent.worker import Worker
from node.runner_pool import WarmRunner
from node.runner_process import RunnerFailure
from node.runner_programs import BLENDER, ONNX

__all__ = ["TrustedWork", "cost_at_one"]

log = logging.getLogger("kilnet.node")

_COSTS = ("load_seconds", "sync_seconds", "per_pixel_sample_seconds", "cell_seconds", "item_seconds")
_SHARES = ("content", "taken")
_FACTS = ("call_seconds", "frame_seconds")


class TrustedWork:
    """Trusted kinds of work on top of a Worker. `runtimes` are those of this device, `threads` what its runners
    compute with."""

    def __init__(self, worker: Worker, runtimes: Sequence[RuntimeClass], threads: int, known: KnownModels) -> None:
        self._worker, self._runtimes, self._threads, self._known = worker, runtimes, threads, known

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
        description = runner.request("describe", payload, cancel=work.cancel, on_progress=progress_of(work, 0, 0.3))
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
            on_progress=progress_of(work, 0.3, 0.9),
        )
        target = out / "baked.blend"
        take_file(runner, answer.get("file", "baked.blend"), target)
        # The baked file stands where the artist's file stood: what it refers to is found from there.
        main = work.folder / work.offer.main
        main.unlink()
        shutil.copyfile(target, main)
        again = runner.request("describe", payload, cancel=work.cancel, on_progress=progress_of(work, 0.9, 1.0))
        if again.get("needs_bake"):
            raise WorkFailed("simulations are still not baked after baking", code="bake_failed", scene_fault=True)
        sources = {key: value for key, value in answer.items() if key != "file"}
        return Produced(work.offer.main, target), {
            "replaces": {work.offer.main: sha256_of(target)},
            "bake": sources,
            "description": again,
        }

    def _describe_model(self, work: Work, out: Path) -> Outcome:
        spec = _spec(InferSpec, work)
        runner = self._worker.runner(ONNX, work)
        described, contract, target = describe_model(
            work, spec, runner, self._known, numerics_class=self._class_of(ONNX), threads=self._threads, out=out
        )
        result = {
            "description": described,
            "contract": contract.model_dump(mode="json"),
            "cost": cost_at_one(described, self._score(ONNX)),
            "replaces": {work.offer.main: sha256_of(target)},
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
            on_progress=progress_of(work, 0, 1),
        )  # fmt: skip
        files = []
        for name in ("reference.raw", "reference.png"):
            take_file(runner, name, out / name, keep_others=True)
            files.append(Produced(name, out / name))
        runner.clear()
        measured = answer.get("cost")
        cost = cost_at_one(measured if isinstance(measured, dict) else answer, self._score(BLENDER))
        facts = {
            name: answer[name] * self._score(BLENDER) for name in _FACTS if isinstance(answer.get(name), int | float)
        }
        return Outcome({**answer, **facts, "cost": cost}, tuple(files))

    def _assemble_frame(self, work: Work, out: Path) -> Outcome:
        contract, frame = work.render_contract(), int(work.offer.params["frame"])
        planes = merge_frame(work, contract, frame, out, progress_of(work, 0, 0.3))
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
            on_progress=progress_of(work, 0.3, 1),
        )
        kinds, files = {}, []
        for number, item in enumerate(answer.get("files") or ()):
            path, kind = str(item["path"]), str(item["kind"])
            target = out / f"file-{number}"
            copy_out(runner.scratch / "delivered", path, target)
            kinds[path] = _KINDS.get(kind, kind)
            files.append(Produced(path, target))
        runner.clear()
        if not files:
            raise WorkFailed("the runner delivered no file", code="assemble_failed")
        return Outcome({"kinds": kinds}, tuple(files))

    def _assemble_batch(self, work: Work, out: Path) -> Outcome:
        target = out / "predictions.npz"
        items = write_predictions(work, work.infer_contract(), target, out, progress_of(work, 0, 1))
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

    def _score(self, runtime: str) -> float:
        """Benchmark score of a runtime on this device, 1.0 where it was not measured."""
        return next((found.score for found in self._runtimes if found.runtime == runtime), 1.0)

    def _class_of(self, runtime: str) -> str:
        return next((found.numerics_class for found in self._runtimes if found.runtime == runtime), "")


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


def cost_at_one(measured: dict[str, Any], score: float) -> dict[str, float]:
    """What a cost model takes from a runner's answer: seconds measured on a machine of this benchmark score, as they
    would be at score 1.0, and shares, which are the same on any machine."""
    known = {name: float(measured[name]) for name in (*_COSTS, *_SHARES) if isinstance(measured.get(name), int | float)}
    return {name: max(0.0, value) * (1 if name in _SHARES else score) for name, value in known.items()}
