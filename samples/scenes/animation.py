# SPDX-FileCopyrightText: The kilnet authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A second at a potter's wheel: a turning bowl, sparks, a tuft of hair, motion blur: what leaks between frames."""

from __future__ import annotations

import math
from typing import Any

import bpy

from samples.scenes.common import area_light, ball, box, camera, key, lathe, material, new_scene, shader_of, sky

FRAMES = 24


def _hair(item: Any) -> None:
    """Hair on a moving emitter: the first thing to differ when persistent data outlives its frame."""
    system = item.modifiers.new("Tuft", "PARTICLE_SYSTEM").particle_system
    settings = system.settings
    settings.type, settings.count, settings.hair_length, settings.hair_step = "HAIR", 120, 0.16, 3
    settings.render_step = settings.display_step = 3
    settings.material = 2
    system.seed = 7


def build() -> Any:
    scene = new_scene(320, 180, 32)
    scene.frame_end = FRAMES
    scene.render.fps = 24
    scene.render.use_motion_blur = True
    sky(scene, (0.16, 0.13, 0.12), (0.25, 0.35, 0.5), 0.6)
    clay = material("Clay", Base_Color=(0.45, 0.17, 0.08, 1), Roughness=0.45, Coat_Weight=0.4)
    metal = material("Wheel", Base_Color=(0.5, 0.52, 0.55, 1), Metallic=1.0, Roughness=0.25)
    straw = material("Straw", Base_Color=(0.8, 0.62, 0.25, 1), Roughness=0.5)
    stone = material("Floor", Base_Color=(0.16, 0.17, 0.19, 1), Roughness=0.6)
    box("Floor", (14, 14, 0.2), (0, 0, -0.1), stone)
    wheel = lathe("Wheel", [(0, 0), (1.0, 0), (1.04, 0.03), (1.04, 0.1), (1.0, 0.13), (0, 0.13)], metal, turns=32)
    bowl = lathe(
        "Bowl",
        [(0, 0), (0.25, 0), (0.42, 0.1), (0.62, 0.4), (0.66, 0.7), (0.61, 0.7), (0.55, 0.42), (0.35, 0.14), (0, 0.07)],
        clay, at=(0, 0, 0.13), turns=24,
    )  # fmt: skip
    bowl.scale.x = 0.93  # off centre, so that turning shows
    for item in (wheel, bowl):
        item.rotation_mode = "XYZ"
        key(item, "rotation_euler", 1, (0, 0, 0))
        key(item, "rotation_euler", FRAMES, (0, 0, 2.5 * math.pi))
    tuft = ball("Tuft", 0.22, (-1.45, -0.5, 0.3), straw)
    tuft.data.materials.append(straw)
    _hair(tuft)
    key(tuft, "location", 1, (-1.9, -0.9, 0.3))
    key(tuft, "location", FRAMES, (1.3, -1.2, 0.3))
    glow = material("Glow", Base_Color=(1, 0.4, 0.1, 1), Emission_Color=(1, 0.35, 0.06, 1), Emission_Strength=4.0)
    strength = shader_of(glow).inputs["Emission Strength"]
    key(strength, "default_value", 1, 2.0)
    key(strength, "default_value", FRAMES, 8.0)
    for i in range(6):
        angle = i * 2 * math.pi / 6
        spark = ball(f"Spark {i}", 0.06, (0, 0, 0), glow)
        out = 1.5 + 0.2 * (i % 3)
        key(spark, "location", 1 + 2 * i, (0.3 * math.cos(angle), 0.3 * math.sin(angle), 1.1))
        key(spark, "location", 10 + 2 * i, (out * math.cos(angle), out * math.sin(angle), 0.06))
    background = next(n for n in scene.world.node_tree.nodes if n.bl_idname == "ShaderNodeBackground")
    key(background.inputs["Strength"], "default_value", 1, 0.35)
    key(background.inputs["Strength"], "default_value", FRAMES, 0.8)
    area_light("Key", (-2.5, -2.5, 3.5), (0, 0, 0.4), 1.4, 160, (1, 0.92, 0.82))
    area_light("Rim", (2.8, 2.2, 2.4), (0, 0, 0.4), 1.0, 90, (0.6, 0.75, 1))
    eye = camera((0.4, -5.2, 2.2), (0, -0.1, 0.4), 45)
    key(eye, "location", 1, (0.4, -5.2, 2.2))
    key(eye, "location", FRAMES, (-0.5, -5.1, 2.0))
    bpy.context.scene.frame_set(1)
    return scene
