"""Pictures by one side's runners, kept on disk: a render is made once, whatever it is compared with later."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.contract import CELL_SIDE, RenderContract
from jobs.geometry import Rect
from node.calibrate.shots import SIZE, Shot
from node.calibrate.sides import Side
from node.hardware import probe
from node.runner_pool import RunnerPool, WarmRunner
from node.runner_process import RunnerFailure
from node.runner_programs import BLENDER

__all__ = ["BLOCKS", "NotKept", "Planes", "Studio", "cut", "pasted"]

Planes = NDArray[np.float32]
"""(channels, height, width), scene-linear, row 0 at the top."""

BLOCKS = tuple(Rect(0, 0, *SIZE).blocks(CELL_SIDE))
"""Every cell of a picture, in the order of their indices."""


class NotKept(RunnerFailure):
    """It was not rendered before, and there is nothing to render it with."""


class Studio:
    """Renders shots with the runners of `pool`; without one, shows those that were rendered before."""

    def __init__(self, side: Side, pool: RunnerPool | None, cache: Path) -> None:
        self.side, self.pool, self.cache = side, pool, cache
        cache.mkdir(parents=True, exist_ok=True)
        self._machine = [probe().cpu, side.how, str(side.python or ""), side.device]
        self._before: Shot | None = None
        self._hashes: dict[Path, str] = {}

    def runner(self, shot: Shot) -> WarmRunner:
        """The one process of this side that has the shot's scene open. Raises NotKept without a pool."""
        if self.pool is None:
            raise NotKept(f"{shot.key} was not rendered before")
        return self.pool.get(BLENDER, shot.scene.name, shot.scene.folder)

    def contract(self, shot: Shot) -> RenderContract:
        """What `describe` fixes for the shot on this side. Raises RunnerFailure where it cannot be rendered."""
        if shot.seed is not None:  # the seed is all that differs
            base = self.contract(replace(shot, seed=None))
            overrides = {**base.overrides, "seed": shot.seed}
            return base.model_copy(update={"seed": shot.seed, "overrides": overrides})

        def describe() -> bytes:
            runner = self.runner(shot)
            answer = runner.request(
                "describe", {"blend": f"/job/{shot.scene.blend}", "overrides": shot.as_overrides(), "frame": shot.frame}
            )
            runner.clear()
            return json.dumps(answer["contract"]).encode()

        name = self._name(shot, "contract", shot.as_overrides())
        return RenderContract.model_validate_json(self._kept(name, ".json", describe))

    def tile(
        self,
        shot: Shot,
        contract: RenderContract,
        *,
        blend: str | None = None,
        samples: tuple[int, int] | None = None,
    ) -> Planes:
        """The whole picture as a worker renders a tile; of another file of the scene's folder, or with another range
        of samples, as a worker who cheats."""
        window = contract.window
        blend = blend or shot.scene.blend

        def render() -> bytes:
            runner = self.runner(shot)
            payload: dict[str, Any] = {
                "blend": f"/job/{blend}", "contract": self._own(contract, runner), "frame": shot.frame,
                "rect": window, "out": "tile.raw",
            }  # fmt: skip
            if samples is not None:
                payload["samples"] = samples
            answer = runner.request("render_tile", payload)
            return self._taken(runner, answer, contract.result_bytes(contract.rect))

        what = ["tile", self._digest(shot, blend), contract.model_dump(mode="json"), shot.frame, samples]
        return _planes(self._kept(self._name(shot, "tile", what), ".raw", render), contract)

    def cells(self, shot: Shot, contract: RenderContract, blocks: Sequence[Rect] = BLOCKS) -> dict[int, Planes]:
        """Cells by index, rendered one by one as an auditor does, by a runner that has just rendered other things: the
        low-resolution reference of the frame, and a cell of whichever shot it had before."""

        def render() -> bytes:
            runner = self.runner(shot)
            self._make_history(runner, shot, contract)
            answer = runner.request(
                "render_cells",
                {
                    "blend": f"/job/{shot.scene.blend}", "contract": self._own(contract, runner), "frame": shot.frame,
                    "rects": [tuple(block) for block in blocks], "out": "cells.raw",
                },
            )  # fmt: skip
            return self._taken(runner, answer, sum(contract.result_bytes(block) for block in blocks))

        what = ["cells", self._digest(shot, shot.scene.blend), contract.model_dump(mode="json"), shot.frame, blocks]
        data, at, found = self._kept(self._name(shot, "cells", what), ".raw", render), 0, {}
        for block in blocks:
            length = contract.result_bytes(block)
            part = np.frombuffer(data[at : at + length], "<f4").reshape(-1, block.height, block.width)
            found[BLOCKS.index(block)] = part
            at += length
        return found

    def pieces(
        self, shot: Shot, contract: RenderContract, rects: Sequence[Rect], *, again: bool = False
    ) -> list[Planes]:
        """Rectangles, each rendered as a tile of its own. `again`: as an auditor redoes what replays only whole, by a
        runner that has just rendered other things."""

        def render() -> bytes:
            runner, made = self.runner(shot), b""
            if again:
                self._make_history(runner, shot, contract)
            asked = {"blend": f"/job/{shot.scene.blend}", "contract": self._own(contract, runner), "frame": shot.frame}
            for rect in rects:
                answer = runner.request("render_tile", {**asked, "rect": tuple(rect), "out": "tile.raw"})
                made += self._taken(runner, answer, contract.result_bytes(rect))
            return made

        what = "again" if again else "pieces"
        details = [what, self._digest(shot, shot.scene.blend), contract.model_dump(mode="json"), shot.frame, rects]
        data, at, found = self._kept(self._name(shot, what, details), ".raw", render), 0, []
        for rect in rects:
            length = contract.result_bytes(rect)
            found.append(np.frombuffer(data[at : at + length], "<f4").reshape(-1, rect.height, rect.width))
            at += length
        return found

    def _make_history(self, runner: WarmRunner, shot: Shot, contract: RenderContract) -> None:
        own, blend = self._own(contract, runner), f"/job/{shot.scene.blend}"
        low = {"width": SIZE[0] // 2, "height": SIZE[1] // 2, "samples": 2, "out": "low.raw"}
        runner.request("reference", {"blend": blend, "contract": own, "frame": shot.frame, **low})
        runner.clear()
        before, self._before = self._before, shot
        other = before.frame if before is not None and before.scene == shot.scene else shot.frame + 1
        if other != shot.frame:
            cell = {"frame": other, "rects": [[0, 0, 8, 8]], "out": "other.raw"}
            runner.request("render_cells", {"blend": blend, "contract": own, **cell})
            runner.clear()

    @staticmethod
    def _own(contract: RenderContract, runner: WarmRunner) -> dict[str, Any]:
        """The contract with the version of whoever renders: other versions are among what is calibrated."""
        return {**contract.model_dump(mode="json"), "version": runner.version}

    @staticmethod
    def _taken(runner: WarmRunner, answer: dict[str, Any], length: int) -> bytes:
        data = bytearray(length)
        runner.take(answer.get("file"), memoryview(data))
        return bytes(data)

    def _digest(self, shot: Shot, blend: str) -> str:
        path = shot.scene.folder / blend
        if path not in self._hashes:
            self._hashes[path] = hashlib.sha256(path.read_bytes()).hexdigest()
        return self._hashes[path]

    def _name(self, shot: Shot, what: str, details: Any) -> str:
        parts = json.dumps([self._machine, self._digest(shot, shot.scene.blend), details], default=str)
        return f"{what}-{shot.key}-{hashlib.sha256(parts.encode()).hexdigest()[:24]}"

    def _kept(self, name: str, suffix: str, make: Callable[[], bytes]) -> bytes:
        file = self.cache / f"{name}{suffix}"
        if not file.is_file():
            beside = file.with_suffix(".new")
            beside.write_bytes(make())
            beside.replace(file)
        return file.read_bytes()


def _planes(data: bytes, contract: RenderContract) -> Planes:
    rect = contract.rect
    return np.frombuffer(data, "<f4").reshape(len(contract.channels), rect.height, rect.width)


def cut(planes: Planes, index: int) -> Planes:
    """One cell of a whole picture."""
    x0, y0, x1, y1 = BLOCKS[index]
    return planes[:, y0:y1, x0:x1]


def pasted(cells: dict[int, Planes], channels: int) -> Planes:
    """A whole picture put together from all of its cells."""
    out = np.empty((channels, SIZE[1], SIZE[0]), np.float32)
    for index, cell in cells.items():
        x0, y0, x1, y1 = BLOCKS[index]
        out[:, y0:y1, x0:x1] = cell
    return out
