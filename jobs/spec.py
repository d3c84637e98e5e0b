"""What a client asks for: a render or an inference job, also as a YAML file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, field_validator

from jobs.addresses import PATTERN as ADDRESS
from jobs.constraints import region_error
from jobs.errors import BadInput

__all__ = [
    "InferSpec",
    "JobSpec",
    "RenderSpec",
    "dump_spec",
    "explain",
    "load_spec",
    "parse_deadline",
    "parse_frames",
    "parse_resolution",
]

MAX_SIDE = 65536
MAX_PIXELS = 1 << 28
MAX_FRAMES = 100_000
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


OwnerAddress = Annotated[str, Field(pattern=ADDRESS)]


def _region(value: str) -> str:
    region = value.strip().lower()
    if (wrong := region_error(region)) is not None:
        raise ValueError(wrong)
    return region


RegionName = Annotated[str, AfterValidator(_region)]


class _Spec(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str = Field(default="", max_length=200)
    max_price_usd: float | None = Field(default=None, gt=0, le=1e9)
    """The cap in USD: never charged more. None: the quote itself is the cap."""
    deadline_s: int = Field(default=24 * 3600, ge=10, le=90 * 24 * 3600)
    """Seconds from acceptance until the job ends, refunded for what is not done by then."""
    owners: tuple[OwnerAddress, ...] = Field(default=(), max_length=1000)
    """Owners (addresses) whose nodes may see it; empty: anybody's. A node counts as an owner's by his signature."""
    regions: tuple[RegionName, ...] = Field(default=(), max_length=100)
    """Regions of nodes that may see it; empty: any. `eu` holds `eu-de`."""
    not_regions: tuple[RegionName, ...] = Field(default=(), max_length=100)
    """Regions of nodes that may not see it; nor may nodes that do not say where they stand."""
    devices: tuple[Literal["CPU", "GPU", "CUDA", "OPTIX", "HIP", "METAL", "ONEAPI", "MIGRAPHX", "TENSORRT"], ...] = ()
    """Kinds of device that may do its tiles; empty: any. GPU is all but CPU."""
    min_memory_gb: float | None = Field(default=None, gt=0, le=1 << 20)
    """GiB that a node's runner may use."""
    min_vram_gb: float | None = Field(default=None, gt=0, le=1 << 20)
    """GiB of the device's own memory."""
    min_reputation: float | None = Field(default=None, gt=0, lt=1)
    """jobs.auction.reputation: 0.5 is what a node begins with."""


class RenderSpec(_Spec):
    """Frames of a scene. Where a field is None, the scene's own setting stands."""

    kind: Literal["render"] = "render"
    frames: tuple[int, ...] | None = Field(default=None, max_length=MAX_FRAMES)
    samples: int | None = Field(default=None, ge=1, le=1 << 20)
    resolution: tuple[int, int] | None = None
    engine: Literal["CYCLES", "BLENDER_EEVEE"] | None = None
    scene: str | None = None
    camera: str | None = None
    seed: int | None = None
    denoise: bool | None = None
    tiles: int | None = Field(default=None, ge=1, le=100_000)
    """Cut each frame into about so many rectangles; None: by its cost."""
    sample_ranges: int | None = Field(default=None, ge=1, le=64)
    """Sample ranges per tile, rendered apart and merged; None: only where space cannot be split enough."""
    preview_every: int | None = Field(default=None, ge=2, le=MAX_FRAMES)
    """Render every Nth frame first (of a still 1/N of the samples), then wait for the client to go on or reject it."""
    progressive: bool = False
    """Of a still: few samples of all of it first, then more, where its samples can be rendered apart."""
    output_format: Literal["PNG", "JPEG", "OPEN_EXR", "OPEN_EXR_MULTILAYER", "TIFF", "WEBP"] | None = None

    @field_validator("frames")
    @classmethod
    def _frames(cls, value: tuple[int, ...] | None) -> tuple[int, ...] | None:
        if value is not None and not value:
            raise ValueError("no frames: give at least one, such as 1 or 1-10")
        if value is not None and any(not -1048574 <= frame <= 1048574 for frame in value):
            raise ValueError("frames must lie within Blender's -1048574..1048574")
        return None if value is None else tuple(sorted(set(value)))

    @field_validator("resolution")
    @classmethod
    def _resolution(cls, value: tuple[int, int] | None) -> tuple[int, int] | None:
        if value is None:
            return None
        width, height = value
        if width < 4 or height < 4:
            raise ValueError(f"resolution {width}x{height} is too small: take at least 4x4 pixels")
        if width > MAX_SIDE or height > MAX_SIDE or width * height > MAX_PIXELS:
            raise ValueError(
                f"resolution {width}x{height} is too large: at most {MAX_SIDE} a side and {MAX_PIXELS:,} pixels in all"
            )
        return value

    def overrides(self) -> dict[str, Any]:
        """What replaces the scene's own settings, as the Blender runner takes it."""
        names = ("samples", "resolution", "engine", "scene", "camera", "seed", "denoise", "frames")
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}


