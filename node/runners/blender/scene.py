# SPDX-FileCopyrightText: The kilnet authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a file's scene is asked to be: overrides, and the scene's own figures after them.

All pixel rectangles outside this module are `[x0, y0, x1, y1)` in whole-frame pixels with the origin at the TOP left;
Blender's border is a fraction with its origin at the bottom.
"""

from __future__ import annotations

from typing import Any

import bpy
import numpy as np

from .errors import RunnerError, request_error

Scene = Any  # bpy.types.Scene; bpy has no type information
Rect = tuple[int, int, int, int]

EEVEE = ("BLENDER_EEVEE", "BLENDER_EEVEE_NEXT")
OVERRIDES = (
    "engine", "samples", "resolution", "scene", "camera", "frames", "denoise", "seed", "adaptive", "allow_missing",
)  # fmt: skip
"""`frames` is for whoever plans the job; `allow_missing` lists files, as the scene names them, to render without."""


def choose(overrides: dict[str, Any]) -> Scene:
    """Make the asked-for scene the active one and apply the overrides to it.

    Raises RunnerError `no_scene`, `no_camera`, `unknown_engine` or `bad_request`.
    """
    unknown = set(overrides) - set(OVERRIDES)
    if unknown:
        raise request_error(f"Unknown overrides {sorted(unknown)}; known are {', '.join(OVERRIDES)}.")
    scene = bpy.context.scene
    name = overrides.get("scene")
    if name is not None:
        scene = bpy.data.scenes.get(name)
        if scene is None:
            raise RunnerError("no_scene", f"There is no scene {name!r}; there are {_names(bpy.data.scenes)}.")
    if bpy.context.window is not None:
        bpy.context.window.scene = scene
    if overrides.get("engine") is not None:
        _set_engine(scene, overrides["engine"])
    if overrides.get("camera") is not None:
        _set_camera(scene, overrides["camera"])
    if overrides.get("resolution") is not None:
        width, height = overrides["resolution"]
        set_resolution(scene, int(width), int(height))
    if overrides.get("samples") is not None:
        set_samples(scene, int(overrides["samples"]))
    if overrides.get("seed") is not None:
        scene.cycles.seed = int(overrides["seed"])
    if overrides.get("adaptive") is not None:
        scene.cycles.use_adaptive_sampling = bool(overrides["adaptive"])
    if overrides.get("denoise") is not None:
        scene.cycles.use_denoising = bool(overrides["denoise"])
    return scene


def _names(items: Any) -> str:
    return ", ".join(repr(item.name) for item in items) or "none"


def _set_engine(scene: Scene, engine: str) -> None:
    try:
        scene.render.engine = engine
    except TypeError:
        if engine in EEVEE:
            scene.render.engine = next(e for e in EEVEE if e != engine)
        else:
            raise RunnerError(
                "unknown_engine", f"This Blender has no render engine {engine!r}: choose Cycles or EEVEE."
            ) from None


def _set_camera(scene: Scene, name: str) -> None:
    camera = next((o for o in scene.objects if o.type == "CAMERA" and o.name == name), None)
    if camera is None:
        raise RunnerError(
            "no_camera", f"Scene {scene.name!r} has no camera {name!r}: choose one that it has.", scene_fault=True
        )
    scene.camera = camera
    for marker in scene.timeline_markers:  # a marker would switch to its own camera on a frame change
        marker.camera = None


def set_resolution(scene: Scene, width: int, height: int) -> None:
    """Whole-frame pixels; the file's percentage is folded in. Leaves the scene alone where nothing changes."""
    if not (4 <= width <= 65536 and 4 <= height <= 65536):
        raise request_error(f"A resolution of {width}x{height} is outside 4..65536.")
    if size(scene) != (width, height):
        scene.render.resolution_percentage = 100
        scene.render.resolution_x, scene.render.resolution_y = width, height


def set_samples(scene: Scene, samples: int) -> None:
    if samples < 1:
        raise request_error(f"{samples} samples cannot be rendered; at least 1 is needed.")
    if scene.render.engine == "CYCLES":
        if scene.cycles.samples != samples:
            scene.cycles.samples = samples
            scene.cycles.use_layer_samples = "IGNORE"
    elif scene.render.engine in EEVEE:
        scene.eevee.taa_render_samples = samples


def samples_of(scene: Scene) -> int:
    if scene.render.engine == "CYCLES":
        return int(scene.cycles.samples)
    if scene.render.engine in EEVEE:
        return int(scene.eevee.taa_render_samples)
    return 1


