"""One cell as a picture: what was claimed, what came out, and where they differ."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from jobs.contract import RenderContract
from jobs.evidence import Evidence
from jobs.tiles import RenderTile

__all__ = ["picture"]

_SIDE, _GAP, _TEXT = 320, 16, 28
_SHOWN_FLOATS = 4096
Floats = NDArray[np.float32]


def picture(evidence: Evidence) -> bytes:
    """A PNG with one or three panels: claimed and recomputed as they look (display values of the first Combined pass;
    items as a grid of their floats), and the absolute difference of the colour that differs the most: black is 0,
    white the largest."""
    claimed = _planes(evidence, evidence.worker.data)
    panels = [("claimed", claimed)]
    if evidence.auditor is not None:
        panels.append(("recomputed", _planes(evidence, evidence.auditor.data)))
    shown = [(title, _look(evidence, planes, claimed)) for title, planes in panels]
    if evidence.auditor is not None:
        title, heat = _difference(evidence, claimed, panels[1][1])
        shown.append((title, heat))
    sheet = Image.new("RGB", (_GAP + len(shown) * (_SIDE + _GAP), _TEXT + _SIDE + _GAP), (24, 24, 28))
    draw = ImageDraw.Draw(sheet)
    for number, (title, values) in enumerate(shown):
        left = _GAP + number * (_SIDE + _GAP)
        draw.text((left, 8), title, fill=(230, 230, 230))
        pixels = Image.fromarray((np.clip(values, 0, 1) * 255 + 0.5).astype(np.uint8), "RGB")
        height, width = values.shape[:2]
        scale = max(1, _SIDE // max(height, width))
        sheet.paste(pixels.resize((width * scale, height * scale), Image.Resampling.NEAREST), (left, _TEXT))
    out = io.BytesIO()
    sheet.save(out, "PNG")
    return out.getvalue()


def _planes(evidence: Evidence, data: bytes) -> Floats:
    """(channels, height, width) of a render cell; of an item (1, side, side) of its first floats, padded with 0."""
    if isinstance(evidence.spec, RenderTile) and isinstance(evidence.contract, RenderContract):
        x0, y0, x1, y1 = evidence.spec.cell(evidence.cell).rect
        return np.frombuffer(data, "<f4").reshape(len(evidence.contract.channels), y1 - y0, x1 - x0)
    floats = np.frombuffer(data[-(len(data) // 4) * 4 :], "<f4")[-_SHOWN_FLOATS:]
    side = max(1, int(np.ceil(np.sqrt(len(floats)))))
    grid = np.zeros(side * side, np.float32)
    grid[: len(floats)] = floats
    return grid.reshape(1, side, side)


def _look(evidence: Evidence, planes: Floats, scale_by: Floats) -> Floats:
    """Display values (height, width, 3)."""
    rgb = _colour(evidence)
    if rgb is not None:
        clean = np.clip(np.nan_to_num(planes[rgb], nan=0.0, posinf=1e6, neginf=0.0), 0, None)
        return np.moveaxis((clean / (1 + clean)) ** (1 / 2.2), 0, -1).astype(np.float32)
    whole = np.nan_to_num(scale_by[0].astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    low, high = float(whole.min()), float(whole.max())
    with np.errstate(all="ignore"):
        grey = np.nan_to_num((planes[0].astype(np.float64) - low) / max(high - low, 1e-30), nan=0.0)
    return np.repeat(np.clip(grey, 0, 1)[..., None], 3, axis=2).astype(np.float32)


def _colour(evidence: Evidence) -> list[int] | None:
    """Where red, green and blue of the first Combined pass lie."""
    if not isinstance(evidence.contract, RenderContract):
        return None
    names = list(evidence.contract.channels)
    red = next((name for name in names if name.endswith("Combined.R")), None)
    wanted = [] if red is None else [red, red[:-1] + "G", red[:-1] + "B"]
    return [names.index(name) for name in wanted] if wanted and all(name in names for name in wanted) else None


def _difference(evidence: Evidence, a: Floats, b: Floats) -> tuple[str, Floats]:
    """Title and picture of the colour that differs the most; of another channel where no colour differs."""
    with np.errstate(all="ignore"):
        off = np.abs(a.astype(np.float64) - b.astype(np.float64))
    same = a.view(np.uint32) == b.view(np.uint32)
    off = np.where(same, 0.0, np.where(np.isfinite(off), off, np.inf))
    worst = off.reshape(len(off), -1).max(axis=1)
    colour = [number for number in _colour(evidence) or [] if worst[number] > 0]
    # Depth is a large number wherever nothing was hit: colour is what people look for.
    channel = max(colour, key=lambda number: worst[number]) if colour else int(np.argmax(worst))
    finite = off[channel][np.isfinite(off[channel])]
    largest = float(finite.max()) if finite.size else 0.0
    heat = np.where(np.isfinite(off[channel]), off[channel] / max(largest, 1e-300), 1.0)
    name = evidence.contract.channels[channel] if isinstance(evidence.contract, RenderContract) else "last floats"
    title = f"|difference| {name}, white {largest:.3g}" if largest else "|difference|: none"
    return title, np.repeat(np.clip(heat, 0, 1)[..., None], 3, axis=2).astype(np.float32)
