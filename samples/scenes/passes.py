# SPDX-FileCopyrightText: The kilnet authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every kind of pass: two view layers, light passes, Cryptomatte, AOVs, light groups, indices, mist, UV, denoised."""

from __future__ import annotations

from typing import Any

import bpy

from samples.scenes.common import area_light, ball, box, camera, material, new_scene, sky

_LAYER = (
    "z", "mist", "position", "normal", "vector", "uv", "object_index", "material_index", "diffuse_direct",
    "diffuse_indirect", "diffuse_color", "glossy_direct", "glossy_indirect", "glossy_color", "transmission_direct",
    "transmission_indirect", "transmission_color", "emit", "environment", "ambient_occlusion", "cryptomatte_object",
    "cryptomatte_material", "cryptomatte_asset",
)  # fmt: skip


def _aov(made: Any) -> None:
    """Write the object's generated coordinates and a value into AOVs."""
    tree = made.node_tree
    place = tree.nodes.new("ShaderNodeTexCoord")
    for name, socket in (("Place", "Color"), ("Amount", "Value")):
        out = tree.nodes.new("ShaderNodeOutputAOV")
        out.aov_name = name
        if socket == "Color":
            tree.links.new(place.outputs["Generated"], out.inputs["Color"])
        else:
            out.inputs["Value"].default_value = 0.625


def build() -> Any:
    scene = new_scene(160, 90, 16)
    scene.render.film_transparent = True
    scene.render.image_settings.color_mode = "RGBA"
    sky(scene, (0.5, 0.45, 0.4), (0.3, 0.5, 0.9), 0.7)
    red = material("Red", Base_Color=(0.7, 0.08, 0.05, 1), Roughness=0.4)
    glass = material("Glass", Base_Color=(0.9, 1, 0.95, 1), Roughness=0.05, Transmission_Weight=1.0)
    gold = material("Gold", Base_Color=(1, 0.7, 0.3, 1), Metallic=1.0, Roughness=0.25)
    floor = material("Floor", Base_Color=(0.35, 0.35, 0.38, 1), Roughness=0.7)
    lamp = material("Lamp", Emission_Color=(0.4, 0.7, 1, 1), Emission_Strength=6.0)
    for i, (name, made) in enumerate((("Red", red), ("Glass", glass), ("Gold", gold))):
        item = ball(f"{name} ball", 0.5, (1.15 * (i - 1), 0.2 * i, 0.5), made)
        item.pass_index, made.pass_index = i + 1, 10 + i
    back = bpy.data.collections.new("Back")
    scene.collection.children.link(back)
    ground = box("Floor", (6, 4, 0.1), (0, 0.6, -0.05), floor)
    panel = box("Panel", (0.8, 0.1, 0.8), (1.4, 1.6, 0.9), lamp, turn=-0.4)
    for item in (ground, panel):
        scene.collection.objects.unlink(item)
        back.objects.link(item)
    panel.lightgroup = "panel"
    keylight = area_light("Key", (-2, -2.5, 3), (0, 0, 0.4), 1.2, 180)
    keylight.lightgroup = "key"
    camera((0.3, -4.4, 1.7), (0.05, 0.2, 0.45), 45, f_stop=1.2)
    _aov(red)
    _aov(floor)
    front = scene.view_layers[0]
    front.name = "Front"
    whole = scene.view_layers.new("All")
    front.layer_collection.children["Back"].holdout = True
    for layer in (front, whole):
        for name, kind in (("Place", "COLOR"), ("Amount", "VALUE")):
            aov = layer.aovs.add()
            aov.name, aov.type = name, kind
        for group in ("key", "panel"):
            layer.lightgroups.add(name=group)
    for name in _LAYER:
        setattr(whole, f"use_pass_{name}", True)
    whole.cycles.use_pass_volume_direct = whole.cycles.use_pass_volume_indirect = True
    whole.cycles.denoising_store_passes = True
    front.use_pass_z = front.use_pass_cryptomatte_object = True
    return scene
