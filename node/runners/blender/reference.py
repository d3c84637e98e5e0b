# SPDX-FileCopyrightText: The kilnet authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`reference`: a cheap trusted render of a frame, and what the frame will cost.

The low-resolution render sees the whole picture, so its time per pixel and sample is the frame's. What it cannot see
is measured at full resolution on a few blocks: the time to get the scene ready, the fixed cost of a call, and, with
adaptive sampling, how many samples are really taken: the blocks' time against their time with a fixed number.
"""

from __future__ import annotations

import time
from typing import Any

import bpy
import numpy as np

from . import exr, protocol
from .errors import RunnerError, request_error
from .render import out_path, peak_rss, rectangle, sample_range
from .scene import Rect, Scene, set_samples, with_guard
from .session import Array, Session

_CELL = 8
_CELLS, _BUDGET_S = 5, 4.0
"""At most so many blocks are timed, and no further one is begun after so many seconds."""
_ADAPTIVE_CELLS, _FIXED_SAMPLES = 32, 64
"""With adaptive sampling blocks differ by hundreds of times: more are timed, and each also with a fixed number of
samples. (The pass Debug Sample Count is no help: it is relative to the most that a pixel of the same render took.)"""
_LONG_ENOUGH_S = 0.5
"""A shorter low-resolution render is timed again with up to 16 times the samples: its time would be mostly noise."""


def reference(session: Session, request: dict[str, Any]) -> dict[str, Any]:
    """`{blend, contract, frame, width, height, samples, out}` -> Combined (4, h, w) float32, a PNG and the cost model.

    `width` and `height` are those of the whole frame; a scene with a render border gives its part of them.
    """
    started = time.perf_counter()
    contract, out = request["contract"], out_path(session, request)
    width, height, samples = (int(request[name]) for name in ("width", "height", "samples"))
    if not (8 <= width <= contract["width"] and 8 <= height <= contract["height"]):
        raise request_error(f"A reference of {width}x{height} is no smaller picture of the frame.")
    work = protocol.current()
    work.step(0.0, 0.6)
    scene = session.prepare(request["blend"], contract, request["frame"], width=width, height=height)
    load = session.file_load_seconds
    rect = _scaled(contract, width, height)
    with sample_range(scene, contract, None):
        planes, low, once = _low(session, scene, contract, rect, samples)
    names = _combined(contract["channels"])
    picture = np.stack([planes[name] for name in names])
    picture.astype("<f4", copy=False).tofile(out)
    preview = out.with_suffix(".png")
    _preview(scene, picture, preview)
    low_seconds = time.perf_counter() - started
    content = _content(picture)
    work.step(0.6, 0.4)
    cost = _full(session, scene, contract, int(request["frame"]))
    session.unplace()
    per_sample = low / ((rect[2] - rect[0]) * (rect[3] - rect[1])) * cost["taken"]
    x0, y0, x1, y1 = contract["window"]
    predicted = cost["sync_seconds"] + (x1 - x0) * (y1 - y0) * contract["samples"] * per_sample
    return {
        "file": out.name,
        "preview": preview.name,
        "channels": names,
        "width": rect[2] - rect[0],
        "height": rect[3] - rect[1],
        "seconds": round(time.perf_counter() - started, 4),
        "low_seconds": round(low_seconds, 4),
        "load_seconds": round(load + once, 4),
        "per_pixel_sample_seconds": per_sample,
        "content": round(content, 4),
        "frame_seconds": round(predicted, 4),
        "peak_rss": peak_rss(),
    } | cost


def _content(picture: Array) -> float:
    """Share of the pixels of a picture (4, H, W) that are not its most frequent value: an empty background is one
    value, and whoever leaves the rest out is wrong there alone."""
    _, counts = np.unique(picture.reshape(4, -1).T.astype("<f4", order="C").view("V16"), return_counts=True)
    return 1 - (float(counts.max()) if counts.max() > 1 else 0.0) / counts.sum()


def _scaled(contract: dict[str, Any], width: int, height: int) -> Rect:
    x0, y0, x1, y1 = contract["window"]
    sx, sy = width / contract["width"], height / contract["height"]
    left, top = min(int(x0 * sx), width - 1), min(int(y0 * sy), height - 1)
    return left, top, max(left + 1, round(x1 * sx)), max(top + 1, round(y1 * sy))


def _combined(channels: list[str]) -> list[str]:
    """The four channels of the first layer's (and view's) Combined pass, R G B A."""
    first = next((c for c in channels if ".Combined." in c), None)
    if first is None:
        raise RunnerError("contract_mismatch", "The contract has no Combined pass.")
    head = first.rsplit(".", 1)[0]
    return [f"{head}.{component}" for component in "RGBA"]


def _low(
    session: Session, scene: Scene, contract: dict[str, Any], rect: Rect, samples: int
) -> tuple[dict[str, Array], float, float]:
    """The planes, the seconds that one sample of all their pixels takes, and those that a file takes once: compiling
    the shaders of the raster engines."""
    cycles = scene.cycles if contract["engine"] == "CYCLES" else None
    work = protocol.current()
    adaptive = bool(cycles and cycles.use_adaptive_sampling)
    if cycles:
        cycles.use_adaptive_sampling = False
    own_samples = cycles.use_layer_samples if cycles else ""
    set_samples(scene, samples)
    planes, seconds = _sampled(session, scene, rect, work)
    count, once = samples, 0.0
    if contract["engine"] != "CYCLES":
        first = seconds
        _, seconds = _sampled(session, scene, rect, work)
        once = max(0.0, first - seconds)
    if cycles and seconds < _LONG_ENOUGH_S:
        count = min(16 * samples, int(samples * _LONG_ENOUGH_S / max(seconds, 1e-3)) + 1)
        set_samples(scene, count)
        _, seconds = _sampled(session, scene, rect, work)
    set_samples(scene, int(contract["samples"]))
    if cycles:
        cycles.use_adaptive_sampling, cycles.use_layer_samples = adaptive, own_samples
    return planes, seconds / count, once


def _sampled(session: Session, scene: Scene, rect: Rect, work: protocol.Work) -> tuple[exr.Planes, float]:
    began, synced, sampled = time.perf_counter(), work.sync_seconds, work.sampling_seconds
    planes = session.render(scene, rect)
    whole = time.perf_counter() - began
    if scene.render.engine != "CYCLES":  # which alone tells when it takes samples
        return planes, whole
    return planes, work.sampling_seconds - sampled or whole - (work.sync_seconds - synced)


def _preview(scene: Scene, picture: Array, path: Any) -> None:
    """An 8-bit PNG of a linear picture (4, H, W) through the scene's view transform."""
    _, height, width = picture.shape
    image = bpy.data.images.new("kilnet preview", width, height, alpha=True, float_buffer=True)
    settings = scene.render.image_settings
    kept = {name: getattr(settings, name) for name in ("media_type", "file_format") if hasattr(settings, name)}
    try:
        image.pixels.foreach_set(np.ascontiguousarray(picture[:, ::-1].transpose(1, 2, 0)).ravel())
        if "media_type" in kept:
            settings.media_type = "IMAGE"
        settings.file_format, settings.color_mode, settings.color_depth = "PNG", "RGB", "8"
        image.save_render(str(path), scene=scene)
    finally:
        bpy.data.images.remove(image)
        for name, value in kept.items():
            setattr(settings, name, value)
        settings.color_mode, settings.color_depth = "RGBA", "32"


