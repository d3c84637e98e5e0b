# SPDX-FileCopyrightText: The kilnet authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The demonstration's picture: glazed pots before a firing kiln. Glass, copper, glaze, area lights, shallow focus."""

from __future__ import annotations

import math
from typing import Any

import bpy

from samples.scenes.common import area_light, ball, box, camera, lathe, material, mesh, new_scene, shader_of, sky

VASE = [
    (0, 0), (0.34, 0), (0.36, 0.03), (0.55, 0.35), (0.62, 0.65), (0.55, 0.95), (0.34, 1.2), (0.22, 1.38), (0.21, 1.55),
    (0.29, 1.7), (0.265, 1.705), (0.18, 1.55), (0.19, 1.38), (0.3, 1.18), (0.3, 1.0),
]  # fmt: skip
BOTTLE = [
    (0, 0), (0.36, 0), (0.38, 0.03), (0.38, 0.62), (0.34, 0.78), (0.15, 0.93), (0.115, 1.02), (0.115, 1.22),
    (0.145, 1.24), (0.145, 1.29), (0.1, 1.3), (0.09, 1.22), (0.09, 1.02), (0.13, 0.91), (0.315, 0.76), (0.35, 0.62),
    (0.35, 0.06), (0.33, 0.04), (0, 0.04),
]  # fmt: skip
BOWL = [
    (0, 0), (0.22, 0), (0.24, 0.05), (0.42, 0.17), (0.56, 0.36), (0.62, 0.55), (0.6, 0.555), (0.53, 0.37), (0.4, 0.2),
    (0.2, 0.09), (0, 0.08),
]  # fmt: skip
CUP = [
    (0, 0), (0.17, 0), (0.18, 0.02), (0.25, 0.12), (0.28, 0.3), (0.27, 0.46), (0.25, 0.465), (0.255, 0.3), (0.22, 0.13),
    (0, 0.06),
]  # fmt: skip


def _glaze() -> Any:
    """Celadon that runs into iron red, with a fine crackle under a clear coat."""
    made = material("Glaze", Roughness=0.28, Coat_Weight=1.0, Coat_Roughness=0.04)
    tree, shader = made.node_tree, shader_of(made)
    place = tree.nodes.new("ShaderNodeTexCoord")
    height = tree.nodes.new("ShaderNodeSeparateXYZ")
    noise = tree.nodes.new("ShaderNodeTexNoise")
    noise.inputs["Scale"].default_value = 3.5
    noise.inputs["Detail"].default_value = 3
    add = tree.nodes.new("ShaderNodeMath")
    add.operation = "MULTIPLY_ADD"
    add.inputs[1].default_value = 0.42
    ramp = tree.nodes.new("ShaderNodeValToRGB")
    colors = ((0.30, 0.05, 0.02), (0.015, 0.12, 0.15), (0.10, 0.40, 0.40), (0.62, 0.72, 0.62))
    elements = ramp.color_ramp.elements
    elements.new(0.45)
    elements.new(0.72)
    for element, position, color in zip(elements, (0.18, 0.42, 0.72, 1.0), colors, strict=True):
        element.position, element.color = position, (*color, 1)
    tree.links.new(place.outputs["Generated"], height.inputs[0])
    tree.links.new(place.outputs["Object"], noise.inputs["Vector"])
    tree.links.new(noise.outputs[0], add.inputs[0])
    tree.links.new(height.outputs["Z"], add.inputs[2])
    tree.links.new(add.outputs[0], ramp.inputs[0])
    tree.links.new(ramp.outputs[0], shader.inputs["Base Color"])
    bump = tree.nodes.new("ShaderNodeBump")
    bump.inputs["Strength"].default_value = 0.12
    tree.links.new(noise.outputs[0], bump.inputs["Height"])
    tree.links.new(bump.outputs[0], shader.inputs["Normal"])
    return made


def _wood() -> Any:
    made = material("Wood", Roughness=0.42, Specular_IOR_Level=0.4)
    tree, shader = made.node_tree, shader_of(made)
    place = tree.nodes.new("ShaderNodeTexCoord")
    stretch = tree.nodes.new("ShaderNodeMapping")
    stretch.inputs["Scale"].default_value = (0.5, 7.0, 1.0)
    noise = tree.nodes.new("ShaderNodeTexNoise")
    noise.inputs["Scale"].default_value = 1.6
    noise.inputs["Detail"].default_value = 6
    ramp = tree.nodes.new("ShaderNodeValToRGB")
    ramp.color_ramp.elements[0].position, ramp.color_ramp.elements[0].color = 0.3, (0.035, 0.016, 0.008, 1)
    ramp.color_ramp.elements[1].position, ramp.color_ramp.elements[1].color = 0.72, (0.19, 0.085, 0.035, 1)
    tree.links.new(place.outputs["Object"], stretch.inputs[0])
    tree.links.new(stretch.outputs[0], noise.inputs["Vector"])
    tree.links.new(noise.outputs[0], ramp.inputs[0])
    tree.links.new(ramp.outputs[0], shader.inputs["Base Color"])
    return made


