"""A model's description: its contract, and what its items cost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from jobs.contract import HALF_PRECISION, InferContract, Lane
from jobs.spec import InferSpec
from node.agent.arrivals import measured_shards
from node.agent.inputs import SHARD_ITEMS, is_shard
from node.agent.known_models import KnownModels, model_key
from node.agent.taking import progress_of, take_file
from node.agent.work import Work, WorkFailed
from node.runner_pool import WarmRunner
from node.sandbox import JOB, SCRATCH
from verification.frames import item_picture

__all__ = ["describe_model"]


def describe_model(
    work: Work, spec: InferSpec, runner: WarmRunner, known: KnownModels, *, numerics_class: str, threads: int, out: Path
) -> tuple[dict[str, Any], InferContract, Path]:
    """`(description, contract, instrumented model)`, the file in the folder `out`. What was measured for an earlier
    batch of this model is not measured again, but that its items repeat to the bit is.

    Raises RunnerFailure, WorkFailed.
    """
    shards = measured_shards(work.offer.assets, spec.shard_items)
    own = [asset for asset in work.offer.assets if not is_shard(asset)]
    key = model_key(own, spec, numerics_class=numerics_class, threads=threads)
    asked = {"tap": spec.tap, "outputs": list(spec.outputs), "known": known.get(key)}
    described = runner.request(
        "describe",
        {
            "model": work.main,
            "inputs": [
                {"path": f"{JOB}/{shards[number].path}", "first": number * spec.shard_items}
                for number in sorted(shards)
            ],
            "out": f"{SCRATCH}/instrumented.onnx",
            **{name: value for name, value in asked.items() if value},
        },
        cancel=work.cancel,
        on_progress=progress_of(work, 0, 1),
    )
    if described.get("items") not in (None, spec.items):
        raise WorkFailed(
            f"the inputs hold {described['items']} items, the job says {spec.items}", code="inputs_mismatch",
            scene_fault=True,
        )  # fmt: skip
    try:
        contract = InferContract.model_validate(described.pop("contract"))
    except (KeyError, ValidationError) as error:
        raise WorkFailed(f"the runner's contract: {error}", code="runner_protocol") from error
    contract = _by_precision(contract, half=described.get("half_precision") is True)
    contract = contract.model_copy(update={"extra": {**contract.extra, SHARD_ITEMS: spec.shard_items}})
    measured = described.pop("known", None)
    if isinstance(measured, dict):
        known.put(key, measured)
    target = out / "instrumented.onnx"
    take_file(runner, described.pop("path", None), target)
    return described, contract, target


def _by_precision(contract: InferContract, *, half: bool) -> InferContract:
    """Models in half precision differ between classes by as much as cheats do: there their pictures are compared by
    look, and whatever else they make by nobody but auditors of the same class."""
    if not half:
        return contract
    lane = Lane.PERCEPTUAL if item_picture(contract) is not None else contract.lane
    return contract.model_copy(update={"lane": lane, "extra": {**contract.extra, HALF_PRECISION: True}})