def _full(session: Session, scene: Scene, contract: dict[str, Any], frame: int) -> dict[str, float]:
    """`sync_seconds`, `call_seconds`, `cell_seconds` and `taken` (share of the samples) at full resolution."""
    if contract["engine"] != "CYCLES" or scene.render.use_freestyle:  # redone as whole frames: a cell is the frame
        return {"sync_seconds": 0.0, "call_seconds": 0.0, "cell_seconds": 0.0, "taken": 1.0}
    work = protocol.current()
    session.place(scene, frame, contract["width"], contract["height"])
    adaptive = bool(contract["adaptive"])
    cells = _spread(tuple(contract["window"]), _ADAPTIVE_CELLS if adaptive else _CELLS)
    synced = work.sync_seconds
    set_samples(scene, 1)
    rectangle(session, scene, contract, cells[0])
    sync = work.sync_seconds - synced
    call = min(_timed(session, scene, contract, cell) for cell in cells[1:3])
    set_samples(scene, int(contract["samples"]))
    seconds: list[float] = []
    began = time.perf_counter()
    for cell in cells:
        if seconds and time.perf_counter() - began > _BUDGET_S:
            break
        seconds.append(_timed(session, scene, contract, cell))
    taken = _taken(session, scene, contract, cells[: len(seconds)], seconds, call) if adaptive else 1.0
    return {
        "sync_seconds": round(sync, 4),
        "call_seconds": round(call, 5),
        "cell_seconds": round(float(np.mean(seconds)), 5),
        "taken": taken,
    }


def _taken(
    session: Session, scene: Scene, contract: dict[str, Any], cells: list[Rect], seconds: list[float], call: float
) -> float:
    """Share of the contract's samples that adaptive sampling takes, each sample weighed by what it costs: the time of
    all these blocks against their time with a fixed number of samples."""
    scene.cycles.use_adaptive_sampling = False
    set_samples(scene, _FIXED_SAMPLES)
    fixed = sum(max(0.0, _timed(session, scene, contract, cell) - call) for cell in cells)
    set_samples(scene, int(contract["samples"]))
    scene.cycles.use_adaptive_sampling = True
    adaptive = sum(max(0.0, one - call) for one in seconds)
    share = adaptive / max(fixed, 1e-4) * _FIXED_SAMPLES / contract["samples"]
    return float(min(1.0, max(share, 1 / contract["samples"])))


def _timed(session: Session, scene: Scene, contract: dict[str, Any], cell: Rect) -> float:
    """Seconds of one block."""
    began = time.perf_counter()
    session.render(scene, with_guard(cell, int(contract["guard"]), tuple(contract["window"])))
    return time.perf_counter() - began


def _spread(window: Rect, count: int) -> list[Rect]:
    """Blocks spread over the window, the same for every run."""
    x0, y0, x1, y1 = window
    w, h = max(1, x1 - x0 - _CELL), max(1, y1 - y0 - _CELL)
    places = [((0.5 + 0.618034 * i) % 1.0, (0.5 + 0.754878 * i) % 1.0) for i in range(count)]
    corners = [(x0 + int(u * w), y0 + int(v * h)) for u, v in places]
    return [(x, y, min(x1, x + _CELL), min(y1, y + _CELL)) for x, y in corners]
