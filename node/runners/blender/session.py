# SPDX-FileCopyrightText: The kilnet authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one file that is open, and what has to happen before a frame of it can be rendered.

Blender's persistent data is kept for one frame at one resolution only. Before either changes it is switched off and on:
otherwise hair, instances, image sequences and adaptive subdivision keep traces of what was rendered before, and honest
nodes would disagree.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import bpy
import numpy as np

from . import blendfile, dependencies, exr, freeze, graphics, protocol
from .errors import RunnerError, request_error
from .scene import (
    Rect,
    Scene,
    choose,
    raw_settings,
    samples_of,
    set_border,
    set_resolution,
    set_samples,
    size,
)

Array = np.ndarray[Any, np.dtype[np.float32]]


def version() -> str:
    return ".".join(str(part) for part in bpy.app.version)


@dataclass
class Session:
    scratch: Path
    device: str = "CPU"
    """What `scene.cycles.device` is set to: CPU or GPU."""
    threads: int = 0
    _file: tuple[str, int, int] | None = None
    _contract: str = ""
    _placed: tuple[int, int, int] | None = None
    load_seconds: float = field(default=0.0, init=False)
    """Seconds the current request spent opening the file; 0 where it was open."""
    file_load_seconds: float = field(default=0.0, init=False)
    """Seconds it took to open the file that is open, whenever that was."""
    saved_version: tuple[int, int] = (0, 0)

    def open(self, blend: Any, *, fresh: bool = True) -> None:
        """Open `blend` (again, if `fresh`). Scripts and scripted drivers in it never run.

        Raises RunnerError `missing_blend`, `not_a_blend`, `newer_blender`, `broken_blend`.
        """
        if not isinstance(blend, str):
            raise request_error('"blend" must be the path of a .blend file.')
        path = Path(blend)
        saved = blendfile.saved_with(path)
        _refuse_newer(path, saved)
        stat = path.stat()
        key = (str(path.resolve()), stat.st_mtime_ns, stat.st_size)
        if key == self._file and not fresh:
            return
        self.forget()
        started = time.perf_counter()
        protocol.current().progress(0.0, f"Opening {path.name}")
        bpy.context.preferences.filepaths.use_scripts_auto_execute = False
        try:
            bpy.ops.wm.open_mainfile(filepath=str(path), use_scripts=False)
        except RuntimeError as error:
            text = str(error).strip().splitlines()[0].removeprefix("Error: ")
            raise RunnerError(
                "broken_blend", f"Blender cannot open {path.name}: {text}; save it again", scene_fault=True
            ) from None
        major, minor = bpy.data.version[0], bpy.data.version[1]
        _refuse_newer(path, (major, minor))
        self.saved_version = saved or (major, minor)
        self.file_load_seconds = time.perf_counter() - started
        self.load_seconds += self.file_load_seconds
        self._file = key

    def forget(self) -> None:
        """The next request opens the file anew: what is in memory is no longer the file."""
        self._file, self._contract, self._placed = None, "", None
        freeze.forget()

    def unplace(self) -> None:
        """The next request begins its frame afresh: render settings were changed under the persistent data."""
        self._placed = None

    def prepare(self, blend: Any, contract: dict[str, Any], frame: Any, *, width: int = 0, height: int = 0) -> Scene:
        """The contract's scene, ready to render `frame` raw, at the contract's resolution or a smaller one.

        Raises RunnerError `wrong_version`, `contract_mismatch`, `missing_file` and those of `open`.
        """
        check_contract(contract)
        key = json.dumps(contract, sort_keys=True)
        if key != self._contract:
            scene = self.open_contract(blend, contract)
            raw_settings(scene, self.threads, self.device)
            _refuse_missing(contract)
            self._contract = key
        else:
            self.open(blend, fresh=False)
            if not self._contract:  # the file had changed on disk
                return self.prepare(blend, contract, frame, width=width, height=height)
        scene = bpy.data.scenes[contract["scene"]]
        self.place(scene, int(frame), width or contract["width"], height or contract["height"])
        return scene

    def open_contract(self, blend: Any, contract: dict[str, Any]) -> Scene:
        """The file opened anew, its scene as the contract has it, but still with the artist's output settings."""
        check_contract(contract)
        self.open(blend)
        scene = choose(contract.get("overrides") or {})
        _obey(scene, contract)
        return scene

    def place(self, scene: Scene, frame: int, width: int, height: int) -> None:
        """Go to a frame and a resolution, dropping persistent data where either is another one."""
        wanted = (frame, width, height)
        if self._placed != wanted:
            drop_persistent(scene)
            freeze.put_back()
            set_resolution(scene, width, height)
            scene.frame_set(frame)
            freeze.set_aside(scene)
            self._placed = wanted

    def cryptomatte_metadata(self, scene: Scene) -> dict[str, str]:
        """Header fields of a 1-sample render of a few pixels. Output settings are changed by it."""
        r, cycles = scene.render, scene.cycles
        kept = {name: getattr(r, name) for name in ("resolution_x", "resolution_y", "resolution_percentage")}
        samples, denoising, compositing = cycles.samples, cycles.use_denoising, r.use_compositing
        target = self.scratch / "cryptomatte.exr"
        try:
            raw_settings(scene, self.threads, self.device)
            set_resolution(scene, 8, 8)
            cycles.samples = 1
            set_border(scene, (0, 0, 8, 8))
            r.filepath = str(target)
            bpy.ops.render.render(write_still=True, scene=scene.name)
            return exr.text_headers(target, "cryptomatte/")
        finally:
            target.unlink(missing_ok=True)
            for name, value in kept.items():
                setattr(r, name, value)
            cycles.samples, cycles.use_denoising, r.use_compositing = samples, denoising, compositing

    def render(self, scene: Scene, rect: Rect) -> exr.Planes:
        """Render a rectangle of the frame and read every channel of it, (H, W) float32 each, row 0 at the top."""
        if scene.render.engine == "CYCLES" and scene.cycles.use_guiding:  # what it learned would be kept as well
            scene.render.use_persistent_data = False
        if scene.render.engine != "CYCLES":
            _make_context()
        set_border(scene, rect)
        work = protocol.current()
        target = self.scratch / f"raw-{time.monotonic_ns()}.exr"
        scene.render.filepath = str(target)
        work.begin_render()
        try:
            bpy.ops.render.render(write_still=True, scene=scene.name)
            if not target.exists():
                raise RunnerError("render_failed", "Blender ended the render without a picture.")
            planes = exr.read_channels(target)
        except RuntimeError as error:
            raise RunnerError("render_failed", f"Blender could not render: {_one_line(error)}") from None
        finally:
            target.unlink(missing_ok=True)
        shape = (rect[3] - rect[1], rect[2] - rect[0])
        wrong = {plane.shape for plane in planes.values()} - {shape}
        if wrong or not planes:
            raise RunnerError("render_failed", f"Blender rendered {wrong or 'nothing'} where {shape} was asked for.")
        return planes