class InferSpec(_Spec):
    """A batch of items through a model."""

    kind: Literal["infer"] = "infer"
    items: int = Field(ge=1, le=1 << 40)
    """Items in the batch: the length of each input's first axis."""
    shard_items: int = Field(ge=1)
    """Items in each input shard (the last may hold fewer)."""
    tap: str | None = None
    """Activation to fingerprint; None: chosen at admission."""
    outputs: tuple[Annotated[str, Field(min_length=1, max_length=200)], ...] = Field(default=(), max_length=1000)
    """The model's outputs to deliver, in this order; none named: all. What is not delivered is neither moved nor
    proven, but for the fingerprint."""

    @field_validator("outputs")
    @classmethod
    def _each_once(cls, outputs: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(outputs)) != len(outputs):
            raise ValueError("an output is named twice; name each once")
        return outputs


JobSpec = Annotated[RenderSpec | InferSpec, Field(discriminator="kind")]
_ADAPTER: TypeAdapter[RenderSpec | InferSpec] = TypeAdapter(JobSpec)


def parse_frames(text: str) -> tuple[int, ...]:
    """Frames from `1`, `1-10`, `1-10:2`, `-5--1` or a comma list of those, sorted and without doubles.

    Raises BadInput for anything else and for an empty list."""
    frames: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"\s*(-?\d{1,7})(?:-(-?\d{1,7})(?::(\d{1,7}))?)?\s*", part)
        if not match:
            raise BadInput(f"--frames {text!r}: cannot read {part.strip()!r}; write 1, 1-10, 1-10:2 or 1,5,9")
        first, last, step = int(match[1]), int(match[2] or match[1]), int(match[3] or 1)
        if step == 0 or last < first:
            raise BadInput(f"--frames {text!r}: {part.strip()!r} holds no frame; write the smaller number first")
        if (last - first) // step >= MAX_FRAMES:
            raise BadInput(f"--frames {text!r}: more than {MAX_FRAMES:,} frames; split the job")
        frames.update(range(first, last + 1, step))
    return tuple(sorted(frames))


def parse_resolution(text: str) -> tuple[int, int]:
    """Width and height from `1920x1080`. Raises BadInput; the limits are those of the job spec."""
    match = re.fullmatch(r"\s*(\d{1,9})\s*[xX×]\s*(\d{1,9})\s*", text)
    if match is None:
        raise BadInput(f"--resolution {text!r}: write width x height in pixels, such as 1920x1080")
    return int(match[1]), int(match[2])


def parse_deadline(text: str) -> int:
    """Seconds from `90s`, `30m`, `12h`, `7d`, or a number of seconds. Raises BadInput."""
    match = re.fullmatch(r"\s*(\d{1,7})\s*([smhd]?)\s*", text)
    if match is None:
        raise BadInput(f"--deadline {text!r}: write seconds, or a number with s, m, h or d, such as 12h")
    return int(match[1]) * _SECONDS[match[2]]


def explain(error: ValidationError) -> str:
    """One line for people from pydantic's report: field and reason of the first fault, and how many more."""
    faults = error.errors(include_url=False)
    where = ".".join(str(part) for part in faults[0]["loc"] if part not in ("render", "infer"))
    message = faults[0]["msg"].removeprefix("Value error, ")
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    return f"{where}: {message}{more}" if where else f"{message}{more}"


def load_spec(path: Path) -> RenderSpec | InferSpec:
    """A job spec from a YAML file. Raises BadInput naming the file, the field and the reason."""
    try:
        return _ADAPTER.validate_python(yaml.safe_load(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror}); check the path") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: not YAML ({str(error).splitlines()[0]}); mend that line") from error
    except ValidationError as error:
        raise BadInput(f"{path}: {explain(error)}") from error


def dump_spec(spec: RenderSpec | InferSpec) -> str:
    """The spec as YAML that load_spec reads back."""
    return yaml.safe_dump(spec.model_dump(mode="json", exclude_defaults=True) | {"kind": spec.kind}, sort_keys=False)
