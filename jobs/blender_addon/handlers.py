# SPDX-FileCopyrightText: The kilnet authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The timer that takes what the bridge has said, and what follows from it on the screen."""

import bpy

from . import pictures
from .session import session

__all__ = ["register", "unregister"]

_SOON, _LATER = 0.2, 1.0
"""Seconds between looks, while something is under way and else."""


def _tick() -> float:
    return _SOON if session.pump() else _LATER


def _redraw() -> None:
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type == "PROPERTIES":
                area.tag_redraw()


def register() -> None:
    session.changed, session.show_picture, session.show_result = _redraw, pictures.show_live, pictures.show_result
    bpy.app.timers.register(_tick, persistent=True)


def unregister() -> None:
    if bpy.app.timers.is_registered(_tick):
        bpy.app.timers.unregister(_tick)
    session.close()
