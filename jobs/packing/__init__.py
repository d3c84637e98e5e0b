"""Packing a scene: everything that a .blend needs, as a manifest, found by the Blender Asset Tracer in a Blender.

Nothing here imports Blender or the tracer: both run in a child process (tracer.py, GPL-3.0-or-later).
"""

from jobs.packing.blendfile import check_blend
from jobs.packing.scene import PackedScene, pack_scene

__all__ = ["PackedScene", "check_blend", "pack_scene"]
