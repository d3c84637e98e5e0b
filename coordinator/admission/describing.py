"""What a trusted worker found out about a scene or a model, checked before it becomes the job's contract."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError
from sqlalchemy.orm import Session

from coordinator.blobs import link_all
from coordinator.events import record
from coordinator.planning.tiles import spec_of
from coordinator.states import tell_output
from coordinator.store.models import Job, Output
from jobs.contract import Contract, InferContract, RenderContract
from jobs.errors import BadInput
from jobs.geometry import Rect
from jobs.manifest import Asset, Manifest
from jobs.planner import InferCost, RenderCost
from jobs.spec import MAX_FRAMES, MAX_PIXELS, RenderSpec, explain

__all__ = ["adopt_cost", "adopt_description"]

Cost = TypeVar("Cost", RenderCost, InferCost)

_CONTRACT: TypeAdapter[RenderContract | InferContract] = TypeAdapter(Contract)
_MAX_TILE_BYTES = 4 << 30
"""Raw bytes of what cannot be cut: a tile is unpacked as a whole to be checked."""
_FACTS = ("call_seconds", "frame_seconds", "peak_rss")


def adopt_description(session: Session, job: Job, result: dict[str, Any]) -> None:
    """Fix contract, frames and files of the job from the answer of a DESCRIBE lease (docs/node-protocol.md).

    Raises BadInput with a line for the client."""
    spec = spec_of(job)
    description = result.get("description")
    if not isinstance(description, dict):
        raise BadInput(
            "the file could not be described: the worker's answer holds no description; submit the job again",
            code="not_described",
        )
    try:
        contract = _CONTRACT.validate_python(result.get("contract"))
    except ValidationError as error:
        raise BadInput(
            f"the file cannot be rendered as asked: {explain(error)}; change that", code="bad_contract"
        ) from error
    if isinstance(contract, RenderContract) != isinstance(spec, RenderSpec):
        raise BadInput(
            f"a {job.kind} job cannot run on {contract.runtime}; name a file of the other kind", code="bad_contract"
        )
    frames: list[int] | None = None
    if isinstance(contract, RenderContract) and isinstance(spec, RenderSpec):
        frames = _frames(spec, description)
        _check_size(contract)
        job.contract = contract.model_dump(mode="json")
    else:
        job.contract = contract.model_dump(mode="json")
        job.cost = _cost(InferCost, result).model_dump(mode="json")
    job.description, job.frames = description, frames
    _replace(session, job, result)
    session.flush()
    record(session, job.id, "job", {"id": job.id, "state": job.state, "described": True})


def _frames(spec: RenderSpec, description: dict[str, Any]) -> list[int]:
    """The frames that were asked for, else the scene's own range."""
    if spec.frames is not None:
        return list(spec.frames)
    try:
        first, last = int(description["frame_start"]), int(description["frame_end"])
        step = max(1, int(description.get("frame_step", 1)))
    except (KeyError, TypeError, ValueError) as error:
        raise BadInput("the scene's frame range is not known; name the frames", code="no_frames") from error
    if last < first:
        raise BadInput(f"the scene's frame range {first} to {last} holds no frame; name the frames", code="no_frames")
    if (last - first) // step >= MAX_FRAMES:
        raise BadInput(
            f"the scene's range {first} to {last} has more than {MAX_FRAMES:,} frames; name fewer", code="too_large"
        )
    return list(range(first, last + 1, step))


def _check_size(contract: RenderContract) -> None:
    if contract.width * contract.height > MAX_PIXELS:
        raise BadInput(
            f"{contract.width}x{contract.height} is too large: at most {MAX_PIXELS:,} pixels in all", code="too_large"
        )
    frame = Rect(0, 0, contract.width, contract.height)
    if contract.rect.area == 0 or not frame.contains(contract.rect):
        raise BadInput(
            f"the render border {contract.window} does not lie in the frame of {contract.width}x{contract.height}; "
            "clear it (Ctrl-Alt-B)",
            code="bad_contract",
        )
    if contract.lane == "whole" and contract.result_bytes(contract.rect) > _MAX_TILE_BYTES:
        raise BadInput(
            f"a frame of {contract.width}x{contract.height} with {len(contract.channels)} channels is more than "
            f"{_MAX_TILE_BYTES >> 30} GiB, and this engine's frames cannot be cut: lower the resolution or the passes",
            code="too_large",
        )


def _replace(session: Session, job: Job, result: dict[str, Any]) -> None:
    """Put a baked scene or an instrumented model in the place of the file that was sent."""
    replaces = result.get("replaces")
    if not replaces:
        return
    manifest = Manifest.model_validate(job.manifest)
    made = {blob["path"]: Asset.model_validate(blob) for blob in result.get("blobs", ())}
    if not isinstance(replaces, dict) or not set(replaces) <= set(made):
        raise BadInput(
            "the worker's answer replaces a file that it did not deliver; submit the job again", code="not_described"
        )
    assets = [made[asset.path] if asset.path in replaces else asset for asset in manifest.assets]
    replaced = Manifest(main=manifest.main, assets=tuple(assets))
    link_all(session, job.id, [made[path].sha256 for path in replaces], "asset")
    job.manifest = replaced.model_dump(mode="json")


def _cost(model: type[Cost], result: dict[str, Any]) -> Cost:
    try:
        return model.model_validate(result.get("cost"))
    except ValidationError as error:
        raise BadInput(
            f"the cost could not be measured: {explain(error)}; submit the job again", code="no_cost"
        ) from error


def adopt_cost(session: Session, job: Job, result: dict[str, Any], now: float) -> None:
    """Take the cost model and the first preview from the answer of a REFERENCE lease. Raises BadInput."""
    cost = _cost(RenderCost, result)
    facts = {name: result[name] for name in _FACTS if isinstance(result.get(name), int | float)}
    job.cost = {**facts, **cost.model_dump(mode="json")}
    for blob in result.get("blobs", ()):
        asset = Asset.model_validate(blob)
        if asset.path != "reference.png":
            continue
        output = session.merge(
            Output(
                job_id=job.id, path=asset.path, kind="preview", frame=None, sha256=asset.sha256, size=asset.size,
                created_at=now,
            )
        )  # fmt: skip
        session.flush()
        tell_output(session, output)
    session.flush()
