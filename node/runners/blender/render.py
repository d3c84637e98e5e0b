# SPDX-FileCopyrightText: The kilnet authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tiles and cells: rectangles of a frame, rendered raw.

Results are little-endian float32, planar (C, H, W), row 0 at the top, the contract's channels in the contract's order;
a file is exactly 4*C*H*W bytes for each rectangle.
"""

from __future__ import annotations

import contextlib
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from . import exr, protocol
from .errors import RunnerError, request_error
from .grouping import area, bounds, grouped
from .scene import EEVEE, Rect, Scene, check_rect, set_samples, with_guard
from .session import Array, Session, drop_persistent

UNREPEATABLE = ("Render Time", "Debug Sample Count")
"""Passes that differ from run to run, or between a block and its frame: never part of a contract."""


def peak_rss() -> int:
    """The most resident memory this process has had, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def out_path(session: Session, request: dict[str, Any], key: str = "out") -> Path:
    """A result's place: a plain name in the scratch folder."""
    name = request.get(key)
    if not isinstance(name, str) or not name or Path(name).name != name or name.startswith("."):
        raise request_error(f'"{key}" must be a plain file name; it is put into the scratch folder.')
    return session.scratch / name


@contextlib.contextmanager
def sample_range(scene: Scene, contract: dict[str, Any], samples: Any) -> Iterator[None]:
    """Samples [s0, s1) of the contract's count. Where ranges do not merge (adaptive sampling, volumes) s0 must be 0 and
    the scene is rendered with s1 samples, as a preview by itself. Raises `bad_request`."""
    total = int(contract["samples"])
    s0, s1 = (0, total) if samples is None else (int(samples[0]), int(samples[1]))
    if not 0 <= s0 < s1 <= total:
        raise request_error(f"The sample range {[s0, s1]} is empty or leaves [0, {total}].")
    part = (s0, s1) != (0, total)
    if contract["engine"] != "CYCLES":
        if part:
            raise request_error("Engines other than Cycles render all samples at once.")
        yield
        return
    cycles = scene.cycles
    if part and (contract.get("adaptive") or not contract.get("sample_split", True)):
        if s0:
            raise request_error("With adaptive sampling or volumes, samples are rendered from the first one on.")
        of_layers = cycles.use_layer_samples
        set_samples(scene, s1)
        drop_persistent(scene)
        try:
            yield
        finally:
            set_samples(scene, total)
            cycles.use_layer_samples = of_layers
            drop_persistent(scene)
        return
    cycles.use_sample_subset = part
    cycles.sample_offset, cycles.sample_subset_length = (s0, s1 - s0) if part else (0, total)
    yield


def crop(planes: exr.Planes, channels: list[str], rendered: Rect, rect: Rect) -> Array:
    """The contract's channels of `rect`, (C, H, W) float32, out of what was rendered with its guard band."""
    absent = [name for name in channels if name not in planes]
    if absent:
        raise RunnerError("contract_mismatch", f"The render has no channel {', '.join(absent[:4])}.")
    return np.stack([part(planes[name], rendered, rect) for name in channels]).astype("<f4", copy=False)


def part(planes: Array, around: Rect, rect: Rect) -> Array:
    """What `rect` has of planes (..., H, W) of a rectangle around it, not copied."""
    rows = slice(rect[1] - around[1], rect[3] - around[1])
    return planes[..., rows, rect[0] - around[0] : rect[2] - around[0]]


def rectangle(session: Session, scene: Scene, contract: dict[str, Any], rect: Rect) -> Array:
    """One rectangle of the prepared frame, (C, H, W); the guard band is rendered and cut away."""
    window: Rect = tuple(contract["window"])
    rendered = with_guard(rect, int(contract["guard"]), window)
    if contract["engine"] in EEVEE or scene.render.use_freestyle:  # neither repeats in any part of its frame
        rendered = window
    return crop(session.render(scene, rendered), contract["channels"], rendered, rect)


def _result(session: Session, out: Path, started: float, nonfinite: int) -> dict[str, Any]:
    return {
        "file": out.name,
        "bytes": out.stat().st_size,
        "seconds": round(time.perf_counter() - started, 4),
        "load_seconds": round(session.load_seconds, 4),
        "sync_seconds": round(protocol.current().sync_seconds, 4),
        "peak_rss": peak_rss(),
        "nonfinite": nonfinite,
    }


def render_tile(session: Session, request: dict[str, Any]) -> dict[str, Any]:
    """`{blend, contract, frame, rect, samples?, out}` -> one raw file."""
    started = time.perf_counter()
    contract, out = request["contract"], out_path(session, request)
    scene = session.prepare(request["blend"], contract, request["frame"])
    rect = check_rect(request["rect"], tuple(contract["window"]))
    with sample_range(scene, contract, request.get("samples")):
        planes = rectangle(session, scene, contract, rect)
    planes.tofile(out)
    return _result(session, out, started, int(np.count_nonzero(~np.isfinite(planes))))


def render_cells(session: Session, request: dict[str, Any]) -> dict[str, Any]:
    """`{blend, contract, frame, rects, samples?, out}` -> one raw file, the rectangles' planes one after the other."""
    started = time.perf_counter()
    contract, out = request["contract"], out_path(session, request)
    scene = session.prepare(request["blend"], contract, request["frame"])
    window: Rect = tuple(contract["window"])
    rects = [check_rect(rect, window) for rect in request["rects"]]
    seconds, nonfinite, calls = [0.0] * len(rects), 0, 0
    done: dict[int, Array] = {}
    with out.open("wb") as f, sample_range(scene, contract, request.get("samples")):
        written = 0
        for group, planes, took in _cells(session, scene, contract, rects):
            calls += 1
            for i, cell in zip(group, planes, strict=True):
                seconds[i], done[i] = round(took / len(group), 5), cell
            while written in done:
                cell = done.pop(written)
                f.write(cell.tobytes())
                nonfinite += int(np.count_nonzero(~np.isfinite(cell)))
                written += 1
    return _result(session, out, started, nonfinite) | {"cell_seconds": seconds, "calls": calls}


def _cells(
    session: Session, scene: Scene, contract: dict[str, Any], rects: list[Rect]
) -> Iterator[tuple[list[int], list[Array], float]]:
    """The indices of cells that were rendered in one call, their planes, and the seconds it took."""
    work, guard = protocol.current(), int(contract["guard"])

    def render(group: list[int]) -> tuple[list[Array], float]:
        work.step(group[0] / len(rects), len(group) / len(rects))
        began = time.perf_counter()
        around = bounds([rects[i] for i in group])
        planes = rectangle(session, scene, contract, around)
        cells = [part(planes, around, rects[i]) for i in group]
        return cells, time.perf_counter() - began

    if contract["engine"] in EEVEE or scene.render.use_freestyle:  # its frame is rendered whatever is asked for
        groups = [list(range(len(rects)))]
    elif contract.get("path_guiding"):  # learns from the very rectangle
        groups = [[i] for i in range(len(rects))]
    else:
        # The first call may have got the frame ready; the second tells what each one costs.
        took = sampling = 0.0
        alone = min(2, len(rects))
        for i in range(alone):
            sampled = work.sampling_seconds
            cells, took = render([i])
            sampling = work.sampling_seconds - sampled
            yield [i], cells, took
        pixel_seconds = sampling / area(rects[alone - 1], guard)
        groups = [[alone + i for i in group] for group in grouped(rects[alone:], guard, took - sampling, pixel_seconds)]
    for group in groups:
        cells, took = render(group)
        yield group, cells, took
