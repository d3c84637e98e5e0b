"""Several jobs as one file that a studio keeps beside its scenes: what is rendered, what is inferred from it, and
within which bounds.

    version: 1
    cap_usd: 12.50              # all steps together
    defaults: {regions: [eu], deadline: 4h}
    steps:
      beauty: {render: shots/010.blend, frames: 1-48, max_price_usd: 9}
      matte:  {infer: models/matte.onnx, inputs: {from: beauty}, resize: true, outputs: [alpha], format: images}
      label:  {infer: models/label.onnx, inputs: {from: matte}, size: 224x224, format: parquet}

Paths are relative to the file. A step that takes another's pictures runs after it; the others run at once. Items keep
the order and the names of the pictures that they were.
"""

from __future__ import annotations

import graphlib
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from jobs.errors import BadInput
from jobs.outputs import Format
from jobs.spec import InferSpec, RenderSpec, explain, parse_deadline, parse_frames, parse_resolution

__all__ = ["InferStep", "Pipeline", "RenderStep", "load_pipeline"]

StepName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]


class _From(BaseModel):
    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    step: StepName = Field(alias="from")
    """The step whose pictures are the items, in the order of their frames: one that renders, or infers images."""
    output: str | None = None
    """Which output's pictures, where that step infers several."""


class _Step(BaseModel):
    model_config = ConfigDict(extra="allow")

    render: str | None = None
    infer: str | None = None
    inputs: str | _From | None = None
    resize: bool = False
    size: str | None = None
    format: Format = Format.NPZ
    after: tuple[StepName, ...] = ()

    @model_validator(mode="after")
    def _one_kind(self) -> _Step:
        if (self.render is None) == (self.infer is None):
            raise ValueError("say either render: SCENE.blend or infer: MODEL.onnx")
        if self.infer is not None and self.inputs is None:
            raise ValueError("infer needs inputs: give a file, a folder of images, or {from: STEP}")
        if self.render is not None and (self.inputs is not None or self.resize or self.size):
            raise ValueError("inputs, resize and size belong to infer")
        if self.render is not None and "format" in self.model_fields_set:
            raise ValueError("format belongs to infer; say output_format for what is rendered")
        return self


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    version: Literal[1]
    cap_usd: Annotated[Decimal, Field(gt=0, le=10**9)] | None = None
    defaults: dict[str, Any] = {}
    steps: dict[StepName, _Step] = Field(min_length=1, max_length=1000)


@dataclass(frozen=True)
class RenderStep:
    """A scene to render."""

    name: str
    scene: Path
    spec: RenderSpec
    after: tuple[str, ...]


@dataclass(frozen=True)
class InferStep:
    """A model to run over items."""

    name: str
    model: Path
    inputs: Path | None
    """None: the pictures of `source`."""
    source: str | None
    resize: bool
    size: tuple[int, int] | None
    """Pixels, width by height, to which images are scaled."""
    format: Format
    """How its predictions are written."""
    source_output: str | None
    """Of a source that infers: whose pictures."""
    fields: Mapping[str, Any]
    """Of the job spec, but for what the batch decides (items, shard_items)."""
    after: tuple[str, ...]

    @property
    def max_price_usd(self) -> float | None:
        price: float | None = self.fields.get("max_price_usd")
        return price


@dataclass(frozen=True)
class Pipeline:
    """Steps in an order in which each comes after those that it needs."""

    path: Path
    cap_usd: Decimal | None
    steps: tuple[RenderStep | InferStep, ...]


