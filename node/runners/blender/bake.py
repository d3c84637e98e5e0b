# SPDX-FileCopyrightText: The kilnet authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`bake`: run a scene's simulations once and keep their states in the .blend: every machine renders the same ones."""

from __future__ import annotations

from typing import Any

import bpy

from . import protocol, simulations
from .errors import RunnerError
from .render import out_path, peak_rss
from .scene import Scene, choose
from .session import Session


def bake(session: Session, request: dict[str, Any]) -> dict[str, Any]:
    """`{blend, overrides?, frame_end?, out}` -> a new .blend in the scratch folder, to be put where the old one lies.

    States are kept up to the scene's last frame, or `frame_end` where that is later. Paths are as they were, relative
    to the old place. Raises RunnerError `unbakable_simulation`, `bake_failed`.
    """
    out = out_path(session, request)
    session.open(request["blend"])
    try:
        scene = choose(dict(request.get("overrides") or {}))
        waiting = simulations.unbaked(scene)
        stuck = [s for s in waiting if not s["bakeable"]]
        if stuck:
            raise simulations.unbakable(stuck)
        own_end = scene.frame_end
        scene.frame_end = max(own_end, int(request.get("frame_end", own_end)))
        _point_caches(scene, waiting)
        _node_zones(scene, waiting)
        scene.frame_end = own_end
        left = simulations.unbaked(scene)
        if left:
            names = ", ".join(f"{s['name']} of {s['object']}" for s in left)
            raise RunnerError(
                "bake_failed",
                f"Blender did not bake {names}: bake it in Blender and send the cache along.",
                scene_fault=True,
                simulations=left,
            )
        protocol.current().progress(0.95, "Saving")
        bpy.ops.wm.save_as_mainfile(filepath=str(out), copy=True, relative_remap=False, compress=True)
    finally:
        session.forget()
    return {"file": out.name, "bytes": out.stat().st_size, "baked": waiting, "peak_rss": peak_rss()}


def _point_caches(scene: Scene, waiting: list[simulations.Simulation]) -> None:
    if not any(s["kind"] != "simulation nodes" for s in waiting):
        return
    protocol.current().progress(0.1, "Baking point caches")
    for cache in simulations.point_caches(scene):
        if not cache.is_baked:
            if cache.use_disk_cache:
                cache.use_disk_cache = False
            if cache.use_external:
                cache.use_external = False
            cache.frame_step = 1
            cache.frame_end = max(cache.frame_start + 1, scene.frame_end)
    bpy.ops.ptcache.bake_all(bake=True)


def _node_zones(scene: Scene, waiting: list[simulations.Simulation]) -> None:
    zones = [s for s in waiting if s["kind"] == "simulation nodes"]
    marks = str(scene.get(simulations.MARK, "")).splitlines()
    for i, zone in enumerate(zones):
        protocol.current().progress(0.5 + 0.4 * i / len(zones), f"Baking {zone['name']} of {zone['object']}")
        item = scene.objects[zone["object"]]
        modifier = item.modifiers[zone["name"]]
        modifier.bake_target = "PACKED"
        for entry in modifier.bakes:
            if hasattr(entry, "bake_target"):
                entry.bake_target = "INHERIT"
            result = _bake_zone(item, modifier, entry)
            if result != {"FINISHED"}:
                text = (
                    f"Blender did not bake {zone['name']} of {zone['object']}: "
                    "bake it in Blender and send the cache along."
                )
                raise RunnerError("bake_failed", text, scene_fault=True)
        marks.append(f"{item.name}/{modifier.name}")
    if zones:
        scene[simulations.MARK] = "\n".join(marks)


def _bake_zone(item: Any, modifier: Any, entry: Any) -> set[str]:
    layer = bpy.context.view_layer
    if item.name in layer.objects:
        layer.objects.active = item
    result: set[str] = bpy.ops.object.geometry_node_bake_single(
        session_uid=item.session_uid, modifier_name=modifier.name, bake_id=entry.bake_id
    )
    return result
