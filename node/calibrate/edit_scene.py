# SPDX-FileCopyrightText: The kilnet authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Copies of a scene as a node that saves work would change it. Runs inside Blender, as a program of its own:

    python edit_scene.py BLEND OUT_FOLDER '{"frame": 1, "size": [96, 64], "samples": 16}'

Writes OUT_FOLDER/NAME.blend for each edit that changes something, and denoised.npy: the frame with so few samples and
Blender's own denoiser, Combined as float32 (height, width, 4), row 0 at the top.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import bpy
import numpy as np

COLORS = ("Base Color", "Color")


def bounces(scene: Any, share: float) -> bool:
    """Fewer light bounces of every kind: 12 become 8 (two thirds) or 4 (one third)."""
    cycles = scene.cycles
    most = max(1, round(cycles.max_bounces * share))
    changed = most < cycles.max_bounces
    cycles.max_bounces = most
    for name in ("diffuse_bounces", "glossy_bounces", "transmission_bounces", "transparent_max_bounces"):
        setattr(cycles, name, min(getattr(cycles, name), most))
    return bool(changed)


def no_textures(_scene: Any) -> bool:
    """Every shader's colour input loses what was connected to it."""
    changed = False
    for material in bpy.data.materials:
        tree = material.node_tree
        for link in list(tree.links) if tree else ():
            if link.to_socket.name in COLORS and link.from_node.type != "BSDF_PRINCIPLED":
                tree.links.remove(link)
                changed = True
    return changed


def proxy_mesh(scene: Any) -> bool:
    """Every mesh of some size loses two thirds of its faces."""
    changed = False
    for item in scene.objects:
        if item.type == "MESH" and len(item.data.polygons) >= 24 and item.data.shape_keys is None:
            item.modifiers.new("Proxy", "DECIMATE").ratio = 0.34
            changed = True
    return changed


def lamp_removed(scene: Any) -> bool:
    """The weakest of several lamps, or the only one."""
    lamps = [item for item in scene.objects if item.type == "LIGHT" and not item.hide_render]
    if not lamps:
        return False
    bpy.data.objects.remove(min(lamps, key=lambda item: item.data.energy))
    return True


def another_camera(scene: Any) -> bool:
    """Half a degree to the side: nobody sees it in one picture alone."""
    camera = scene.camera
    pivot = bpy.data.objects.new("Pivot", None)
    scene.collection.objects.link(pivot)
    if camera.parent is not None or camera.constraints:
        camera.data.shift_x += 0.01
        return True
    camera.parent, pivot.rotation_euler.z = pivot, 0.0087
    return True


EDITS = {
    "bounces-8-of-12": lambda scene: bounces(scene, 8 / 12),
    "bounces-4-of-12": lambda scene: bounces(scene, 4 / 12),
    "no-textures": no_textures,
    "proxy-mesh": proxy_mesh,
    "lamp-removed": lamp_removed,
    "another-camera": another_camera,
}


def denoised(scene: Any, asked: dict[str, Any], out: Path) -> None:
    import OpenEXR

    render, image = scene.render, scene.render.image_settings
    render.engine = "CYCLES"
    render.resolution_x, render.resolution_y = asked["size"]
    render.resolution_percentage = 100
    render.use_border = render.use_compositing = render.use_sequencer = render.use_multiview = False
    scene.cycles.samples, scene.cycles.use_layer_samples = asked["samples"], "IGNORE"
    scene.cycles.use_adaptive_sampling, scene.cycles.use_denoising = False, True
    if hasattr(image, "media_type"):
        image.media_type = "IMAGE"
    image.file_format, image.color_depth, image.color_mode = "OPEN_EXR", "32", "RGBA"
    scene.frame_set(asked["frame"])
    target = out / "denoised.exr"
    render.filepath = str(target)
    bpy.ops.render.render(write_still=True, scene=scene.name)
    with OpenEXR.File(str(target), separate_channels=True) as file:
        channels = file.channels()
        np.save(out / "denoised.npy", np.stack([np.asarray(channels[name].pixels) for name in "RGBA"], -1))
    target.unlink()


def main(blend: str, out: Path, asked: dict[str, Any]) -> None:
    def opened() -> Any:
        bpy.context.preferences.filepaths.use_scripts_auto_execute = False
        bpy.ops.wm.open_mainfile(filepath=blend, use_scripts=False)
        return bpy.context.scene

    for name, edit in EDITS.items():
        if edit(opened()):
            bpy.ops.wm.save_as_mainfile(filepath=str(out / f"{name}.blend"), copy=True, relative_remap=True)
    denoised(opened(), asked, out)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), json.loads(sys.argv[3]))
    sys.stdout.flush()
    os._exit(0)