def drop_persistent(scene: Scene) -> None:
    """The next render prepares the scene anew: Cycles would keep what depends on settings that have changed, such as
    the table of random numbers for the most samples so far."""
    scene.render.use_persistent_data = False
    scene.render.use_persistent_data = True


def _make_context() -> None:
    try:
        graphics.ready()
    except (ImportError, SystemError, RuntimeError) as error:
        reason = f"EEVEE and Workbench need a graphics driver (EGL): {_one_line(error)}"
        raise RunnerError("no_raster", reason) from None


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]


def _refuse_newer(path: Path, saved: tuple[int, int] | None) -> None:
    mine = bpy.app.version[:2]
    if saved is not None and saved > mine:
        raise RunnerError(
            "newer_blender",
            f"{path.name} was saved by Blender {saved[0]}.{saved[1]} and this is {mine[0]}.{mine[1]}: render it with "
            f"{saved[0]}.{saved[1]} or save it for {mine[0]}.{mine[1]}.",
            scene_fault=True,
            saved_version=f"{saved[0]}.{saved[1]}",
        )


_REQUIRED = ("runtime", "version", "engine", "scene", "width", "height", "window", "samples", "guard", "channels")


def check_contract(contract: Any) -> None:
    if not isinstance(contract, dict) or any(name not in contract for name in _REQUIRED):
        raise request_error(f"A contract needs {', '.join(_REQUIRED)}; describe returns one.")
    if contract["runtime"] != "blender" or contract["version"] != version():
        raise RunnerError(
            "wrong_version",
            f"The contract asks for {contract['runtime']} {contract['version']}; this is blender {version()}.",
        )


def _obey(scene: Scene, contract: dict[str, Any]) -> None:
    """Make the contract's own figures true; refuse where the file cannot have them."""
    if scene.name != contract["scene"]:
        raise RunnerError("contract_mismatch", f"The file's scene is {scene.name!r}, not {contract['scene']!r}.")
    if scene.render.engine != contract["engine"]:
        raise RunnerError("contract_mismatch", f"The file's engine is {scene.render.engine}, not {contract['engine']}.")
    if scene.camera is None:
        raise RunnerError(
            "no_camera", f"Scene {scene.name!r} has no active camera: choose one in its properties.", scene_fault=True
        )
    set_resolution(scene, int(contract["width"]), int(contract["height"]))
    set_samples(scene, int(contract["samples"]))
    figures = {"width": size(scene)[0], "height": size(scene)[1], "samples": samples_of(scene)}
    if scene.render.engine == "CYCLES":
        figures |= {"adaptive": scene.cycles.use_adaptive_sampling, "seed": scene.cycles.seed}
    wrong = [f"{name} {value}" for name, value in figures.items() if contract.get(name, value) != value]
    if wrong:
        raise RunnerError("contract_mismatch", f"The file has {', '.join(wrong)}: not what the contract says.")


def _refuse_missing(contract: dict[str, Any]) -> None:
    accepted = set((contract.get("overrides") or {}).get("allow_missing") or ())
    missing = [m for m in dependencies.missing_files() if m["path"] not in accepted]
    if missing:
        names = ", ".join(m["path"] for m in missing[:5])
        raise RunnerError(
            "missing_file",
            f"Not with the scene: {names}. Send them with it, or pack them into the file.",
            missing_files=missing[:200],
        )
