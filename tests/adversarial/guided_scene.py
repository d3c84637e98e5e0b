# SPDX-FileCopyrightText: The kilnet authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A scene with path guiding, and the same with a third of its light bounces: `python guided_scene.py BLEND`.

Writes guided.blend and guided-bounces.blend beside it. Guiding learns from the first sample on.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import bpy


def main(blend: Path) -> None:
    bpy.context.preferences.filepaths.use_scripts_auto_execute = False
    bpy.ops.wm.open_mainfile(filepath=str(blend), use_scripts=False)
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    cycles = scene.cycles
    cycles.use_guiding = cycles.use_surface_guiding = cycles.use_volume_guiding = True
    for name, share in (("guided", 1.0), ("guided-bounces", 4 / 12)):
        most = max(1, round(cycles.max_bounces * share))
        cycles.max_bounces = most
        for kind in ("diffuse_bounces", "glossy_bounces", "transmission_bounces", "transparent_max_bounces"):
            setattr(cycles, kind, min(getattr(cycles, kind), most))
        bpy.ops.wm.save_as_mainfile(filepath=str(blend.with_name(f"{name}.blend")), copy=True, relative_remap=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
    sys.stdout.flush()
    os._exit(0)
