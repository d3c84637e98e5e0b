# SPDX-FileCopyrightText: The kilnet authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Simulations whose state depends on the frames before: machines that jump to a frame disagree without a bake."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bpy

from .errors import RunnerError

Simulation = dict[str, Any]
"""`{"object", "name", "kind", "baked", "bakeable"}`: bakeable means into the .blend itself."""


def simulations(scene: Any) -> list[Simulation]:
    """Every simulation that takes part in the scene's picture."""
    found = [*_rigid_bodies(scene)]
    for item in scene.objects:
        own = item.library is None
        found += [s | {"bakeable": s["bakeable"] and own} for s in _of_object(scene, item)]
    return found


def unbaked(scene: Any) -> list[Simulation]:
    return [s for s in simulations(scene) if not s["baked"]]


def point_caches(scene: Any) -> list[Any]:
    """Every point cache of the scene's simulations."""
    world = scene.rigidbody_world
    caches = [world.point_cache] if world is not None and world.point_cache is not None else []
    for item in scene.objects:
        for modifier in item.modifiers:
            if modifier.type in {"CLOTH", "SOFT_BODY"}:
                caches.append(modifier.point_cache)
            elif modifier.type == "PARTICLE_SYSTEM":
                caches.append(modifier.particle_system.point_cache)
            elif modifier.type == "DYNAMIC_PAINT" and modifier.canvas_settings is not None:
                caches += [surface.point_cache for surface in modifier.canvas_settings.canvas_surfaces]
    return caches


def unbakable(found: list[Simulation]) -> RunnerError:
    """The error for simulations that a .blend cannot hold; a fluid domain without its cache even aborts Blender."""
    names = ", ".join(f"{s['name']} of {s['object']} ({s['kind']})" for s in found)
    text = f"{names} has no cache, and it cannot be baked into the file: bake it and send the cache folder along."
    error = RunnerError("unbakable_simulation", text, scene_fault=True, simulations=found)
    # Blender aborts when it lets go of a domain whose solver has failed, which would strike whatever comes next.
    error.restart = any(s["kind"] == "fluid" for s in found)
    return error


def _entry(owner: str, name: str, kind: str, baked: bool, bakeable: bool = True) -> Simulation:
    return {"object": owner, "name": name, "kind": kind, "baked": bool(baked), "bakeable": bakeable}


def _rigid_bodies(scene: Any) -> Iterator[Simulation]:
    world = scene.rigidbody_world
    if world is None or not world.enabled or world.collection is None:
        return
    moving = [o for o in world.collection.objects if o.rigid_body and o.rigid_body.type == "ACTIVE"]
    if any(not o.rigid_body.kinematic or _animated(o, "rigid_body.kinematic") for o in moving):
        yield _entry(scene.name, "Rigid Body World", "rigid body", world.point_cache.is_baked)


def _animated(item: Any, path: str) -> bool:
    data = item.animation_data
    if data is None or data.action is None:
        return False
    curves = getattr(data.action, "fcurves", None)
    if curves is None:  # layered actions: be careful rather than exact
        return True
    return any(curve.data_path == path for curve in curves)


def _of_object(scene: Any, item: Any) -> Iterator[Simulation]:
    for modifier in item.modifiers:
        if not modifier.show_render:
            continue
        if modifier.type in {"CLOTH", "SOFT_BODY"}:
            kind = "cloth" if modifier.type == "CLOTH" else "soft body"
            yield _entry(item.name, modifier.name, kind, modifier.point_cache.is_baked)
        elif modifier.type == "FLUID" and modifier.fluid_type == "DOMAIN":
            yield _entry(item.name, modifier.name, "fluid", _fluid_cached(item, modifier.domain_settings), False)
        elif modifier.type == "DYNAMIC_PAINT" and modifier.canvas_settings is not None:
            for surface in modifier.canvas_settings.canvas_surfaces:
                if surface.is_active:
                    yield _entry(item.name, surface.name, "dynamic paint", surface.point_cache.is_baked)
        elif modifier.type == "PARTICLE_SYSTEM":
            system = modifier.particle_system
            settings = system.settings
            if settings.type == "EMITTER" and settings.physics_type != "NO" and settings.count:
                yield _entry(item.name, system.name, "particles", system.point_cache.is_baked)
            elif settings.type == "HAIR" and system.use_hair_dynamics:
                yield _entry(item.name, system.name, "hair dynamics", system.point_cache.is_baked)
        elif modifier.type == "NODES" and modifier.node_group is not None and has_simulation(modifier.node_group):
            yield _entry(item.name, modifier.name, "simulation nodes", nodes_baked(scene, item, modifier))


def _fluid_cached(item: Any, domain: Any) -> bool:
    folder = Path(bpy.path.abspath(domain.cache_directory, library=item.library))
    return (folder / "data").is_dir() and any((folder / "data").iterdir())


MARK = "kilnet_baked"
"""Scene property with one `object/modifier` a line: Blender does not tell whether a packed bake exists."""


def nodes_baked(scene: Any, item: Any, modifier: Any) -> bool:
    """Whether `bake` has packed the simulation zones, or a folder that the file names holds them.

    A bake the artist packed cannot be told from none; it is then baked again, to the same states.
    """
    if f"{item.name}/{modifier.name}" in str(scene.get(MARK, "")).splitlines():
        return True
    folder = Path(bpy.path.abspath(modifier.bake_directory, library=item.library)) if modifier.bake_directory else None
    return modifier.bake_target == "DISK" and folder is not None and folder.is_dir() and any(folder.iterdir())


def has_simulation(tree: Any, seen: frozenset[str] = frozenset()) -> bool:
    """Whether a simulation zone feeds the output of a node group; one that nothing uses is not counted."""
    if tree.name_full in seen:
        return False
    seen |= {tree.name_full}
    waiting = [n for n in tree.nodes if n.bl_idname == "NodeGroupOutput"]
    reached = set()
    while waiting:
        node = waiting.pop()
        if node.name in reached or node.mute:
            continue
        reached.add(node.name)
        if node.bl_idname == "GeometryNodeSimulationOutput":
            return True
        if node.bl_idname == "GeometryNodeGroup" and node.node_tree and has_simulation(node.node_tree, seen):
            return True
        waiting += [link.from_node for socket in node.inputs for link in socket.links]
        paired = next((n for n in tree.nodes if getattr(n, "paired_output_node", None) == node), None)
        if paired is not None:
            waiting.append(paired)
    return False
