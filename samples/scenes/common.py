# SPDX-FileCopyrightText: The kilnet authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Small helpers that every sample scene is built with: everything procedural, nothing random, nothing from a file."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import bpy
from mathutils import Vector

FOLDER = Path(__file__).resolve().parent
Vec = tuple[float, float, float]


def new_scene(width: int, height: int, samples: int) -> Any:
    """An empty Cycles scene without adaptive sampling, so that frames can be split by samples too."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    r, cycles = scene.render, scene.cycles
    r.engine = "CYCLES"
    r.resolution_x, r.resolution_y, r.resolution_percentage = width, height, 100
    cycles.samples, cycles.use_adaptive_sampling, cycles.use_denoising = samples, False, False
    cycles.max_bounces = 8
    r.image_settings.file_format, r.image_settings.color_mode = "PNG", "RGB"
    scene.frame_start = scene.frame_end = scene.frame_current = 1
    scene.world = bpy.data.worlds.new("World")
    return scene


def sky(scene: Any, horizon: Vec, zenith: Vec, strength: float) -> None:
    """A vertical gradient as the world."""
    tree = scene.world.node_tree
    background = next(n for n in tree.nodes if n.bl_idname == "ShaderNodeBackground")
    coordinate = tree.nodes.new("ShaderNodeTexCoord")
    split = tree.nodes.new("ShaderNodeSeparateXYZ")
    mix = tree.nodes.new("ShaderNodeValToRGB")
    mix.color_ramp.elements[0].color = (*horizon, 1)
    mix.color_ramp.elements[1].color = (*zenith, 1)
    tree.links.new(coordinate.outputs["Generated"], split.inputs[0])
    tree.links.new(split.outputs["Z"], mix.inputs[0])
    tree.links.new(mix.outputs[0], background.inputs["Color"])
    background.inputs["Strength"].default_value = strength
    # A gradient needs no fine importance map, and the automatic one takes a second to make.
    scene.world.cycles.sampling_method, scene.world.cycles.sample_map_resolution = "MANUAL", 64


def material(name: str, **inputs: Any) -> Any:
    """A Principled material; keywords are its inputs with spaces as underscores (`Base_Color=...`)."""
    made = bpy.data.materials.new(name)
    if made.node_tree is None:
        made.use_nodes = True
    shader = next(n for n in made.node_tree.nodes if n.bl_idname == "ShaderNodeBsdfPrincipled")
    for key, value in inputs.items():
        shader.inputs[key.replace("_", " ")].default_value = value
    return made


def shader_of(made: Any) -> Any:
    return next(n for n in made.node_tree.nodes if n.bl_idname == "ShaderNodeBsdfPrincipled")


def mesh(name: str, vertices: Sequence[Vec], faces: Sequence[Sequence[int]], made: Any, *, smooth: bool = True) -> Any:
    data = bpy.data.meshes.new(name)
    data.from_pydata(list(vertices), [], list(faces))
    data.polygons.foreach_set("use_smooth", [smooth] * len(data.polygons))
    data.materials.append(made)
    item = bpy.data.objects.new(name, data)
    bpy.context.scene.collection.objects.link(item)
    return item


def lathe(name: str, profile: Sequence[tuple[float, float]], made: Any, *, at: Vec = (0, 0, 0), turns: int = 48) -> Any:
    """Turn (radius, height) points around Z; a point at radius 0 closes the surface."""
    vertices: list[Vec] = []
    for radius, z in profile:
        angles = (2 * math.pi * i / turns for i in range(turns))
        vertices += [(radius * math.cos(a), radius * math.sin(a), z) for a in angles]
    faces = [
        (row * turns + i, row * turns + (i + 1) % turns, (row + 1) * turns + (i + 1) % turns, (row + 1) * turns + i)
        for row in range(len(profile) - 1)
        for i in range(turns)
    ]
    item = mesh(name, vertices, faces, made)
    weld = item.modifiers.new("Weld", "WELD")
    weld.merge_threshold = 1e-4
    smooth = item.modifiers.new("Subdivision", "SUBSURF")
    smooth.levels = smooth.render_levels = 2
    item.location = at
    return item


def box(name: str, size: Vec, at: Vec, made: Any, *, bevel: float = 0.0, turn: float = 0.0) -> Any:
    x, y, z = (s / 2 for s in size)
    corners = [(sx * x, sy * y, sz * z) for sx in (-1, 1) for sy in (-1, 1) for sz in (-1, 1)]
    faces = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    item = mesh(name, corners, faces, made, smooth=False)
    item.location, item.rotation_euler.z = at, turn
    if bevel:
        edge = item.modifiers.new("Bevel", "BEVEL")
        edge.width, edge.segments = bevel, 2
    return item


def ball(name: str, radius: float, at: Vec, made: Any) -> Any:
    steps = 10
    profile = [
        (radius * math.sin(math.pi * i / steps), -radius * math.cos(math.pi * i / steps)) for i in range(steps + 1)
    ]
    return lathe(name, profile, made, at=at, turns=24)


def aim(item: Any, target: Vec) -> None:
    item.rotation_euler = (Vector(target) - item.location).to_track_quat("-Z", "Y").to_euler()


def area_light(name: str, at: Vec, target: Vec, size: float, watts: float, color: Vec = (1, 1, 1)) -> Any:
    data = bpy.data.lights.new(name, "AREA")
    data.size, data.energy, data.color = size, watts, color
    item = bpy.data.objects.new(name, data)
    bpy.context.scene.collection.objects.link(item)
    item.location = at
    aim(item, target)
    return item


def camera(at: Vec, target: Vec, lens: float, *, f_stop: float = 0.0, focus: Vec | None = None) -> Any:
    data = bpy.data.cameras.new("Camera")
    data.lens = lens
    item = bpy.data.objects.new("Camera", data)
    bpy.context.scene.collection.objects.link(item)
    item.location = at
    aim(item, target)
    if f_stop:
        data.dof.use_dof, data.dof.aperture_fstop = True, f_stop
        data.dof.focus_distance = (Vector(focus or target) - Vector(at)).length
    bpy.context.scene.camera = item
    return item


def key(holder: Any, path: str, frame: int, value: Any) -> None:
    """Set a property and put a key on it."""
    setattr(holder, path, value)
    holder.keyframe_insert(path, frame=frame)


def save(name: str, folder: Path = FOLDER) -> Path:
    path = folder / f"{name}.blend"
    bpy.ops.outliner.orphans_purge(do_recursive=True)
    bpy.ops.wm.save_as_mainfile(filepath=str(path), compress=True, copy=True)
    return path
