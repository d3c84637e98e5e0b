"""A job that can be submitted: its spec, and its files with their manifest. Nothing is sent here."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from jobs.errors import BadInput
from jobs.spec import InferSpec, RenderSpec, explain

if TYPE_CHECKING:
    from jobs.manifest import Manifest

__all__ = ["Submission", "batch_submission", "scene_submission"]


@dataclass(frozen=True)
class Submission:
    """What Client.submit takes."""

    spec: RenderSpec | InferSpec
    manifest: Manifest
    sources: dict[str, Path]
    names: tuple[str, ...] | None = None
    """What the items of a batch are called."""


@contextmanager
def scene_submission(scene: Path, spec: RenderSpec) -> Iterator[Submission]:
    """The packed scene; temporary files end with the context. Raises BadInput, Unavailable."""
    from jobs.packing import pack_scene

    with pack_scene(scene) as packed:
        yield Submission(spec=spec, manifest=packed.manifest, sources=packed.sources)


@contextmanager
def batch_submission(
    model: Path,
    inputs: Path,
    fields: Mapping[str, Any],
    *,
    resize: bool = False,
    size: tuple[int, int] | None = None,
    only: Collection[str] | None = None,
) -> Iterator[Submission]:
    """The model and its batch, `fields` being those of InferSpec that the batch does not decide; the rest as
    jobs.inputs.prepare_batch takes it. Temporary files end with the context. Raises BadInput."""
    from jobs.inputs import prepare_batch

    outputs = fields.get("outputs", ())
    with prepare_batch(model, inputs, resize=resize, size=size, outputs=outputs, only=only) as batch:
        try:
            spec = InferSpec.model_validate({**fields, "items": batch.items, "shard_items": batch.shard_items})
        except ValidationError as error:
            raise BadInput(explain(error)) from error
        yield Submission(spec=spec, manifest=batch.manifest, sources=batch.sources, names=batch.names)
