# SPDX-FileCopyrightText: The kilnet authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A render engine that renders nothing: it hands merged passes to Blender, whose compositor and encoder do the rest."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import bpy
import numpy as np

from .exr import Planes

IDNAME = "KILNET_ASSEMBLE"
_COMPONENTS = "RGBAXYZWUVrgba"


@dataclass
class _Given:
    """What the engine gives back: set before a render, read by Blender's calls."""

    planes: Planes = field(default_factory=dict)
    """`Layer.Pass[.view].Component` -> (H, W), row 0 at the top."""
    views: tuple[str, ...] = ()
    metadata: dict[str, str] = field(default_factory=dict)
    """Fields of the render result that encoders write along, such as Cryptomatte's manifest."""


_given = _Given()


def passes_of(layer: str, views: tuple[str, ...], planes: Planes) -> dict[str, str]:
    """Pass name -> its components in Blender's order, for one view layer."""
    found: dict[str, str] = {}
    for channel in planes:
        if channel.startswith(f"{layer}."):
            name, component = channel[len(layer) + 1 :].rsplit(".", 1)
            head, _, tail = name.rpartition(".")
            name = head if tail in views and head else name
            if component not in found.get(name, ""):
                found[name] = found.get(name, "") + component
    return {name: "".join(sorted(found[name], key=_COMPONENTS.index)) for name in found}


def _kind(components: str) -> str:
    if len(components) == 1:
        return "VALUE"
    return "COLOR" if components.lower().startswith("r") else "VECTOR"


class AssembleEngine(bpy.types.RenderEngine):  # type: ignore[misc]
    bl_idname = IDNAME
    bl_label = "kilnet assemble"
    bl_use_postprocess = True

    def update_render_passes(self, scene: Any, layer: Any) -> None:
        for name, components in passes_of(layer.name, _given.views, _given.planes).items():
            self.register_pass(scene, layer, name, len(components), components, _kind(components))

    def render(self, depsgraph: Any) -> None:
        layer = depsgraph.view_layer.name
        height, width = next(iter(_given.planes.values())).shape
        for view in _given.views or ("",):
            if view:
                self.active_view_set(view)
            result = self.begin_result(0, 0, width, height, layer=layer, view=view)
            for item in result.layers[0].passes:
                self._fill(item, layer, view)
            self.end_result(result)
        for name, value in _given.metadata.items():
            self.get_result().stamp_data_add_field(name, value)

    def _fill(self, item: Any, layer: str, view: str) -> None:
        infix = f".{view}" if view else ""
        planes = [_given.planes.get(f"{layer}.{item.name}{infix}.{c}") for c in item.channel_id]
        present = [plane for plane in planes if plane is not None]
        if len(present) == len(planes):
            # Blender's rows begin at the bottom.
            item.rect.foreach_set(np.ascontiguousarray(np.stack([p[::-1] for p in present], -1)).ravel())


_registered = False


def use(scene: Any, planes: Planes, views: list[str], metadata: dict[str, str]) -> None:
    """From here on a render of `scene` gives `planes`."""
    global _registered
    if not _registered:
        bpy.utils.register_class(AssembleEngine)
        _registered = True
    _given.planes, _given.views, _given.metadata = planes, tuple(views), metadata
    scene.render.engine = IDNAME
