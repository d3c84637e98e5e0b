# SPDX-License-Identifier: GPL-3.0-or-later
"""Saves a scene with other settings.

python resave.py SCENE.blend OUT.blend '{"cycles.use_adaptive_sampling": true}'
"""

from __future__ import annotations

import json
import os
import sys

import bpy

bpy.ops.wm.open_mainfile(filepath=sys.argv[1])
scene = bpy.context.window.scene if bpy.context.window else bpy.context.scene
for name, value in json.loads(sys.argv[3]).items():
    *path, last = name.split(".")
    target = scene
    for part in path:
        target = getattr(target, part)
    setattr(target, last, value)
bpy.ops.wm.save_as_mainfile(filepath=sys.argv[2], compress=False)
sys.stdout.flush()
os._exit(0)
