# SPDX-FileCopyrightText: The kilnet authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""kilnet in Blender's render properties: check, quote, order, watch the tiles pass, get the frames.

What has to be packed, sent, signed and fetched is done by the installed `kilnet` command, which runs beside Blender as
`kilnet bridge` (docs/bridge.md); keys never come into Blender. Standard library only, Blender 4.5 to 5.2.
"""

# Blender imports this module; without it (a type checker, the packager) the other modules can still be read.
from . import handlers, operators, panel, preferences, properties

__all__ = ["register", "unregister"]

_MODULES = (preferences, properties, operators, panel, handlers)


def register() -> None:
    """Called by Blender when the extension is switched on."""
    for module in _MODULES:
        module.register()


def unregister() -> None:
    """Called by Blender when it is switched off: what is ordered goes on, and can be followed again later."""
    for module in reversed(_MODULES):
        module.unregister()
