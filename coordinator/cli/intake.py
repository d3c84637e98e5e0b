"""From what was typed to what can be submitted: the spec, and the files with their manifest. Nothing is sent here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from coordinator.cli.options import parse_price
from jobs.errors import BadInput
from jobs.spec import InferSpec, RenderSpec, explain, parse_deadline, parse_frames, parse_resolution

if TYPE_CHECKING:
    from coordinator.cli.display import Display
    from jobs.submission import Submission

__all__ = ["USUAL_PREVIEW", "Common", "infer_submission", "render_spec", "render_submission"]

USUAL_PREVIEW = 16
"""Where only --preview is said: every 16th frame first, or 1/16 of a still's samples."""


@dataclass(frozen=True)
class Common:
    """What a render and an inference job both take, as typed."""

    name: str = ""
    max_price: str | None = None
    deadline: str | None = None
    constraints: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the job spec (options.parse_constraints)."""

    def fields(self, default_name: str) -> dict[str, Any]:
        """For the job spec. Raises BadInput."""
        price = parse_price(self.max_price)
        deadline = {} if self.deadline is None else {"deadline_s": parse_deadline(self.deadline)}
        return {"name": self.name or default_name, "max_price_usd": price, **deadline, **self.constraints}


def render_spec(scene: Path, common: Common, options: Mapping[str, Any]) -> RenderSpec:
    """The spec from options as typed (`frames`, `resolution` as text). Raises BadInput naming the option."""
    fields = {name: value for name, value in options.items() if value is not None}
    if "frames" in fields:
        fields["frames"] = parse_frames(fields["frames"])
    if "resolution" in fields:
        fields["resolution"] = parse_resolution(fields["resolution"])
    for name in ("engine", "output_format"):
        if name in fields:
            fields[name] = str(fields[name]).upper()
    if fields.get("engine") in ("EEVEE", "BLENDER_EEVEE_NEXT"):
        fields["engine"] = "BLENDER_EEVEE"
    try:
        return RenderSpec.model_validate({**common.fields(scene.stem), **fields})
    except ValidationError as error:
        raise BadInput(_option(explain(error))) from error


_OPTIONS = {
    "output_format": "format", "deadline_s": "deadline", "max_price_usd": "max-price", "min_memory_gb": "min-memory",
    "min_vram_gb": "min-vram",
}  # fmt: skip


def _option(line: str) -> str:
    """The field of a spec as the option it was typed as."""
    field, _, rest = line.partition(": ")
    option = _OPTIONS.get(field.partition(".")[0], field)
    return f"--{option.replace('_', '-')}: {rest}" if rest else line


@contextmanager
def render_submission(scene: Path, spec: RenderSpec, display: Display) -> Iterator[Submission]:
    """The packed scene; temporary files end with the context. Raises BadInput, Unavailable."""
    from jobs.packing import check_blend
    from jobs.submission import scene_submission

    check_blend(scene)
    display.step(f"reading {scene.name} and what it needs")
    with scene_submission(scene, spec) as ready:
        yield ready


@contextmanager
def infer_submission(
    model: Path,
    inputs: Path,
    common: Common,
    *,
    tap: str | None,
    resize: bool,
    display: Display,
    size: str | None = None,
    outputs: Sequence[str] = (),
) -> Iterator[Submission]:
    """The model and its batch, from options as typed; temporary files end with the context. Raises BadInput naming the
    option."""
    from jobs.submission import batch_submission

    fields = {**common.fields(model.stem), "tap": tap, "outputs": tuple(outputs)}
    pixels = None if size is None else parse_resolution(size)
    try:
        # The batch decides these two; here they only let the options be checked before anything is read.
        InferSpec.model_validate({**fields, "items": 1, "shard_items": 1})
    except ValidationError as error:
        raise BadInput(_option(explain(error))) from error
    display.step(f"checking {inputs.name or inputs} against {model.name}")
    with batch_submission(model, inputs, fields, resize=resize, size=pixels) as ready:
        yield ready