def load_pipeline(path: Path) -> Pipeline:
    """Read and check a pipeline. Raises BadInput naming the file, the step, the field and the remedy."""
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror}); check the path") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: not YAML ({str(error).splitlines()[0]}); mend that line") from error
    try:
        file = _File.model_validate(raw)
    except ValidationError as error:
        raise BadInput(f"{path}: {explain(error)}") from error
    needs = {name: {*step.after, *_source(step)} for name, step in file.steps.items()}
    for name, wanted in needs.items():
        if missing := wanted - set(file.steps):
            raise BadInput(
                f"{path}: step {name} needs {min(missing)!r}, which is no step; there are {', '.join(needs)}"
            )
    try:
        order = tuple(graphlib.TopologicalSorter(needs).static_order())
    except graphlib.CycleError as error:
        raise BadInput(
            f"{path}: the steps need each other in a circle: {' -> '.join(error.args[1])}; break it"
        ) from error
    steps = tuple(_step(path, name, file.steps[name], file.defaults, needs[name]) for name in order)
    for step in steps:
        if isinstance(step, InferStep) and step.source is not None:
            source = file.steps[step.source]
            if source.render is None and source.format is not Format.IMAGES:
                raise BadInput(
                    f"{path}: step {step.name} takes pictures from {step.source}, which makes none; let it say "
                    "format: images"
                )
            if source.render is not None and step.source_output is not None:
                raise BadInput(
                    f"{path}: step {step.name} names an output of {step.source}, which renders; leave it out"
                )
            if step.max_price_usd is None and file.cap_usd is None:
                raise BadInput(
                    f"{path}: step {step.name} cannot be priced before {step.source} is rendered: give it a "
                    "max_price_usd, or the pipeline a cap_usd"
                )
    return Pipeline(path, file.cap_usd, steps)


def _source(step: _Step) -> tuple[str, ...]:
    return (step.inputs.step,) if isinstance(step.inputs, _From) else ()


def _step(path: Path, name: str, step: _Step, defaults: Mapping[str, Any], needs: set[str]) -> RenderStep | InferStep:
    given = step.model_extra or {}
    after = tuple(sorted(needs))
    try:
        fields = {**_plain({**defaults, **given}), "name": name}
        if step.render is not None:
            scene = _file(path, step.render)
            return RenderStep(name, scene, RenderSpec.model_validate(fields), after)
        # The batch decides these two; here they only let everything else be checked.
        InferSpec.model_validate({**fields, "items": 1, "shard_items": 1})
        if unwanted := {"items", "shard_items"} & set(fields):
            raise BadInput(f"{min(unwanted)}: follows from the inputs; leave it out")
        model = _file(path, str(step.infer))
        inputs = _file(path, step.inputs) if isinstance(step.inputs, str) else None
        size = None if step.size is None else parse_resolution(step.size)
        source = next(iter(_source(step)), None)
        output = step.inputs.output if isinstance(step.inputs, _From) else None
        return InferStep(name, model, inputs, source, step.resize, size, step.format, output, fields, after)
    except ValidationError as error:
        raise BadInput(f"{path}: steps.{name}.{explain(error)}") from error
    except BadInput as error:
        raise BadInput(f"{path}: steps.{name}: {str(error).removeprefix('--')}") from error


_NAMES = {
    "region": "regions", "not_region": "not_regions", "device": "devices", "owner": "owners",
    "min_memory": "min_memory_gb", "min_vram": "min_vram_gb",
}  # fmt: skip
"""A step may name its bounds as the command line does."""


def _plain(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Texts as people write them (`1-48`, `1920x1080`, `4h`) as the job spec takes them."""
    plain = dict(fields)
    if isinstance(plain.get("frames"), str | int):
        plain["frames"] = parse_frames(str(plain["frames"]))
    if isinstance(plain.get("resolution"), str | int):
        plain["resolution"] = parse_resolution(str(plain["resolution"]))
    for typed, name in _NAMES.items():
        if typed in plain:
            plain[name] = plain.pop(typed)
    for name in ("regions", "not_regions", "devices", "owners"):
        if isinstance(plain.get(name), str | int):
            plain[name] = [str(plain[name])]
    if isinstance(plain.get("devices"), list):
        plain["devices"] = [str(device).upper() for device in plain["devices"]]
    if "deadline" in plain:
        plain["deadline_s"] = parse_deadline(str(plain.pop("deadline")))
    return plain


def _file(path: Path, given: str) -> Path:
    found = path.parent / given
    if not found.exists():
        raise BadInput(f"{given}: no such file; write it relative to {path.name}")
    return found
