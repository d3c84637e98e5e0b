"""Builds a .blend without any script in it whose picture shows the text of a file on the machine that renders it.

Run with bpy: `python scene_that_reads_files.py FILE_TO_SHOW OUT.blend`, or `python scene_that_reads_files.py --render
IN.blend OUT_FOLDER`, which renders it to raw float32 pixels in OUT_FOLDER/pixels.
"""

import sys
from pathlib import Path

import bpy


def build(shown: str, out: str) -> None:
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    tree = bpy.data.node_groups.new("letters", "GeometryNodeTree")
    tree.interface.new_socket("Geometry", in_out="OUTPUT", socket_type="NodeSocketGeometry")
    kinds = ("ImportText", "StringToCurves", "RealizeInstances", "FillCurve")
    read, *chain = [tree.nodes.new(f"GeometryNode{kind}") for kind in kinds]
    read.inputs[0].default_value = shown
    end = tree.nodes.new("NodeGroupOutput")
    for source, target in zip([read, *chain], [*chain, end], strict=True):
        tree.links.new(source.outputs[0], target.inputs[0])
    letters = bpy.data.objects.new("letters", bpy.data.meshes.new("letters"))
    letters.modifiers.new("letters", "NODES").node_group = tree
    lens = bpy.data.cameras.new("camera")
    lens.type, lens.ortho_scale = "ORTHO", 12
    camera = bpy.data.objects.new("camera", lens)
    camera.location = (5, 0, 10)
    for thing in (letters, camera):
        scene.collection.objects.link(thing)
    scene.camera = camera
    scene.world = bpy.data.worlds.new("bright")
    scene.world.color = (1, 1, 1)
    scene.render.engine = "CYCLES"
    scene.cycles.samples = 4
    scene.cycles.max_bounces = 0  # the letters stay black before a bright world
    scene.render.resolution_x, scene.render.resolution_y = 160, 32
    bpy.ops.wm.save_as_mainfile(filepath=out)


def render(scene_file: str, folder: str) -> None:
    bpy.ops.wm.open_mainfile(filepath=scene_file)
    scene = bpy.context.scene
    scene.render.threads_mode, scene.render.threads = "FIXED", 1
    scene.render.image_settings.file_format = "OPEN_EXR"
    scene.render.filepath = f"{folder}/picture.exr"
    bpy.ops.render.render(write_still=True)
    picture = bpy.data.images.load(f"{folder}/picture.exr")
    import numpy as np

    pixels = np.empty(len(picture.pixels), np.float32)
    picture.pixels.foreach_get(pixels)
    Path(folder, "pixels").write_bytes(pixels.tobytes())


if __name__ == "__main__":
    if sys.argv[1] == "--render":
        render(*sys.argv[2:4])
    else:
        build(*sys.argv[1:3])
