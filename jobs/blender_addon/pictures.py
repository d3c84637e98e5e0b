# SPDX-FileCopyrightText: The kilnet authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures into Blender: a frame as its tiles pass, and what is delivered. Main thread only."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bpy

__all__ = ["LIVE", "RESULT", "show_live", "show_result"]

LIVE = "kilnet live"
RESULT = "kilnet result"


def show_live(path: str, frame: int) -> None:
    """A frame as far as it has come, in every image editor that shows nothing else or an earlier one."""
    image = _load(LIVE, path)
    image["kilnet_frame"] = frame
    _show(image, taking=(None, LIVE))


def show_result(files: list[dict[str, Any]]) -> None:
    """The delivered frames: one as a picture, several as a sequence; the live picture gives way to it."""
    frames = sorted((one for one in files if one.get("kind") == "image"), key=lambda one: one.get("frame") or 0)
    if not frames:
        return
    image = _load(RESULT, frames[0]["path"])
    if len(frames) > 1:
        image.source = "SEQUENCE"
    for space in _show(image, taking=(None, LIVE, RESULT)):
        user = space.image_user
        first, last = (frames[i].get("frame") or 0 for i in (0, -1))
        user.frame_start, user.frame_offset = first, first - 1
        user.frame_duration, user.use_auto_refresh = last - first + 1, True


def _load(name: str, path: str) -> Any:
    """The datablock of this name, showing this file as it is now."""
    image = bpy.data.images.get(name)
    if image is None:
        image = bpy.data.images.load(path, check_existing=False)
        image.name = name
        return image
    image.source = "FILE"
    image.filepath = str(Path(path))
    image.reload()
    return image


def _show(image: Any, taking: tuple[str | None, ...]) -> list[Any]:
    """Put it into image editors that show one of `taking` (None: nothing); those that show it now."""
    shown = []
    for area, space in _image_editors():
        current = space.image.name if space.image else None
        if current in taking or current == image.name:
            space.image = image
            shown.append(space)
            area.tag_redraw()
    return shown


def _image_editors() -> Iterator[tuple[Any, Any]]:
    for screen in bpy.data.screens:
        for area in screen.areas:
            if area.type == "IMAGE_EDITOR":
                yield area, area.spaces.active
