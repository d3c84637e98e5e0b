# SPDX-FileCopyrightText: The kilnet authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Scenes whose frames leak into each other where a runner is careless: `python awkward_scenes.py FOLDER`.

An image sequence with motion blur, geometry nodes and shape keys with motion blur, adaptive subdivision, and hair on a
moving object; each in a folder of its own, with a MANIFEST.tsv.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import bpy
import numpy as np

FRAMES = 12


def scene(*, blur: bool) -> Any:
    bpy.ops.wm.read_factory_settings(use_empty=True)
    made = bpy.context.scene
    made.render.engine = "CYCLES"
    made.cycles.samples, made.cycles.use_adaptive_sampling, made.cycles.use_denoising = 16, False, False
    made.render.resolution_x, made.render.resolution_y, made.frame_end = 64, 48, FRAMES
    made.render.use_motion_blur = blur
    eye = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
    eye.location, eye.rotation_euler = (0, -6, 1.2), (1.38, 0, 0)
    sun = bpy.data.objects.new("Sun", bpy.data.lights.new("Sun", "SUN"))
    sun.data.energy, sun.rotation_euler = 3, (0.6, 0.3, 0)
    for item in (eye, sun):
        made.collection.objects.link(item)
    made.camera = eye
    made.world = bpy.data.worlds.new("World")
    bpy.ops.mesh.primitive_plane_add(size=14)
    return made


def moved(item: Any) -> None:
    item.keyframe_insert("location", frame=1)
    item.keyframe_insert("rotation_euler", frame=1)
    item.location.x += 1.5
    item.rotation_euler.z += 1.2
    item.keyframe_insert("location", frame=FRAMES)
    item.keyframe_insert("rotation_euler", frame=FRAMES)


def sequence(folder: Path) -> None:
    scene(blur=True)
    rng = np.random.default_rng(3)
    for frame in range(1, FRAMES + 2):
        image = bpy.data.images.new(f"paint{frame}", 16, 16)
        image.pixels = rng.random(16 * 16 * 4).tolist()
        image.filepath_raw, image.file_format = str(folder / f"paint{frame:04d}.png"), "PNG"
        image.save()
    bpy.ops.mesh.primitive_cube_add(size=2, location=(-0.7, 0, 1))
    made = bpy.data.materials.new("Painted")
    made.use_nodes = True
    texture = made.node_tree.nodes.new("ShaderNodeTexImage")
    texture.image = bpy.data.images.load(str(folder / "paint0001.png"))
    texture.image.source, texture.image.filepath = "SEQUENCE", "//paint0001.png"
    texture.image_user.frame_duration, texture.image_user.use_auto_refresh = FRAMES + 1, True
    shader = next(n for n in made.node_tree.nodes if n.bl_idname == "ShaderNodeBsdfPrincipled")
    made.node_tree.links.new(texture.outputs["Color"], shader.inputs["Base Color"])
    bpy.context.object.data.materials.append(made)
    moved(bpy.context.object)


def geometry(_folder: Path) -> None:
    scene(blur=True)
    bpy.ops.mesh.primitive_monkey_add(size=2, location=(-0.7, 0, 1))
    item = bpy.context.object
    item.shape_key_add(name="Basis")
    wide = item.shape_key_add(name="Wide")
    for point in wide.data:
        point.co.x *= 1.4
    wide.value = 0
    wide.keyframe_insert("value", frame=1)
    wide.value = 1
    wide.keyframe_insert("value", frame=FRAMES)
    tree = bpy.data.node_groups.new("Copies", "GeometryNodeTree")
    for direction in ("INPUT", "OUTPUT"):
        tree.interface.new_socket("Geometry", in_out=direction, socket_type="NodeSocketGeometry")
    first, last = tree.nodes.new("NodeGroupInput"), tree.nodes.new("NodeGroupOutput")
    place, moment = tree.nodes.new("GeometryNodeSetPosition"), tree.nodes.new("GeometryNodeInputSceneTime")
    offset = tree.nodes.new("ShaderNodeCombineXYZ")
    tree.links.new(moment.outputs["Seconds"], offset.inputs["Z"])
    tree.links.new(offset.outputs[0], place.inputs["Offset"])
    tree.links.new(first.outputs[0], place.inputs["Geometry"])
    tree.links.new(place.outputs["Geometry"], last.inputs[0])
    item.modifiers.new("Copies", "NODES").node_group = tree
    moved(item)


def subdivision(_folder: Path) -> None:
    made = scene(blur=False)
    bpy.ops.mesh.primitive_monkey_add(size=2, location=(-0.7, 0, 1))
    item = bpy.context.object
    surface = item.modifiers.new("Subdivision", "SUBSURF")
    for holder, name in ((surface, "use_adaptive_subdivision"), (item.cycles, "use_adaptive_subdivision")):
        if hasattr(holder, name):  # it moved from the object to the modifier
            setattr(holder, name, True)
    if hasattr(made.cycles, "feature_set"):
        made.cycles.feature_set = "EXPERIMENTAL"
    bump = bpy.data.materials.new("Bumps")
    bump.use_nodes = True
    noise = bump.node_tree.nodes.new("ShaderNodeTexNoise")
    displace = bump.node_tree.nodes.new("ShaderNodeDisplacement")
    out = next(n for n in bump.node_tree.nodes if n.bl_idname == "ShaderNodeOutputMaterial")
    bump.node_tree.links.new(noise.outputs[0], displace.inputs["Height"])
    bump.node_tree.links.new(displace.outputs[0], out.inputs["Displacement"])
    bump.displacement_method = "DISPLACEMENT"
    item.data.materials.append(bump)
    moved(item)


def hair(_folder: Path) -> None:
    scene(blur=True)
    bpy.ops.mesh.primitive_uv_sphere_add(radius=1, location=(-0.7, 0, 1))
    settings = bpy.context.object.modifiers.new("Hair", "PARTICLE_SYSTEM").particle_system.settings
    settings.type, settings.count, settings.hair_length = "HAIR", 300, 0.5
    moved(bpy.context.object)


SCENES = {"image-sequence": sequence, "geometry-nodes": geometry, "adaptive-subdivision": subdivision, "hair": hair}


def main(folder: Path) -> None:
    rows = ["name\tfile\tframes"]
    for name, build in SCENES.items():
        own = folder / name
        own.mkdir(parents=True, exist_ok=True)
        build(own)
        bpy.ops.wm.save_as_mainfile(filepath=str(own / "scene.blend"))
        rows.append(f"{name}\t{name}/scene.blend\t1-{FRAMES} animated")
    (folder / "MANIFEST.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
    sys.stdout.flush()
    os._exit(0)
