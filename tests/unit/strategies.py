"""Hypothesis strategies and builders that several tests share."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from jobs.contract import InferContract, RenderContract, TensorSpec
from jobs.tiles import InferTile, RenderTile

CHANNELS = ("ViewLayer.Combined.A", "ViewLayer.Combined.B", "ViewLayer.Combined.G", "ViewLayer.Combined.R")


def render_contract(width: int = 64, height: int = 48, **changes: Any) -> RenderContract:
    fields: dict[str, Any] = {
        "version": "5.2.3",
        "engine": "CYCLES",
        "scene": "Scene",
        "camera": "Camera",
        "width": width,
        "height": height,
        "window": (0, 0, width, height),
        "samples": 64,
        "seed": 0,
        "adaptive": False,
        "guard": 0,
        "channels": CHANNELS,
    }
    return RenderContract(**(fields | changes))


def infer_contract(item_bytes: int = 4 * (10 + 16), micro_batch: int = 4) -> InferContract:
    return InferContract(
        version="1.31.1",
        opset=17,
        providers=("CPUExecutionProvider",),
        micro_batch=micro_batch,
        optimization="all",
        tf32=False,
        inputs=(TensorSpec(name="x", dtype="float32", shape=(3, 8, 8)),),
        outputs=(TensorSpec(name="y", dtype="float32", shape=(10,)),),
        tap="late",
        fingerprint_seed=7,
        item_bytes=item_bytes,
    )


@st.composite
def render_tiles(draw: st.DrawFn) -> tuple[RenderContract, RenderTile]:
    """A contract and a tile somewhere in its frame, for one to three frames."""
    width, height = draw(st.integers(1, 70)), draw(st.integers(1, 40))
    x0, y0 = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
    x1, y1 = draw(st.integers(x0 + 1, width)), draw(st.integers(y0 + 1, height))
    frames = tuple(range(draw(st.integers(1, 3))))
    return render_contract(width, height), RenderTile(frames=frames, rect=(x0, y0, x1, y1), samples=(0, 64))


@st.composite
def infer_tiles(draw: st.DrawFn) -> tuple[InferContract, InferTile]:
    return infer_contract(), InferTile(first=draw(st.integers(0, 1000)), count=draw(st.integers(1, 40)))
