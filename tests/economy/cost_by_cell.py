# SPDX-FileCopyrightText: The kilnet authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the work of a frame is spread over its area: a program of its own, since it runs Blender.

    python cost_by_cell.py SCENE.blend

Renders every 16x16 block of the scene's first frame at 256 pixels width alone, with 16 and with 80 samples; the
difference is what 64 samples of the block cost, without what is fixed in each call. Prints one JSON object:
`seconds`, row by row.
"""

from __future__ import annotations

import json
import sys
import time

import bpy

SIDE, WIDTH, FEW, MANY = 16, 256, 16, 80


def main() -> None:
    bpy.ops.wm.open_mainfile(filepath=sys.argv[1])
    scene = bpy.context.window.scene if bpy.context.window else bpy.context.scene
    render = scene.render
    height = max(SIDE, round(WIDTH * render.resolution_y / render.resolution_x / SIDE) * SIDE)
    render.engine, scene.cycles.device = "CYCLES", "CPU"
    render.resolution_x, render.resolution_y, render.resolution_percentage = WIDTH, height, 100
    render.use_persistent_data = render.use_border = render.use_crop_to_border = True
    render.use_compositing = render.use_sequencer = scene.cycles.use_denoising = False
    scene.cycles.use_adaptive_sampling = False

    def seconds(column: int, row: int, samples: int) -> float:
        scene.cycles.samples = samples
        render.border_min_x, render.border_max_x = (column * SIDE + 0.25) / WIDTH, ((column + 1) * SIDE + 0.25) / WIDTH
        render.border_min_y, render.border_max_y = (row * SIDE + 0.25) / height, ((row + 1) * SIDE + 0.25) / height
        started = time.perf_counter()
        bpy.ops.render.render()
        return time.perf_counter() - started

    def best(column: int, row: int, samples: int) -> float:
        """The shortest of three: what else runs on the machine only ever adds time."""
        return min(seconds(column, row, samples) for _ in range(3))

    seconds(0, 0, 1)
    places = [(column, row) for row in range(height // SIDE) for column in range(WIDTH // SIDE)]
    found = [max(0.0, best(*place, MANY) - best(*place, FEW)) for place in places]
    print(json.dumps({"seconds": [round(one, 6) for one in found]}))


if __name__ == "__main__":
    main()
