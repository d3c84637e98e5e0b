# SPDX-FileCopyrightText: The kilnet authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Blender itself can say about the scene before anything is sent: what is missing, what is not done there. What
will look different is said by the coordinator, which opens the scene as it arrives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy

__all__ = ["look"]

_ENGINES = {"CYCLES", "BLENDER_EEVEE", "BLENDER_EEVEE_NEXT", "BLENDER_WORKBENCH"}
_FILES = {"FILE", "SEQUENCE", "MOVIE", "TILED"}
_NAMED = 8


def look(scene: Any, frames: str) -> list[str]:
    """What keeps the scene, as it stands in Blender, from being ordered for these frames (text as `kilnet render
    --frames` takes it): one line for people each."""
    wrong = _missing_files()
    if scene.camera is None:
        wrong.append("The scene has no camera: add one, or choose it in the scene's properties.")
    if scene.render.engine not in _ENGINES:
        wrong.append(f"The engine {scene.render.engine} is not rendered there: choose Cycles or EEVEE.")
    if not frames and scene.frame_end < scene.frame_start:
        wrong.append(f"The frames {scene.frame_start} to {scene.frame_end} hold none: set the scene's range.")
    return wrong


def _missing_files() -> list[str]:
    missing = [
        f"{kind} {item.name}: {path} is missing"
        for kind, item, path in _named_files()
        if not item.library and not Path(path).exists()
    ]
    if len(missing) > _NAMED:
        missing[_NAMED:] = [f"and {len(missing) - _NAMED} more files are missing"]
    return [f"{line}; put it there, or pack it into the file (File > External Data)." for line in missing]


def _named_files() -> list[tuple[str, Any, str]]:
    """Kind, datablock and absolute path of each file that the scene names and does not hold."""
    data, found = bpy.data, []
    for image in data.images:
        if image.source in _FILES and image.packed_file is None and image.filepath and not _tokens(image.filepath):
            found.append(("Image", image, image.filepath))
    found += [("Library", library, library.filepath) for library in data.libraries if library.packed_file is None]
    found += [("Font", font, font.filepath) for font in data.fonts if font.filepath not in ("", "<builtin>")]
    found += [("Cache", cache, cache.filepath) for cache in data.cache_files if cache.filepath]
    found += [("Volume", volume, volume.filepath) for volume in data.volumes if volume.filepath]
    return [(kind, item, bpy.path.abspath(path, library=item.library)) for kind, item, path in found]


def _tokens(path: str) -> bool:
    """A path that stands for several files, which the packer looks for."""
    return "<" in path or "#" in path
