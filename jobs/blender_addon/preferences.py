# SPDX-FileCopyrightText: The kilnet authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the kilnet command is, which gateway, which key."""

import bpy

from .bridge import NotStarted, find_kilnet, on_this_machine

__all__ = ["command", "register", "unregister"]


class KilnetPreferences(bpy.types.AddonPreferences):
    """All of it may stay empty where `kilnet up` runs on this machine."""

    bl_idname = __package__

    program: bpy.props.StringProperty(
        name="kilnet command",
        description="The installed kilnet program; empty: the one that is found",
        subtype="FILE_PATH",
    )
    gateway: bpy.props.StringProperty(
        name="Gateway",
        description="Its URL, such as https://kilnet.example; empty: the stack that runs on this machine",
    )
    key_file: bpy.props.StringProperty(
        name="Key file",
        description="The file with your account's key; it is read by the kilnet command, never by Blender",
        subtype="FILE_PATH",
    )

    def draw(self, _context: bpy.types.Context) -> None:
        for name in ("program", "gateway", "key_file"):
            self.layout.prop(self, name)


def command(context: bpy.types.Context) -> list[str]:
    """What is started. Raises NotStarted with what to change."""
    chosen = context.preferences.addons[__package__].preferences
    program = find_kilnet(bpy.path.abspath(chosen.program))
    if not on_this_machine(chosen.gateway) and not bpy.app.online_access:
        raise NotStarted("going online is switched off: allow it in Preferences > System > Network")
    if chosen.gateway and not chosen.key_file:
        raise NotStarted("a gateway needs your key: name its file in the add-on's preferences")
    gateway = ["--gateway", chosen.gateway] if chosen.gateway else []
    key = ["--key", bpy.path.abspath(chosen.key_file)] if chosen.key_file else []
    return [program, "bridge", *gateway, *key]


def register() -> None:
    bpy.utils.register_class(KilnetPreferences)


def unregister() -> None:
    bpy.utils.unregister_class(KilnetPreferences)
