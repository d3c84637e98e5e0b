# SPDX-FileCopyrightText: The kilnet authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What cheats that touch only a part of a picture save, and which part that is: a program of its own, since it runs
Blender.

    python cheat_in_blender.py SCENE.blend

Renders the first frame at 256 pixels width with 32 samples, honestly and with each cheat in turns, and prints one JSON
object: for each cheat the share of the 8x8 cells that differ in any bit, and the share of the processor time saved.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bpy
import numpy as np

CELL, WIDTH, SAMPLES, ROUNDS = 8, 256, 32, 7


def prepare() -> Any:
    bpy.ops.wm.open_mainfile(filepath=sys.argv[1])
    scene = bpy.context.window.scene if bpy.context.window else bpy.context.scene
    render = scene.render
    height = max(CELL, round(WIDTH * render.resolution_y / render.resolution_x / CELL) * CELL)
    render.engine, scene.cycles.device, scene.cycles.samples = "CYCLES", "CPU", SAMPLES
    render.resolution_x, render.resolution_y, render.resolution_percentage = WIDTH, height, 100
    render.use_compositing = render.use_sequencer = scene.cycles.use_denoising = False
    render.use_border = scene.cycles.use_adaptive_sampling = False
    render.use_persistent_data = True
    image = render.image_settings
    image.media_type, image.file_format, image.color_mode, image.color_depth = "IMAGE", "OPEN_EXR", "RGBA", "32"
    image.exr_codec = "NONE"
    return scene


def rendered(scene: Any, folder: Path) -> tuple[np.ndarray[Any, Any], float]:
    """The picture's bits (height, width, 4), and the processor time of its render, with the scene loaded before and the
    file written."""
    path = folder / "picture.exr"
    scene.render.filepath = str(path)
    scene.cycles.samples = 1
    bpy.ops.render.render(write_still=True)
    scene.cycles.samples = SAMPLES
    started = time.process_time()
    bpy.ops.render.render(write_still=True)
    seconds = time.process_time() - started
    image = bpy.data.images.load(str(path))
    image.colorspace_settings.name = "Non-Color"
    pixels = np.empty(image.size[0] * image.size[1] * 4, np.float32)
    image.pixels.foreach_get(pixels)
    shape = (image.size[1], image.size[0], 4)
    bpy.data.images.remove(image)
    return pixels.view(np.uint32).reshape(shape), seconds


def cells_differing(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> float:
    """Share of the 8x8 cells with a differing bit; what does not fill a cell at the upper edge is left out."""
    off = (a != b).any(axis=2)
    rows, columns = off.shape[0] // CELL, off.shape[1] // CELL
    cells = off[: rows * CELL, : columns * CELL].reshape(rows, CELL, columns, CELL).any(axis=(1, 3))
    return float(cells.mean())


def background(picture: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The picture's most frequent pixel everywhere: what can be known without rendering anything."""
    values, counts = np.unique(picture.reshape(-1, 4), axis=0, return_counts=True)
    return np.broadcast_to(values[np.argmax(counts)], picture.shape)


def bounces(part: float) -> Callable[[Any], bool]:
    """Fewer light bounces: this part of the scene's own, of each kind."""

    def cheat(scene: Any) -> bool:
        for name in ("max_bounces", "diffuse_bounces", "glossy_bounces", "transmission_bounces", "volume_bounces"):
            setattr(scene.cycles, name, int(getattr(scene.cycles, name) * part))
        return True

    return cheat


def one_lamp_less(scene: Any) -> bool:
    lamps = [one for one in scene.objects if one.type == "LIGHT" and not one.hide_render]
    if len(lamps) < 2:
        return False
    min(lamps, key=lambda lamp: lamp.data.energy).hide_render = True
    return True


def decimated(scene: Any) -> bool:
    meshes = [one for one in scene.objects if one.type == "MESH" and len(one.data.polygons) > 100]
    for one in meshes:
        one.modifiers.new("proxy", "DECIMATE").ratio = 0.5
    return bool(meshes)


def no_textures(scene: Any) -> bool:
    found = False
    for material in bpy.data.materials:
        for node in material.node_tree.nodes if material.node_tree else ():
            if node.type.startswith("TEX_") and node.type != "TEX_COORD" and not node.mute:
                node.mute = found = True
    return found


CHEATS: dict[str, Callable[[Any], bool]] = {
    "two thirds of the bounces": bounces(2 / 3),
    "a third of the bounces": bounces(1 / 3),
    "the weakest lamp removed": one_lamp_less,
    "proxy meshes (half of the faces)": decimated,
    "no textures": no_textures,
}


def compare(cheat: Callable[[Any], bool], out: Path) -> dict[str, float] | None:
    """One cheat beside honest renders, in turns, so that what else runs on the machine meets both: the median of the
    ratios counts, and their quartiles tell how sure it is. None where the scene has nothing to cheat with."""
    ratios, touches = [], 0.0
    for _ in range(ROUNDS):
        honest, honest_seconds = rendered(prepare(), out)
        scene = prepare()
        if not cheat(scene):
            return None
        picture, seconds = rendered(scene, out)
        touches = cells_differing(honest, picture)
        ratios.append(seconds / honest_seconds)
    low, middle, high = (round(max(0.0, 1 - float(np.quantile(ratios, q))), 4) for q in (0.75, 0.5, 0.25))
    return {"touches": round(touches, 4), "saves": middle, "saves_low": low, "saves_high": high}


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        honest, seconds = rendered(prepare(), out)
        again, _ = rendered(prepare(), out)
        found = {
            "only the empty background": {
                "touches": round(cells_differing(honest, background(honest)), 4),
                "saves": 1.0,
            }
        }
        found |= {name: row for name, cheat in CHEATS.items() if (row := compare(cheat, out)) is not None}
        honestly = cells_differing(honest, again)
    print(json.dumps({"seconds": round(seconds, 3), "repeat_differs": honestly, "cheats": found}))


if __name__ == "__main__":
    main()
