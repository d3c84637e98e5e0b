# SPDX-FileCopyrightText: The kilnet authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is kept with a scene: what to render, the cap, where the frames go, and the job that was ordered."""

import bpy

__all__ = ["frames_text", "options", "register", "unregister"]

_FORMATS = (
    ("SCENE", "As the scene says", "PNG where the scene would write a video"),
    ("PNG", "PNG", ""),
    ("JPEG", "JPEG", ""),
    ("OPEN_EXR", "OpenEXR", ""),
    ("OPEN_EXR_MULTILAYER", "OpenEXR, all passes", ""),
)


class KilnetJob(bpy.types.PropertyGroup):
    """Settings of a scene's job."""

    what: bpy.props.EnumProperty(
        name="Frames",
        items=(
            ("CURRENT", "Current frame", ""),
            ("RANGE", "Frame range", "The scene's own, with its step"),
            ("CHOSEN", "These frames", "Such as 1-10, 1-100:5 or 1,5,9"),
        ),
    )
    frames: bpy.props.StringProperty(name="", description="1, 1-10, 1-10:2 or 1,5,9", default="1")
    preview: bpy.props.BoolProperty(
        name="Preview first", description="Some of it first (every Nth frame, of a still 1/N of the samples), then wait"
    )
    preview_every: bpy.props.IntProperty(name="One in", description="The preview's N", min=2, default=16)
    progressive: bpy.props.BoolProperty(
        name="Progressive", description="Of a still: few samples of all of it first, then more"
    )
    cap: bpy.props.FloatProperty(
        name="Cap (USD)", description="Never pay more; 0: the cap of the quote", min=0, soft_max=1000, precision=4
    )
    deadline: bpy.props.StringProperty(
        name="Deadline", description="Refunded for what is not done by then: 90s, 30m, 12h, 7d", default="24h"
    )
    out: bpy.props.StringProperty(
        name="Output", description="Where the frames go", default="//kilnet/", subtype="DIR_PATH"
    )
    output_format: bpy.props.EnumProperty(name="Format", items=_FORMATS)
    job: bpy.props.StringProperty(description="The job that was ordered last", options={"HIDDEN"})


def frames_text(scene: bpy.types.Scene) -> str:
    """As `kilnet render --frames` takes it; empty: the scene's own range."""
    chosen = scene.kilnet
    texts: dict[str, str] = {"CURRENT": str(scene.frame_current), "RANGE": "", "CHOSEN": chosen.frames}
    return texts[chosen.what]


def options(scene: bpy.types.Scene) -> dict[str, object]:
    """Of a `check` (docs/bridge.md). What the scene itself says (samples, resolution, camera) is not said again."""
    chosen = scene.kilnet
    given: dict[str, object] = {
        "scene": scene.name,
        "frames": frames_text(scene),
        "max_price": f"{chosen.cap:.6f}" if chosen.cap > 0 else "",
        "deadline": chosen.deadline,
        "progressive": chosen.progressive,
        "preview_every": chosen.preview_every if chosen.preview else "",
        "output_format": "" if chosen.output_format == "SCENE" else chosen.output_format,
    }
    return {name: value for name, value in given.items() if value}


def register() -> None:
    bpy.utils.register_class(KilnetJob)
    bpy.types.Scene.kilnet = bpy.props.PointerProperty(type=KilnetJob)


def unregister() -> None:
    del bpy.types.Scene.kilnet
    bpy.utils.unregister_class(KilnetJob)
