# SPDX-License-Identifier: GPL-3.0-or-later
"""Small awkward .blend files for the tests, built by one Blender: `python blender_fixtures.py FOLDER`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import bpy


def scene(*, camera: bool = True) -> Any:
    bpy.ops.wm.read_factory_settings(use_empty=True)
    made = bpy.context.scene
    made.render.engine = "CYCLES"
    made.cycles.samples, made.cycles.use_adaptive_sampling, made.cycles.use_denoising = 4, False, False
    made.render.resolution_x, made.render.resolution_y, made.frame_end = 64, 36, 12
    if camera:
        eye = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
        eye.location, eye.rotation_euler = (0, -9, 2.4), (1.4, 0, 0)
        made.collection.objects.link(eye)
        made.camera = eye
    sun = bpy.data.objects.new("Sun", bpy.data.lights.new("Sun", "SUN"))
    sun.data.energy, sun.rotation_euler = 3, (0.6, 0.3, 0)
    made.collection.objects.link(sun)
    return made


def save(folder: Path, name: str) -> None:
    bpy.ops.wm.save_as_mainfile(filepath=str(folder / f"{name}.blend"), compress=False)


def missing(folder: Path) -> None:
    scene()
    bpy.ops.mesh.primitive_plane_add(size=4)
    made = bpy.data.materials.new("Painted")
    made.use_nodes = True
    texture = made.node_tree.nodes.new("ShaderNodeTexImage")
    image = bpy.data.images.new("paint", 4, 4)
    image.filepath_raw, image.file_format = str(folder / "paint.png"), "PNG"
    image.save()
    texture.image = bpy.data.images.load(str(folder / "paint.png"))
    texture.image.filepath = "//paint.png"
    shader = next(n for n in made.node_tree.nodes if n.bl_idname == "ShaderNodeBsdfPrincipled")
    made.node_tree.links.new(texture.outputs["Color"], shader.inputs["Base Color"])
    bpy.context.object.data.materials.append(made)
    bpy.data.images.remove(image)
    save(folder, "missing")
    (folder / "paint.png").unlink()


def scripted(folder: Path) -> None:
    """A registered text and a driver that would each leave a file behind."""
    made = scene()
    bpy.ops.mesh.primitive_cube_add()
    text = bpy.data.texts.new("startup.py")
    text.write(f"open({str(folder / 'text-ran')!r}, 'w').close()\n")
    text.use_module = True
    driver = made.camera.driver_add("location", 0).driver
    driver.type = "SCRIPTED"
    driver.expression = f"open({str(folder / 'driver-ran')!r}, 'w').close() or 1.0"
    save(folder, "scripted")
    for name in ("text-ran", "driver-ran"):
        (folder / name).unlink(missing_ok=True)


def simulated(folder: Path) -> None:
    """A rigid body, a cloth and a simulation zone, none of them baked."""
    scene()
    bpy.ops.mesh.primitive_plane_add(size=12)
    bpy.ops.rigidbody.object_add(type="PASSIVE")
    bpy.ops.mesh.primitive_cube_add(size=1, location=(-1.5, 0, 2))
    bpy.ops.rigidbody.object_add(type="ACTIVE")
    bpy.ops.mesh.primitive_grid_add(x_subdivisions=8, y_subdivisions=8, size=1.5, location=(1.5, 0, 3))
    bpy.context.object.modifiers.new("Cloth", "CLOTH")
    bpy.ops.mesh.primitive_cube_add(size=0.6, location=(-3, 0, 1))
    tree = bpy.data.node_groups.new("Drift", "GeometryNodeTree")
    for direction in ("INPUT", "OUTPUT"):
        tree.interface.new_socket("Geometry", in_out=direction, socket_type="NodeSocketGeometry")
    kinds = ("NodeGroupInput", "GeometryNodeSimulationInput", "GeometryNodeSetPosition")
    first, enter, move = (tree.nodes.new(kind) for kind in kinds)
    leave, last = tree.nodes.new("GeometryNodeSimulationOutput"), tree.nodes.new("NodeGroupOutput")
    enter.pair_with_output(leave)
    move.inputs["Offset"].default_value = (0.1, 0, 0.05)
    tree.links.new(first.outputs[0], enter.inputs["Geometry"])
    tree.links.new(enter.outputs["Geometry"], move.inputs[0])
    tree.links.new(move.outputs[0], leave.inputs["Geometry"])
    tree.links.new(leave.outputs["Geometry"], last.inputs[0])
    bpy.context.object.name = "Drifter"
    bpy.context.object.modifiers.new("Drift", "NODES").node_group = tree
    save(folder, "simulated")


def border(folder: Path) -> None:
    made = scene()
    bpy.ops.mesh.primitive_monkey_add(size=4)
    made.render.use_border, made.render.use_crop_to_border = True, False
    made.render.border_min_x, made.render.border_max_x = 0.2, 0.7
    made.render.border_min_y, made.render.border_max_y = 0.3, 0.9
    save(folder, "border")


def limited(folder: Path) -> None:
    scene().cycles.time_limit = 30
    save(folder, "limited")


def stereo(folder: Path) -> None:
    made = scene()
    bpy.ops.mesh.primitive_monkey_add(size=4)
    made.render.use_multiview, made.render.views_format = True, "STEREO_3D"
    save(folder, "stereo")


def guided(folder: Path) -> None:
    made = scene()
    bpy.ops.mesh.primitive_monkey_add(size=4)
    made.cycles.use_guiding = True
    save(folder, "guided")


def main(folder: Path) -> None:
    for build in (missing, scripted, simulated, border, limited, stereo, guided):
        build(folder)
    scene(camera=False)
    save(folder, "no_camera")
    whole = (folder / "no_camera.blend").read_bytes()
    (folder / "truncated.blend").write_bytes(whole[: len(whole) // 2])
    (folder / "text.blend").write_bytes(b"not a scene at all")
    mark = b"BLENDER17-01v" if whole.startswith(b"BLENDER17") else b"BLENDER-v"
    (folder / "newer.blend").write_bytes(mark + (b"0907" if b"17" in mark else b"907") + whole[len(mark) + 4 :])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
    os._exit(0)
