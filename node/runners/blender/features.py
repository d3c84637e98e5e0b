# SPDX-FileCopyrightText: The kilnet authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a scene uses that decides how its frames are split and proven, or come out different: plain facts."""

from __future__ import annotations

from typing import Any

import bpy

from . import dependencies

Scene = Any


def volumes(scene: Scene) -> list[str]:
    """What in the scene has a volume: names, empty where pixels do not see their neighbours through one."""
    found = {o.name for o in scene.objects if o.type == "VOLUME" and not o.hide_render}
    for item in scene.objects:
        found |= {
            f"{item.name}, {m.name}"
            for m in item.modifiers
            if m.type == "FLUID" and m.fluid_type == "DOMAIN" and m.domain_settings.domain_type == "GAS"
        }
    if scene.world is not None and _has_volume(scene.world.node_tree):
        found.add(scene.world.name)
    materials = [m for m in bpy.data.materials if m.users > int(m.use_fake_user) and _has_volume(m.node_tree)]
    if materials:
        users = bpy.data.user_map(subset=materials)
        found |= {m.name for m in materials if any(u.id_type not in {"SCENE", "SCREEN"} for u in users[m])}
    return sorted(found)


def _has_volume(tree: Any) -> bool:
    if tree is None:
        return False
    outputs = (n for n in tree.nodes if n.bl_idname in {"ShaderNodeOutputMaterial", "ShaderNodeOutputWorld"})
    return any(n.target in {"ALL", "CYCLES"} and n.inputs["Volume"].is_linked for n in outputs)


def scripts() -> list[str]:
    """Texts that would run on opening, and drivers that need Python; none of them run here."""
    found = {f"text {t.name}" for t in bpy.data.texts if t.use_module}
    for collection in _id_collections():
        for block in collection:
            for holder in (block, getattr(block, "node_tree", None), getattr(block, "shape_keys", None)):
                found |= _scripted_drivers(holder, block.name)
    return sorted(found)


def _id_collections() -> list[Any]:
    names = (p.identifier for p in bpy.data.bl_rna.properties if p.type == "COLLECTION")
    return [getattr(bpy.data, name) for name in names]


def _scripted_drivers(holder: Any, owner: str) -> set[str]:
    data = getattr(holder, "animation_data", None)
    drivers = data.drivers if data is not None else ()
    return {
        f"driver of {owner}, {curve.data_path}"
        for curve in drivers
        if curve.driver.type == "SCRIPTED" and not curve.driver.is_simple_expression
    }


def compositor_tree(scene: Scene) -> Any:
    """The node tree Blender would composite the scene with, or None."""
    if not scene.render.use_compositing:
        return None
    if bpy.app.version >= (5, 0, 0):
        return scene.compositing_node_group
    return scene.node_tree if scene.use_nodes else None


def compositor_nodes(tree: Any, seen: frozenset[str] = frozenset()) -> list[Any]:
    """Every unmuted node of a compositor tree, groups included."""
    if tree is None or tree.name_full in seen:
        return []
    seen |= {tree.name_full}
    nodes = [n for n in tree.nodes if not n.mute]
    groups = [n.node_tree for n in nodes if getattr(n, "node_tree", None) is not None]
    return nodes + [n for group in groups for n in compositor_nodes(group, seen)]


def compositor(scene: Scene) -> dict[str, Any]:
    """`{"used", "file_outputs", "other_scenes"}`."""
    nodes = compositor_nodes(compositor_tree(scene))
    layers = (n for n in nodes if n.bl_idname == "CompositorNodeRLayers" and n.scene is not None)
    return {
        "used": bool(nodes),
        "file_outputs": sorted(n.name for n in nodes if n.bl_idname == "CompositorNodeOutputFile"),
        "other_scenes": sorted({n.scene.name for n in layers if n.scene != scene}),
    }


def sequencer_strips(scene: Scene) -> list[str]:
    """Strips that show something and would replace the 3D scene in Blender's own output."""
    editor = scene.sequence_editor
    if editor is None or not scene.render.use_sequencer:
        return []
    strips = editor.strips_all if hasattr(editor, "strips_all") else editor.sequences_all
    return sorted(s.name for s in strips if s.type != "SOUND" and not s.mute)


def view_layers(scene: Scene) -> list[dict[str, Any]]:
    used = [layer for layer in scene.view_layers if layer.use]
    if scene.render.use_single_layer and bpy.context.view_layer.name in {layer.name for layer in used}:
        used = [bpy.context.view_layer]
    cycles = scene.render.engine == "CYCLES"
    own = cycles and scene.cycles.use_layer_samples != "IGNORE"
    return [
        {
            "name": layer.name,
            "samples": layer.samples or None if own else None,
            "denoise": bool(cycles and scene.cycles.use_denoising and layer.cycles.use_denoising),
            "freestyle": bool(scene.render.use_freestyle and layer.use_freestyle),
        }
        for layer in used
    ]


def animated_settings(scene: Scene) -> list[str]:
    """Render settings with keys or drivers: they decide pixels, and the contract cannot fix them for all frames."""
    data = scene.animation_data
    if data is None:
        return []
    paths = {curve.data_path for curve in data.drivers}
    action = data.action
    if action is not None:
        curves = list(getattr(action, "fcurves", None) or ())
        for layer in getattr(action, "layers", ()):
            curves += [c for strip in layer.strips for bag in getattr(strip, "channelbags", ()) for c in bag.fcurves]
        paths |= {curve.data_path for curve in curves}
    return sorted(p for p in paths if p.startswith(("cycles.", "render.", "eevee.", "camera")))


def unsupported_nodes() -> list[str]:
    """Nodes that read any file of the machine they run on; told, since the sandbox will not show them one."""
    return sorted(
        {
            f"{tree.name}, {node.name}"
            for tree, _ in dependencies.node_trees()
            for node in tree.nodes
            if node.bl_idname.startswith("GeometryNodeImport")
        }
    )