def _kiln() -> None:
    """An arch of bricks with embers behind it, out of focus."""
    brick = material("Brick", Base_Color=(0.26, 0.085, 0.045, 1), Roughness=0.9)
    pale = material("Firebrick", Base_Color=(0.42, 0.2, 0.1, 1), Roughness=0.9)
    back = 3.1
    for row in range(9):
        for column in range(-7, 8):
            x, z = column * 0.62 + (0.31 if row % 2 else 0), 0.16 + row * 0.32
            if math.hypot(x - 0.9, max(0.0, z - 0.75)) < 1.05:
                continue
            made = brick if (row * 7 + column * 3) % 4 else pale
            box(f"Brick {row} {column}", (0.58, 0.4, 0.28), (x, back, z), made, bevel=0.03)
    for i in range(13):
        angle = math.pi * (i + 0.5) / 13
        stone = box(
            f"Arch {i}", (0.3, 0.5, 0.24), (0.9 + 1.02 * math.cos(angle), back - 0.06, 0.75 + 1.02 * math.sin(angle)),
            pale, bevel=0.03,
        )  # fmt: skip
        stone.rotation_euler.y = -angle
    fire = bpy.data.materials.new("Fire")
    if fire.node_tree is None:
        fire.use_nodes = True
    tree = fire.node_tree
    tree.nodes.clear()
    out, emit = tree.nodes.new("ShaderNodeOutputMaterial"), tree.nodes.new("ShaderNodeEmission")
    place, noise = tree.nodes.new("ShaderNodeTexCoord"), tree.nodes.new("ShaderNodeTexNoise")
    noise.inputs["Scale"].default_value = 2.2
    ramp = tree.nodes.new("ShaderNodeValToRGB")
    ramp.color_ramp.elements[0].position, ramp.color_ramp.elements[0].color = 0.3, (0.42, 0.035, 0.003, 1)
    ramp.color_ramp.elements[1].position, ramp.color_ramp.elements[1].color = 0.75, (1.0, 0.36, 0.06, 1)
    emit.inputs["Strength"].default_value = 3.6
    tree.links.new(place.outputs["Object"], noise.inputs["Vector"])
    tree.links.new(noise.outputs[0], ramp.inputs[0])
    tree.links.new(ramp.outputs[0], emit.inputs["Color"])
    tree.links.new(emit.outputs[0], out.inputs["Surface"])
    corners = [(-0.4, back + 0.8, 0.0), (2.2, back + 0.8, 0.0), (2.2, back + 0.8, 2.2), (-0.4, back + 0.8, 2.2)]
    mesh("Fire", corners, [(0, 1, 2, 3)], fire, smooth=False)


def build() -> Any:
    scene = new_scene(480, 270, 64)
    scene.cycles.use_denoising = True
    scene.cycles.max_bounces, scene.cycles.diffuse_bounces, scene.cycles.glossy_bounces = 7, 2, 3
    scene.cycles.caustics_reflective = scene.cycles.caustics_refractive = False
    scene.view_settings.view_transform, scene.view_settings.look = "AgX", "AgX - Medium High Contrast"
    sky(scene, (0.05, 0.035, 0.03), (0.10, 0.14, 0.22), 0.35)
    box("Table", (9, 5.2, 0.2), (0, 0.35, -0.1), _wood(), bevel=0.03)
    _kiln()
    lathe("Vase", VASE, _glaze(), at=(-0.85, 0.35, 0))
    glass = material("Glass", Base_Color=(0.93, 0.98, 0.96, 1), Roughness=0.0, Transmission_Weight=1.0, IOR=1.47)
    lathe("Bottle", BOTTLE, glass, at=(0.55, 0.15, 0))
    copper = material("Copper", Base_Color=(0.93, 0.43, 0.25, 1), Metallic=1.0, Roughness=0.17)
    lathe("Bowl", BOWL, copper, at=(1.65, -0.25, 0))
    cup = material("Cup", Base_Color=(0.72, 0.66, 0.55, 1), Roughness=0.35, Coat_Weight=0.6)
    lathe("Cup", CUP, cup, at=(-0.05, -0.75, 0))
    steel = material("Steel", Base_Color=(0.75, 0.78, 0.82, 1), Metallic=1.0, Roughness=0.08)
    ball("Steel ball", 0.16, (0.72, -0.85, 0.16), steel)
    amber = material("Amber", Base_Color=(1.0, 0.42, 0.06, 1), Roughness=0.02, Transmission_Weight=1.0, IOR=1.54)
    ball("Amber ball", 0.2, (-0.75, -0.75, 0.2), amber)
    area_light("Key", (-3.2, -2.6, 3.6), (0, 0, 0.5), 1.6, 210, (1.0, 0.9, 0.78))
    area_light("Rim", (3.4, 1.6, 2.6), (0.4, 0, 0.6), 0.9, 90, (0.62, 0.78, 1.0))
    camera((0.2, -6.1, 1.6), (0.32, 0.0, 0.78), 50, f_stop=0.6, focus=(-0.5, -0.1, 0.8))
    return scene
