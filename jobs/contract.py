"""The contract of a job: everything that decides the bits of its result, fixed before anyone works on it.

A node, an auditor and `kilnet audit` each get this very object, so that they compute the very same thing.
Coordinates are pixels of the full frame, origin at the top left (jobs.geometry).
"""

from __future__ import annotations

import hashlib
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from jobs.geometry import Rect

__all__ = [
    "CELL_SIDE", "HALF_PRECISION", "RASTER", "Contract", "InferContract", "Lane", "RenderContract", "TensorSpec",
    "contract_digest",
]  # fmt: skip

CELL_SIDE = 8
"""Side of a render cell in pixels: small blocks with all samples see every sample-skipping cheat at the first probe."""
RASTER = "blender-raster"
"""Blender's raster engines as a runtime: their numerics class is the graphics driver's, not that of Cycles."""
HALF_PRECISION = "half_precision"
"""Key in `InferContract.extra`: the model's weights are float16 or bfloat16."""


class Lane(StrEnum):
    """How a tile is proven; docs/proof.md says what each one can see."""

    EXACT = "exact"
    """Bits, within one numerics class."""
    TOLERANT = "tolerant"
    """Share of differing pixels, across numerics classes."""
    WHOLE = "whole"
    """The whole tile again (path guiding, EEVEE, Freestyle): replays only as what it was rendered as. Bits within one
    class; across classes means and noise levels."""
    PERCEPTUAL = "perceptual"
    """What does not even repeat (Workbench, EEVEE on drivers that vary, image generators in half precision): two
    unrelated workers and the reference frame, by perceptual hash and structure. A weak proof, and the quote says so."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RenderContract(_Model):
    """One scene at fixed settings. A result has shape (len(channels), height, width), float32, scene-linear."""

    runtime: Literal["blender"] = "blender"
    version: str
    """Blender version, such as 5.2.3: another one renders another picture."""
    engine: str
    scene: str
    camera: str
    width: int = Field(gt=0, le=65536)
    height: int = Field(gt=0, le=65536)
    window: tuple[int, int, int, int]
    """The rectangle that is rendered at all: the scene's own border, or the full frame."""
    samples: int = Field(gt=0, le=1 << 24)
    seed: int
    adaptive: bool
    guard: int = Field(ge=0, le=64)
    """Pixels rendered around a tile or cell and cropped before hashing, where pixels see their neighbours."""
    channels: tuple[str, ...] = Field(min_length=1, max_length=4096)
    """`Layer.Pass.Component`, in the order of the result's first axis."""
    pass_kinds: dict[str, str] = Field(default_factory=dict)
    """How sample ranges of each channel merge (jobs.merge)."""
    sample_split: bool = True
    """Whether sample ranges of a tile may be rendered apart and merged."""
    views: tuple[str, ...] = ()
    lane: Lane = Lane.EXACT
    """Where worker and auditor are of one class that repeats itself; other pairs get what verification.lanes says."""
    path_guiding: bool = False
    """Noise that is learned from neighbouring pixels: across classes only its mean and its level can be compared."""
    overrides: dict[str, Any] = Field(default_factory=dict)

    @property
    def merges_samples(self) -> bool:
        """Whether ranges of samples that were rendered apart make up the whole. Adaptive sampling decides by all that
        a pixel has so far, and what `sample_split` excludes does not either."""
        return self.sample_split and not self.adaptive and self.in_cells

    @property
    def in_cells(self) -> bool:
        """Whether a cell alone comes out as it does within its tile; else only whole frames are worked on."""
        return self.lane in (Lane.EXACT, Lane.TOLERANT)

    @property
    def class_runtime(self) -> str:
        """The runtime under which a worker registers the class that decides these bits: the raster engines (EEVEE,
        Workbench) draw through the graphics driver and have one of their own."""
        return self.runtime if self.engine == "CYCLES" else RASTER

    @property
    def rect(self) -> Rect:
        return Rect(*self.window)

    def result_bytes(self, rect: Rect) -> int:
        """Length in bytes of the raw float32 result of `rect`."""
        return 4 * len(self.channels) * rect.area


class TensorSpec(_Model):
    """One input or output of a model; the first axis is the item and is not part of `shape`."""

    name: str
    dtype: str
    shape: tuple[int, ...]


class InferContract(_Model):
    """One model at the canonical profile. The result of n items is n x item_bytes bytes: for each item its outputs,
    C order, little endian, in the order of `outputs`, then the fingerprint (16 float32)."""

    runtime: Literal["onnxruntime"] = "onnxruntime"
    version: str
    opset: int
    providers: tuple[str, ...]
    micro_batch: int = Field(ge=1, le=4096)
    optimization: str
    tf32: bool
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    tap: str
    """Name of the late, pre-softmax activation that the fingerprint projects."""
    fingerprint_seed: int
    item_bytes: int = Field(gt=0, le=1 << 30)
    lane: Lane = Lane.EXACT
    extra: dict[str, Any] = Field(default_factory=dict)

    @property
    def in_cells(self) -> bool:
        """Items come out alone as they do in company."""
        return True

    @property
    def class_runtime(self) -> str:
        """The runtime under which a worker registers the class that decides these bits."""
        return self.runtime


Contract = Annotated[RenderContract | InferContract, Field(discriminator="runtime")]


def contract_digest(contract: RenderContract | InferContract) -> bytes:
    """SHA-256 (32 bytes) of the contract's canonical JSON; part of every cell's leaf."""
    import json

    text = json.dumps(contract.model_dump(mode="json"), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(b"kilnet/contract/1\0" + text.encode()).digest()
