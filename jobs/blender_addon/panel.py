# SPDX-FileCopyrightText: The kilnet authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The panel in the render properties: what can be done next stands lowest."""

import textwrap
from collections.abc import Sequence

import bpy

from .session import Phase, session

__all__ = ["register", "unregister"]

_LINE = 62
"""Characters of a line in a panel of the usual width."""
_UNIT = 10**18


class KILNET_PT_render(bpy.types.Panel):
    """kilnet in the render properties"""

    bl_label = "kilnet"
    bl_space_type = "PROPERTIES"
    bl_region_type = "WINDOW"
    bl_context = "render"
    bl_options = {"DEFAULT_CLOSED"}  # noqa: RUF012 - Blender reads a plain set

    def draw(self, context: bpy.types.Context) -> None:
        layout, chosen = self.layout, context.scene.kilnet
        if session.error:
            _lines(layout, [session.error], "ERROR")
        if not session.connected:
            layout.operator("kilnet.connect", icon="LINKED")
            return
        _account(layout)
        settings = layout.column()
        settings.enabled = not session.busy
        settings.use_property_split = True
        settings.prop(chosen, "what")
        if chosen.what == "CHOSEN":
            settings.prop(chosen, "frames")
        settings.prop(chosen, "preview")
        if chosen.preview:
            settings.prop(chosen, "preview_every")
        settings.prop(chosen, "progressive")
        for name in ("output_format", "cap", "deadline", "out"):
            settings.prop(chosen, name)
        _lines(layout, session.wrong, "ERROR")
        if session.notes:
            layout.label(text="This will look different, or cost more, because:")
            _lines(layout, session.notes, "INFO")
        if session.quote:
            _quote(layout)
        _next(layout, context)


def _account(layout: bpy.types.UILayout) -> None:
    about = session.about
    balance = int(about.get("balance", 0)) / _UNIT
    layout.label(text=f"{about.get('gateway', '')}: {balance:g} KILN, {about.get('nodes_online', 0)} nodes online")


def _quote(layout: bpy.types.UILayout) -> None:
    quote, box = session.quote, layout.box()
    box.label(text=f"{quote['price_usd']} USD, never more than {quote['cap_usd']} USD")
    if quote.get("preview_tiles"):
        box.label(text=f"Preview: {quote['preview_tiles']} tiles first, {quote['preview_usd']} USD if you then say no")
    box.label(text=f"About {_time(quote['expected_seconds'])}, {quote['tiles']} tiles")
    _lines(box, [f"Proof ({quote['lane']}): {quote['proven']}"], "CHECKMARK")


def _next(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    if session.busy:
        layout.progress(factor=session.progress, type="BAR", text=_progress())
        if session.phase is Phase.FOLLOWING and session.job.get("held_usd"):
            layout.label(text=_bounds())
        if session.phase is Phase.FOLLOWING and session.seen:
            layout.label(text=f"Seen: {session.seen}", icon="IMAGE_DATA")
        row = layout.row(align=True)
        if session.phase is Phase.FOLLOWING:
            if session.job.get("state") == "review":
                row.operator("kilnet.steer", text="Go on", icon="CHECKMARK").verb = "approve"
                row.operator("kilnet.steer", text="Reject").verb = "reject"
            paused = session.job.get("state") == "paused"
            row.operator("kilnet.steer", text="Resume" if paused else "Pause").verb = "resume" if paused else "pause"
            row.operator("kilnet.change", text="Change")
            row.operator("kilnet.steer", text="Cancel", icon="CANCEL").verb = "cancel"
        row.operator("kilnet.stop", text="Stop following" if session.phase is Phase.FOLLOWING else "Stop")
        return
    if session.phase is Phase.DONE:
        layout.label(text=f"{len(session.files)} files in {session.out}", icon="CHECKMARK")
        layout.label(text=f"{session.report.get('price_usd')} USD for {session.report.get('tiles_passed')} tiles")
    if session.phase is Phase.QUOTED:
        row = layout.row()
        row.scale_y = 1.4
        row.operator("kilnet.submit", icon="RENDER_STILL")
    elif session.phase is Phase.CHECKED:
        layout.operator("kilnet.quote", icon="VIEWZOOM")
    row = layout.row(align=True)
    row.operator("kilnet.check", icon="FILE_REFRESH", text="Check" if not session.job_id else "Check again")
    if context.scene.kilnet.job and session.phase is not Phase.DONE:
        row.operator("kilnet.follow")


def _progress() -> str:
    left = session.job.get("left_seconds") if session.phase is Phase.FOLLOWING else None
    return session.step + (f", {_time(left)} left" if left else "")


def _bounds() -> str:
    job = session.job
    held = f" of {job['held_usd']} in escrow" if job["cap_usd"] != job["held_usd"] else ""
    return f"Priority {job.get('priority', 0)}, at most {job['cap_usd']} USD{held}"


def _time(seconds: float) -> str:
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    return f"{whole // 60} min {whole % 60} s" if whole < 3600 else f"{whole // 3600} h {whole % 3600 // 60} min"


def _lines(layout: bpy.types.UILayout, texts: Sequence[str], icon: str) -> None:
    """Sentences, broken into lines: a label shows one."""
    column = layout.column(align=True)
    for text in texts:
        for number, line in enumerate(textwrap.wrap(text, _LINE)):
            column.label(text=line, icon="BLANK1" if number else icon)


def register() -> None:
    bpy.utils.register_class(KILNET_PT_render)


def unregister() -> None:
    bpy.utils.unregister_class(KILNET_PT_render)
