"""A Blender runner as a child process, and plain Blender to compare it with."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

REPO = Path(__file__).parents[2]
RUNNER = REPO / "node" / "runners" / "blender"
SAMPLES = REPO / "samples" / "scenes"
PLAIN = REPO / "tests" / "support" / "plain_blender.py"

Rect = tuple[int, int, int, int]
Planes = NDArray[np.float32]


class Runner:
    """One runner process; a call is one request, its progress lines are kept in `events`."""

    def __init__(self, scratch: Path) -> None:
        self.scratch = scratch
        with (scratch / "stderr.txt").open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, str(RUNNER), "--scratch", str(scratch), "--threads", "2"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        self.number = 0
        self.events: list[dict[str, Any]] = []
        self.ready = self._line()

    def _line(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            text = (self.scratch / "stderr.txt").read_text(errors="replace")[-2000:]
            raise EOFError(f"the runner ended with {self.process.wait()}:\n{text}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def request(self, op: str, **fields: Any) -> dict[str, Any]:
        """The whole answer, ok or not."""
        assert self.process.stdin is not None
        self.number += 1
        self.events = []
        body = {"id": self.number, "op": op} | fields
        self.process.stdin.write(json.dumps(body, default=str).encode() + b"\n")
        self.process.stdin.flush()
        while "ok" not in (answer := self._line()):
            self.events.append(answer)
        assert answer["id"] == self.number
        return answer

    def __call__(self, op: str, **fields: Any) -> dict[str, Any]:
        answer = self.request(op, **fields)
        assert answer["ok"], answer["error"]
        result: dict[str, Any] = answer["result"]
        return result

    def refuses(self, op: str, **fields: Any) -> dict[str, Any]:
        """The error of a request that must fail."""
        answer = self.request(op, **fields)
        assert not answer["ok"], answer
        error: dict[str, Any] = answer["error"]
        return error

    def contract(self, blend: Path, **overrides: Any) -> dict[str, Any]:
        contract: dict[str, Any] = self("describe", blend=blend, overrides=overrides)["contract"]
        return contract

    def tile(
        self,
        blend: Path,
        contract: dict[str, Any],
        frame: int,
        rect: Rect | None = None,
        samples: tuple[int, int] | None = None,
    ) -> Planes:
        """(C, H, W) of a rectangle, the whole window by default."""
        x0, y0, x1, y1 = rect or contract["window"]
        fields = {} if samples is None else {"samples": samples}
        result = self(
            "render_tile", blend=blend, contract=contract, frame=frame, rect=[x0, y0, x1, y1], out="tile", **fields
        )
        assert result["bytes"] == 4 * len(contract["channels"]) * (y1 - y0) * (x1 - x0)
        return np.fromfile(self.scratch / "tile", "<f4").reshape(-1, y1 - y0, x1 - x0)

    def cells(
        self,
        blend: Path,
        contract: dict[str, Any],
        frame: int,
        rects: list[Rect],
        samples: tuple[int, int] | None = None,
    ) -> list[Planes]:
        fields = {} if samples is None else {"samples": samples}
        self("render_cells", blend=blend, contract=contract, frame=frame, rects=rects, out="cells", **fields)
        data = np.fromfile(self.scratch / "cells", "<f4")
        found, at = [], 0
        for x0, y0, x1, y1 in rects:
            count = len(contract["channels"]) * (y1 - y0) * (x1 - x0)
            found.append(data[at : at + count].reshape(-1, y1 - y0, x1 - x0))
            at += count
        assert at == data.size
        return found

    def close(self) -> None:
        assert self.process.stdin is not None and self.process.stdout is not None
        if self.process.poll() is None:
            self.process.stdin.close()  # the end of its requests ends the runner
            self.process.wait(timeout=30)
        self.process.stdout.close()


def started(scratch: Path) -> Iterator[Runner]:
    """For a module's fixture: one process for all its tests, since starting one costs seconds."""
    pytest.importorskip("bpy", reason="bpy is not installed: pip install kilnet[blender] (Python 3.13)")
    runner = Runner(scratch)
    try:
        yield runner
    finally:
        runner.close()


def plain(blend: Path, out: Path, **options: Any) -> None:
    """Render with nothing but bpy: OUT/FRAME.exr (linear) and OUT/FRAME-final.* (as the artist gets it)."""
    command = [sys.executable, str(PLAIN), str(blend), str(out), json.dumps(options)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr[-2000:]


FLOAT_PLAIN = """
import os, sys, bpy
blend, out, width, height, samples = sys.argv[-5:]
bpy.ops.wm.open_mainfile(filepath=blend)
scene = bpy.context.scene
image = scene.render.image_settings
scene.render.resolution_x, scene.render.resolution_y, scene.cycles.samples = int(width), int(height), int(samples)
image.media_type, image.file_format, image.color_depth = "IMAGE", "OPEN_EXR", "32"
scene.render.filepath = out
bpy.ops.render.render(write_still=True)
os._exit(0)
"""


def plain_float(blend: Path, out: Path, size: list[int], samples: int) -> None:
    """What plain Blender delivers, as a float32 EXR: OUT."""
    command = [sys.executable, "-c", FLOAT_PLAIN, str(blend), str(out), *map(str, size), str(samples)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr[-2000:]


def differing(a: Planes, b: Planes) -> float:
    """Share of values with other bits."""
    return float((np.ascontiguousarray(a).view(np.uint32) != np.ascontiguousarray(b).view(np.uint32)).mean())


def part(frame: Planes, window: Rect, rect: Rect) -> Planes:
    x, y = window[0], window[1]
    return frame[:, rect[1] - y : rect[3] - y, rect[0] - x : rect[2] - x]
