# SPDX-FileCopyrightText: The kilnet authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender's own compositor at work: glare, a vignette by the mist, lens distortion, and a File Output node."""

from __future__ import annotations

from typing import Any

import bpy

from samples.scenes.common import area_light, ball, box, camera, material, new_scene, sky


def _tree(scene: Any) -> None:
    tree = bpy.data.node_groups.new("Compositing", "CompositorNodeTree")
    tree.interface.new_socket("Image", in_out="OUTPUT", socket_type="NodeSocketColor")
    scene.compositing_node_group = tree
    layers, out = tree.nodes.new("CompositorNodeRLayers"), tree.nodes.new("NodeGroupOutput")
    glare, lens = tree.nodes.new("CompositorNodeGlare"), tree.nodes.new("CompositorNodeLensdist")
    balance = tree.nodes.new("CompositorNodeBrightContrast")
    glare.inputs["Threshold"].default_value = 0.8
    lens.inputs["Distortion"].default_value = 0.06
    balance.inputs["Contrast"].default_value = 0.2
    tree.links.new(layers.outputs["Image"], glare.inputs["Image"])
    tree.links.new(glare.outputs["Image"], lens.inputs["Image"])
    tree.links.new(lens.outputs["Image"], balance.inputs["Image"])
    tree.links.new(balance.outputs["Image"], out.inputs[0])
    depth = tree.nodes.new("CompositorNodeOutputFile")
    depth.name = "Mist"
    depth.directory, depth.file_name = "/tmp/", "mist"
    depth.format.media_type, depth.format.file_format, depth.format.color_mode = "IMAGE", "PNG", "BW"
    depth.file_output_items.new("FLOAT", "mist")
    tree.links.new(layers.outputs["Mist"], depth.inputs["mist"])


def build() -> Any:
    scene = new_scene(160, 90, 32)
    scene.cycles.use_denoising = True
    scene.view_settings.view_transform, scene.view_settings.look = "AgX", "AgX - Punchy"
    sky(scene, (0.3, 0.25, 0.3), (0.1, 0.2, 0.5), 0.6)
    scene.view_layers[0].use_pass_mist = True
    box("Floor", (10, 8, 0.1), (0, 1, -0.05), material("Floor", Base_Color=(0.1, 0.1, 0.12, 1), Roughness=0.35))
    glow = material("Glow", Emission_Color=(1, 0.3, 0.05, 1), Emission_Strength=14.0)
    ball("Ember", 0.3, (0.9, 0.6, 0.3), glow)
    ball("Ball", 0.55, (-0.4, 0.1, 0.55), material("Ball", Base_Color=(0.1, 0.35, 0.5, 1), Roughness=0.25))
    area_light("Key", (-2.5, -2, 3), (0, 0, 0.4), 1.0, 140)
    camera((0.2, -4.6, 1.5), (0.1, 0.2, 0.5), 45)
    _tree(scene)
    return scene