def size(scene: Scene) -> tuple[int, int]:
    """Whole-frame width and height in pixels, as the renderer will have them."""
    r = scene.render
    return r.resolution_x * r.resolution_percentage // 100, r.resolution_y * r.resolution_percentage // 100


def window(scene: Scene) -> Rect:
    """The rectangle the scene itself renders: the frame, or its border as Blender cuts it (float32, towards 0)."""
    w, h = size(scene)
    r = scene.render
    if not r.use_border:
        return 0, 0, w, h
    x0, x1, y0, y1 = (
        int(np.float32(edge) * np.float32(n))
        for edge, n in ((r.border_min_x, w), (r.border_max_x, w), (r.border_min_y, h), (r.border_max_y, h))
    )
    if x1 <= x0 or y1 <= y0:
        raise RunnerError("empty_border", "The render border is empty; clear it (Ctrl-Alt-B).", scene_fault=True)
    return x0, h - y1, x1, h - y0


def set_border(scene: Scene, rect: Rect, *, crop: bool = True) -> None:
    """Render only `rect`. A quarter pixel inside: a plain x/W loses a column to float rounding at some sizes."""
    w, h = size(scene)
    x0, y0, x1, y1 = rect
    r = scene.render
    whole = rect == (0, 0, w, h)
    r.use_border = not whole
    r.use_crop_to_border = crop and not whole
    r.border_min_x, r.border_max_x = 0.0, 1.0  # the setters keep min below max: start from the widest
    r.border_min_y, r.border_max_y = 0.0, 1.0
    r.border_min_x, r.border_max_x = (x0 + 0.25) / w, min(1.0, (x1 + 0.25) / w)
    r.border_min_y, r.border_max_y = (h - y1 + 0.25) / h, min(1.0, (h - y0 + 0.25) / h)


def check_rect(rect: Any, inside: Rect) -> Rect:
    """A request's rectangle as a tuple. Raises `bad_request` where it is empty or leaves `inside`."""
    try:
        x0, y0, x1, y1 = (int(v) for v in rect)
    except (TypeError, ValueError):
        raise request_error(f"{rect!r} is not a rectangle [x0, y0, x1, y1].") from None
    if not (inside[0] <= x0 < x1 <= inside[2] and inside[1] <= y0 < y1 <= inside[3]):
        raise request_error(f"The rectangle {[x0, y0, x1, y1]} is empty or leaves the window {list(inside)}.")
    return x0, y0, x1, y1


def with_guard(rect: Rect, guard: int, inside: Rect) -> Rect:
    """`rect` grown by `guard` pixels, cut at the window: plain Blender renders nothing beyond it either."""
    x0, y0, x1, y1 = rect
    return (
        max(inside[0], x0 - guard),
        max(inside[1], y0 - guard),
        min(inside[2], x1 + guard),
        min(inside[3], y1 + guard),
    )


def raw_settings(scene: Scene, threads: int, device: str) -> None:
    """Switch off what a worker's picture must be free of: denoising, compositor, sequencer, stamp, lossy output.

    Denoising switched off still leaves its guiding passes, in the layers that the scene would have denoised.
    """
    r, image = scene.render, scene.render.image_settings
    r.use_compositing = r.use_sequencer = r.use_stamp = False
    r.use_placeholder, r.use_overwrite, r.use_file_extension, r.use_render_cache = False, True, True, False
    r.use_persistent_data = True
    if threads:
        r.threads_mode, r.threads = "FIXED", threads
    if hasattr(image, "media_type"):  # Blender 5
        image.media_type = "MULTI_LAYER_IMAGE"
    image.file_format = "OPEN_EXR_MULTILAYER"
    image.color_mode, image.color_depth, image.exr_codec = "RGBA", "32", "NONE"
    image.views_format = "MULTIVIEW" if r.use_multiview else "INDIVIDUAL"
    if hasattr(image, "color_management"):
        image.color_management = "FOLLOW_SCENE"
    if scene.render.engine == "CYCLES":
        scene.cycles.device = device
        if hasattr(scene.cycles, "use_deterministic_guiding"):  # else no two renders of a guided scene are the same
            scene.cycles.use_deterministic_guiding = True
        for layer in scene.view_layers:
            denoised = scene.cycles.use_denoising and layer.cycles.use_denoising
            layer.cycles.denoising_store_passes = layer.cycles.denoising_store_passes or denoised
            layer.cycles.pass_debug_sample_count = layer.cycles.pass_render_time = False
        scene.cycles.use_denoising = False
