# SPDX-FileCopyrightText: The kilnet authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs inside Blender, as a program of its own: frames in, an MP4 (H.264) out.

Argument: a JSON file {"frames": [paths, in order, in one folder], "fps": number, "video": path}.
"""

import json
import os
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import bpy


def encode(frames: list[Path], fps: float, video: Path) -> None:
    """Write the video, every frame once."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    strips = scene.sequence_editor_create().strips
    strip = strips.new_image(name="frames", filepath=str(frames[0]), channel=1, frame_start=1, fit_method="ORIGINAL")
    for frame in frames[1:]:
        strip.elements.append(frame.name)
    width, height = bpy.data.images.load(str(frames[0])).size
    r = scene.render
    # H.264 has no odd sides: a last row or column is left out.
    r.resolution_x, r.resolution_y, r.resolution_percentage = width // 2 * 2, height // 2 * 2, 100
    # The encoder takes whole numbers alone: 12.5 is 25 / 2, 29.97 is 2997 / 100.
    rate = Fraction(fps).limit_denominator(100)
    r.fps, r.fps_base = rate.numerator, rate.denominator
    scene.frame_start, scene.frame_end = 1, len(frames)
    # What a frame shows is what the video shows: no view transform on top of its own.
    scene.view_settings.view_transform, scene.view_settings.look = "Standard", "None"
    _format(r)
    r.use_file_extension, r.filepath = False, str(video)
    bpy.ops.render.render(animation=True)


def _format(r: Any) -> None:
    if hasattr(r.image_settings, "media_type"):  # Blender 5
        r.image_settings.media_type = "VIDEO"
    r.image_settings.file_format = "FFMPEG"
    r.ffmpeg.format, r.ffmpeg.codec, r.ffmpeg.audio_codec = "MPEG4", "H264", "NONE"
    r.ffmpeg.constant_rate_factor, r.ffmpeg.ffmpeg_preset, r.ffmpeg.gopsize = "HIGH", "GOOD", 12


if __name__ == "__main__":
    request = json.loads(Path(sys.argv[-1]).read_text())
    encode([Path(frame) for frame in request["frames"]], request["fps"], Path(request["video"]))
    sys.stdout.flush()
    # Blender does not always end by itself.
    os._exit(0)
