# SPDX-FileCopyrightText: The kilnet authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the panel's buttons do. Each begins something and returns at once; session.py goes on with it."""

import os
from pathlib import Path

import bpy

from . import checks, preferences, properties
from .bridge import NotStarted
from .session import Phase, session

__all__ = ["register", "unregister"]

Result = set[str]


class _Button:
    """Cannot be pressed while something else is under way."""

    bl_options = {"REGISTER"}  # noqa: RUF012 - Blender reads a plain set

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        return session.connected and not session.busy


class KILNET_OT_connect(bpy.types.Operator):
    """Start the kilnet command and sign in"""

    bl_idname = "kilnet.connect"
    bl_label = "Connect"

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        return not session.busy

    def execute(self, context: bpy.types.Context) -> Result:
        try:
            started = preferences.command(context)
        except NotStarted as error:
            session.error = str(error)
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        session.connect(started)
        return {"FINISHED"}


class KILNET_OT_check(_Button, bpy.types.Operator):
    """Look for what is missing or will look different; the scene is sent, nothing is charged"""

    bl_idname = "kilnet.check"
    bl_label = "Check"

    def execute(self, context: bpy.types.Context) -> Result:
        scene = context.scene
        session.wrong, session.error = checks.look(scene, properties.frames_text(scene)), ""
        if session.wrong:
            self.report({"ERROR"}, session.wrong[0])
            return {"CANCELLED"}
        session.check(_saved_copy(), properties.options(scene) | {"name": _name(scene)})
        return {"FINISHED"}


class KILNET_OT_quote(_Button, bpy.types.Operator):
    """What it costs, how long it takes and how it is proven; nothing is charged"""

    bl_idname = "kilnet.quote"
    bl_label = "Get a quote"

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        return session.connected and session.phase is Phase.CHECKED

    def execute(self, _context: bpy.types.Context) -> Result:
        session.ask_quote()
        return {"FINISHED"}


class KILNET_OT_submit(_Button, bpy.types.Operator):
    """Order it: at most the cap is held, what is not used is refunded"""

    bl_idname = "kilnet.submit"
    bl_label = "Render"

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        return session.connected and session.phase is Phase.QUOTED

    def execute(self, context: bpy.types.Context) -> Result:
        scene = context.scene
        session.out = _out(scene)
        session.order(scene.kilnet.deadline)
        scene.kilnet.job = session.job_id
        return {"FINISHED"}


class KILNET_OT_follow(_Button, bpy.types.Operator):
    """Go on with the job that this scene ordered, also after Blender was closed"""

    bl_idname = "kilnet.follow"
    bl_label = "Follow the job"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return session.connected and not session.busy and bool(context.scene.kilnet.job)

    def execute(self, context: bpy.types.Context) -> Result:
        session.follow(context.scene.kilnet.job, _out(context.scene))
        return {"FINISHED"}


class KILNET_OT_stop(bpy.types.Operator):
    """Stop checking or following; what is ordered goes on"""

    bl_idname = "kilnet.stop"
    bl_label = "Stop"

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        return session.busy

    def execute(self, _context: bpy.types.Context) -> Result:
        session.stop()
        return {"FINISHED"}


class KILNET_OT_steer(bpy.types.Operator):
    """Cancel, pause or resume the job that is followed, or say a word on its preview"""

    bl_idname = "kilnet.steer"
    bl_label = "Steer the job"

    verb: bpy.props.EnumProperty(
        items=(
            ("cancel", "Cancel", "End the job: what has passed is paid, the rest refunded"),
            ("pause", "Pause", "Start nothing more of it, until it is resumed"),
            ("resume", "Resume", "Go on with it"),
            ("approve", "Go on", "The preview is right: render the rest"),
            ("reject", "Reject", "The preview is wrong: what was rendered of it is paid, the rest refunded"),
        )
    )

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        return session.connected and session.phase is Phase.FOLLOWING

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> Result:
        if self.verb in ("cancel", "reject"):
            answer: Result = context.window_manager.invoke_confirm(self, event)
            return answer
        return self.execute(context)

    def execute(self, _context: bpy.types.Context) -> Result:
        session.steer(self.verb)
        return {"FINISHED"}


class KILNET_OT_change(bpy.types.Operator):
    """Change which of your jobs goes first, and what this one may cost at most"""

    bl_idname = "kilnet.change"
    bl_label = "Priority and cap"

    priority: bpy.props.IntProperty(
        name="Priority", description="Among your own jobs, the higher first", min=-100, max=100
    )
    cap: bpy.props.FloatProperty(
        name="Cap (USD)", description="Spend at most this, up to what is in escrow; the job waits when it is reached",
        min=0, precision=6,
    )  # fmt: skip

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        return session.connected and session.phase is Phase.FOLLOWING

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> Result:
        self.priority, self.cap = _priority(), _cap()
        answer: Result = context.window_manager.invoke_props_dialog(self)
        return answer

    def execute(self, _context: bpy.types.Context) -> Result:
        given = self.properties.is_property_set
        priority = self.priority if given("priority") and self.priority != _priority() else None
        # A property of Blender holds seven digits: what was not touched must not come back as another amount.
        cap = f"{self.cap:.6f}" if given("cap") and abs(self.cap - _cap()) > 1e-6 * _cap() else None
        if priority is None and cap is None:
            self.report({"INFO"}, "nothing was changed")
            return {"CANCELLED"}
        session.change(priority, cap)
        return {"FINISHED"}


def _priority() -> int:
    return int(session.job.get("priority") or 0)


def _cap() -> float:
    """USD that the followed job may cost at most."""
    return float(session.job.get("cap_usd") or 0)


def _name(scene: bpy.types.Scene) -> str:
    return (Path(bpy.data.filepath).stem if bpy.data.filepath else scene.name)[:200]


def _out(scene: bpy.types.Scene) -> Path:
    """Where frames go; beside the file, or for a file that was never saved in the home folder."""
    wanted = scene.kilnet.out or "//kilnet/"
    if wanted.startswith("//") and not bpy.data.filepath:
        return Path.home() / wanted[2:]
    return Path(bpy.path.abspath(wanted))


def _saved_copy() -> Path:
    """The scene as it stands now, in a file of its own that the session removes; the artist's own is neither saved nor
    renamed."""
    own = Path(bpy.data.filepath)
    name = f"{own.stem or 'untitled'}.kilnet.blend"
    # Beside the artist's file no path has to be rewritten, so that what is sent is what this Blender has written.
    beside = bool(bpy.data.filepath) and os.access(own.parent, os.W_OK)
    target = own.parent / name if beside else session.scratch("scene") / name
    bpy.ops.wm.save_as_mainfile(filepath=str(target), copy=True, relative_remap=not beside, compress=False)
    return target


_CLASSES = (
    KILNET_OT_connect, KILNET_OT_check, KILNET_OT_quote, KILNET_OT_submit, KILNET_OT_follow, KILNET_OT_stop,
    KILNET_OT_steer, KILNET_OT_change,
)  # fmt: skip


def register() -> None:
    for cls in _CLASSES:
        bpy.utils.register_class(cls)


def unregister() -> None:
    for cls in reversed(_CLASSES):
        bpy.utils.unregister_class(cls)
