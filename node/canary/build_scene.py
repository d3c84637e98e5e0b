# SPDX-FileCopyrightText: The kilnet authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds canary.blend: `python3.13 node/canary/build_scene.py`. Run by developers only; the result is committed.

A small picture that goes through as many of Cycles' kernels as fit into 160x96 pixels: textures and bump
(transcendental functions), glass, metal, subsurface scattering, depth of field, motion blur, an area light, a sun and a
sky gradient.
"""

from __future__ import annotations

import math
from pathlib import Path

import bpy

WIDTH, HEIGHT, SAMPLES = 160, 96, 64


def material(name: str, **inputs: object) -> bpy.types.Material:
    made = bpy.data.materials.new(name)
    made.use_nodes = True
    shader = made.node_tree.nodes["Principled BSDF"]
    for key, value in inputs.items():
        shader.inputs[key.replace("_", " ")].default_value = value
    return made


def textured() -> bpy.types.Material:
    made = material("textured", Roughness=0.6)
    nodes, links = made.node_tree.nodes, made.node_tree.links
    noise, wave, bump = (nodes.new(kind) for kind in ("ShaderNodeTexNoise", "ShaderNodeTexWave", "ShaderNodeBump"))
    noise.inputs["Scale"].default_value, noise.inputs["Detail"].default_value = 6.0, 8.0
    wave.inputs["Scale"].default_value, wave.inputs["Distortion"].default_value = 3.0, 4.0
    bump.inputs["Strength"].default_value = 0.4
    shader = nodes["Principled BSDF"]
    links.new(noise.outputs["Color"], shader.inputs["Base Color"])
    links.new(wave.outputs["Fac"], bump.inputs["Height"])
    links.new(bump.outputs["Normal"], shader.inputs["Normal"])
    return made


def sphere(x: float, made: bpy.types.Material) -> bpy.types.Object:
    bpy.ops.mesh.primitive_uv_sphere_add(segments=32, ring_count=16, radius=0.7, location=(x, 0, 0.7))
    ball = bpy.context.object
    bpy.ops.object.shade_smooth()
    ball.data.materials.append(made)
    return ball


def build() -> bpy.types.Scene:
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    bpy.ops.mesh.primitive_plane_add(size=20)
    bpy.context.object.data.materials.append(textured())
    sphere(-1.6, material("glass", Transmission_Weight=1.0, Roughness=0.05, IOR=1.45))
    sphere(
        0.0, material("skin", Base_Color=(0.8, 0.4, 0.3, 1), Subsurface_Weight=0.8, Subsurface_Radius=(0.4, 0.2, 0.1))
    )
    moving = sphere(1.6, material("metal", Metallic=1.0, Roughness=0.25, Base_Color=(0.9, 0.7, 0.3, 1)))
    moving.keyframe_insert("location", frame=1)
    moving.location.z = 1.4
    moving.keyframe_insert("location", frame=3)
    bpy.ops.object.light_add(type="AREA", location=(3, -4, 5), rotation=(math.radians(40), 0, math.radians(35)))
    bpy.context.object.data.energy, bpy.context.object.data.size = 400, 2
    bpy.ops.object.light_add(type="SUN", rotation=(math.radians(50), math.radians(10), 0))
    bpy.context.object.data.energy = 1.5
    scene.world = bpy.data.worlds.new("sky")
    scene.world.use_nodes = True
    nodes, links = scene.world.node_tree.nodes, scene.world.node_tree.links
    coordinates, gradient = nodes.new("ShaderNodeTexCoord"), nodes.new("ShaderNodeTexGradient")
    links.new(coordinates.outputs["Generated"], gradient.inputs["Vector"])
    links.new(gradient.outputs["Color"], nodes["Background"].inputs["Color"])
    bpy.ops.object.camera_add(location=(0, -6.5, 2.4), rotation=(math.radians(76), 0, 0))
    camera = bpy.context.object
    camera.data.dof.use_dof, camera.data.dof.focus_distance, camera.data.dof.aperture_fstop = True, 6.4, 1.4
    scene.camera = camera
    settings(scene)
    return scene


def settings(scene: bpy.types.Scene) -> None:
    render, cycles = scene.render, scene.cycles
    render.engine = "CYCLES"
    render.resolution_x, render.resolution_y, render.resolution_percentage = WIDTH, HEIGHT, 100
    render.use_motion_blur = True
    cycles.samples, cycles.seed = SAMPLES, 7
    cycles.use_adaptive_sampling = cycles.use_denoising = False
    scene.frame_start, scene.frame_end = 1, 3
    scene.frame_set(2)


if __name__ == "__main__":
    build()
    target = Path(__file__).resolve().parent / "canary.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(target), compress=True)
    target.with_suffix(".blend1").unlink(missing_ok=True)
