# SPDX-License-Identifier: GPL-3.0-or-later
"""Plain Blender, as an artist would use it: the yardstick that deliveries are compared with. A program of its own.

    python plain_blender.py SCENE.blend OUT_DIR '{"frames": [1], "samples": 16, "resolution": [64, 36], …}'

For each frame it writes OUT_DIR/FRAME.exr (every pass, float32, before denoising and compositing) unless "linear" is
false, and OUT_DIR/FRAME-final.* (as the scene is set) unless "final" is false; prints {"seconds": …} for the renders.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import bpy


def load(blend: str, options: dict[str, Any]) -> Any:
    bpy.ops.wm.open_mainfile(filepath=blend)
    scene = bpy.context.window.scene if bpy.context.window else bpy.context.scene
    if options.get("engine"):
        scene.render.engine = options["engine"]
    if scene.render.engine == "CYCLES":
        scene.cycles.device = "CPU"
        if options.get("samples"):
            scene.cycles.samples = options["samples"]
        if options.get("adaptive") is not None:
            scene.cycles.use_adaptive_sampling = options["adaptive"]
    if options.get("resolution"):
        scene.render.resolution_x, scene.render.resolution_y = options["resolution"]
        scene.render.resolution_percentage = 100
    if options.get("denoise") is not None:
        scene.cycles.use_denoising = options["denoise"]
    if options.get("threads"):
        scene.render.threads_mode, scene.render.threads = "FIXED", options["threads"]
    return scene


def linear(scene: Any, path: str, _options: dict[str, Any]) -> None:
    """Every pass as Cycles made it: what tiles are compared with."""
    image = scene.render.image_settings
    image.media_type, image.file_format, image.color_depth = "MULTI_LAYER_IMAGE", "OPEN_EXR_MULTILAYER", "32"
    render = scene.render
    render.use_compositing = render.use_sequencer = render.use_stamp = False
    if scene.render.engine == "CYCLES" and scene.cycles.use_denoising:
        for layer in scene.view_layers:
            layer.cycles.denoising_store_passes = True
        scene.cycles.use_denoising = False
    render.filepath = path
    bpy.ops.render.render(write_still=True)


def final(scene: Any, path: str, options: dict[str, Any]) -> None:
    """What the artist would have got."""
    scene.render.use_file_extension = True
    if options.get("format"):
        scene.render.image_settings.media_type = "IMAGE"
        scene.render.image_settings.file_format = options["format"]
    if scene.render.image_settings.media_type == "VIDEO":
        scene.render.image_settings.media_type, scene.render.image_settings.file_format = "IMAGE", "PNG"
    scene.render.filepath = path
    bpy.ops.render.render(write_still=True)


def main() -> None:
    blend, out, options = sys.argv[1], Path(sys.argv[2]), json.loads(sys.argv[3])
    seconds = {"linear": 0.0, "final": 0.0, "load": 0.0}
    for frame in options.get("frames") or [None]:
        for kind, render in (("linear", linear), ("final", final)):
            if not options.get(kind, True):
                continue
            start = time.perf_counter()
            scene = load(blend, options)
            seconds["load"] += time.perf_counter() - start
            number = scene.frame_current if frame is None else frame
            scene.frame_set(number)
            start = time.perf_counter()
            render(scene, str(out / (f"{number}.exr" if kind == "linear" else f"{number}-final")), options)
            seconds[kind] += time.perf_counter() - start
    sys.__stdout__.write(json.dumps({"seconds": seconds}) + "\n")
    sys.__stdout__.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
