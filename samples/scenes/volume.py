# SPDX-FileCopyrightText: The kilnet authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Smoke in a light shaft: a heterogeneous volume, whose blocks need a guard band of 16 pixels."""

from __future__ import annotations

from typing import Any

import bpy

from samples.scenes.common import area_light, ball, box, camera, material, new_scene, sky


def _smoke() -> Any:
    made = bpy.data.materials.new("Smoke")
    if made.node_tree is None:
        made.use_nodes = True
    tree = made.node_tree
    tree.nodes.clear()
    out, volume = tree.nodes.new("ShaderNodeOutputMaterial"), tree.nodes.new("ShaderNodeVolumePrincipled")
    place, noise = tree.nodes.new("ShaderNodeTexCoord"), tree.nodes.new("ShaderNodeTexNoise")
    noise.inputs["Scale"].default_value = 1.4
    ramp = tree.nodes.new("ShaderNodeValToRGB")
    ramp.color_ramp.elements[0].position, ramp.color_ramp.elements[1].position = 0.45, 0.7
    scale = tree.nodes.new("ShaderNodeMath")
    scale.operation = "MULTIPLY"
    scale.inputs[1].default_value = 1.6
    volume.inputs["Color"].default_value = (0.8, 0.75, 0.7, 1)
    volume.inputs["Anisotropy"].default_value = 0.3
    tree.links.new(place.outputs["Object"], noise.inputs["Vector"])
    tree.links.new(noise.outputs[0], ramp.inputs[0])
    tree.links.new(ramp.outputs[0], scale.inputs[0])
    tree.links.new(scale.outputs[0], volume.inputs["Density"])
    tree.links.new(volume.outputs[0], out.inputs["Volume"])
    return made


def build() -> Any:
    scene = new_scene(160, 90, 16)
    scene.cycles.volume_bounces = 1
    sky(scene, (0.05, 0.05, 0.06), (0.08, 0.1, 0.15), 0.5)
    box("Smoke", (4, 3, 2.2), (0, 0.5, 1.1), _smoke())
    box("Floor", (10, 10, 0.1), (0, 0, -0.05), material("Floor", Base_Color=(0.25, 0.24, 0.22, 1), Roughness=0.7))
    ball("Ball", 0.5, (-0.4, 0.2, 0.5), material("Ball", Base_Color=(0.7, 0.25, 0.08, 1), Roughness=0.3))
    area_light("Shaft", (1.6, 1.2, 3.2), (-0.3, 0.2, 0.3), 0.5, 260, (1, 0.9, 0.7))
    area_light("Fill", (-3, -3, 2.5), (0, 0, 0.5), 1.5, 60, (0.6, 0.75, 1))
    camera((0.2, -5, 1.6), (0, 0.3, 0.8), 42)
    return scene
