"""Runs inside Blender (bpy 4.5 to 5.2, whichever interpreter starts this): uses the add-on as a person does, without a
window. Prints one JSON object with what it saw. Arguments: a JSON object (see test_addon.py)."""

import hashlib
import json
import os
import shutil
import sys
import time
import traceback
from pathlib import Path

import bpy

GIVEN = json.loads(sys.argv[1])
FOLDER = Path(GIVEN["folder"])
SEEN = {"blender": list(bpy.app.version)}


def scene_to_render():
    """A textured monkey whose texture lies beside the file, saved, then changed without being saved."""
    bpy.ops.wm.read_homefile(use_empty=True)
    image = bpy.data.images.new("stripes", 8, 8)
    image.pixels = [value for i in range(64) for value in ((0.9, 0.2, 0.1, 1) if i % 2 else (0.1, 0.3, 0.9, 1))]
    image.file_format = "PNG"
    image.filepath_raw = str(FOLDER / "textures" / "stripes.png")
    image.save()
    bpy.ops.mesh.primitive_monkey_add()
    monkey = bpy.context.object
    material = bpy.data.materials.new("striped")
    material.use_nodes = True
    texture = material.node_tree.nodes.new("ShaderNodeTexImage")
    texture.image = image
    shader = next(node for node in material.node_tree.nodes if node.type == "BSDF_PRINCIPLED")
    material.node_tree.links.new(texture.outputs["Color"], shader.inputs["Base Color"])
    monkey.data.materials.append(material)
    scene = bpy.context.scene

    def add(name, data):
        made = bpy.data.objects.new(name, data)
        scene.collection.objects.link(made)
        return made

    add("Light", bpy.data.lights.new("Light", "SUN")).rotation_euler = (0.6, 0.3, 0)
    camera = add("Camera", bpy.data.cameras.new("Camera"))
    camera.location, camera.rotation_euler, scene.camera = (0, -4, 0), (1.5708, 0, 0), camera
    scene.render.engine, scene.cycles.samples = "CYCLES", 32
    scene.cycles.use_denoising = scene.cycles.use_adaptive_sampling = False
    scene.render.resolution_x, scene.render.resolution_y = 128, 96
    scene.render.resolution_percentage = 100
    scene.frame_end = 2
    blend = FOLDER / "shot one.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(blend))
    bpy.ops.file.make_paths_relative()
    bpy.ops.wm.save_mainfile()
    # What is ordered is what stands in Blender now, not what was saved.
    monkey.rotation_euler = (0, 0, 0.5)
    return scene, blend


def install():
    done = bpy.ops.extensions.package_install_files(
        filepath=GIVEN["zip"], repo="user_default", enable_on_install=True, overwrite=True
    )
    assert done == {"FINISHED"}, done
    name = "bl_ext.user_default.kilnet"
    assert name in bpy.context.preferences.addons, list(bpy.context.preferences.addons.keys())
    chosen = bpy.context.preferences.addons[name].preferences
    chosen.program, chosen.gateway, chosen.key_file = GIVEN["program"], GIVEN["gateway"], GIVEN["key"]
    # A picture as small as a test can afford would not be cut into tiles.
    properties = sys.modules[f"{name}.properties"]
    usual = properties.options
    properties.options = lambda scene: usual(scene) | {"tiles": 4}
    return sys.modules[f"{name}.session"], sys.modules[f"{name}.panel"]


class Watcher:
    """Pumps, as the timer does where there is a window, until a phase is reached; notes the longest that it took."""

    def __init__(self, module):
        self.session, self.phases = module.session, module.Phase
        self.longest, self.progress, self.steps, self.pictures = 0.0, set(), [], []
        show = self.session.show_picture

        def shown(path, frame):
            show(path, frame)
            image = bpy.data.images["kilnet live"]
            pixels = list(image.pixels)
            self.pictures.append(
                [frame, list(image.size), sum(alpha > 0 for alpha in pixels[3::4]) / (len(pixels) / 4)]
            )

        self.session.show_picture = shown

    def until(self, *names, seconds=400, then=lambda: None):
        end = time.monotonic() + seconds
        wanted = {self.phases[name] for name in names}
        while self.session.phase not in wanted:
            begun = time.monotonic()
            self.session.pump()
            self.longest = max(self.longest, time.monotonic() - begun)
            self.progress.add(round(self.session.progress, 2))
            if self.session.step and self.session.step not in self.steps:
                self.steps.append(self.session.step)
            then()
            assert time.monotonic() < end, (self.session.phase, self.session.step, self.session.error)
            failed = self.session.error and self.session.phase not in (self.phases.FOLLOWING, self.phases.ENDED)
            assert not failed or self.session.phase in wanted, (self.session.phase, self.session.error)
            time.sleep(0.05)


def refused(operator, **arguments):
    """What an operator that must not run says."""
    try:
        operator(**arguments)
    except RuntimeError as error:
        return str(error).strip()
    raise AssertionError("it was not refused")


def ordered(watch, chosen, frames):
    chosen.what, chosen.frames = "CHOSEN", frames
    bpy.ops.kilnet.check()
    watch.until("CHECKED")
    bpy.ops.kilnet.quote()
    watch.until("QUOTED")
    SEEN["quote"] = watch.session.quote
    bpy.ops.kilnet.submit()


def whole(watch, scene, blend):
    """Check, quote, order, live pictures, result."""
    chosen = scene.kilnet
    camera, scene.camera = scene.camera, None
    SEEN["no_camera"] = refused(bpy.ops.kilnet.check)
    scene.camera = camera
    bpy.data.images["stripes"].filepath = "//textures/gone.png"
    SEEN["missing"] = refused(bpy.ops.kilnet.check)
    bpy.data.images["stripes"].filepath = "//textures/stripes.png"
    chosen.output_format, before = "PNG", blend.read_bytes()
    ordered(watch, chosen, "1")
    SEEN["notes"] = watch.session.notes
    SEEN["saved_file_untouched"] = bpy.data.filepath == str(blend) and blend.read_bytes() == before
    watch.until("DONE")
    SEEN["steer_when_done"] = bpy.ops.kilnet.steer.poll()
    SEEN["files"] = [
        {**one, "bytes": hashlib.sha256(Path(one["path"]).read_bytes()).hexdigest()} for one in watch.session.files
    ]
    SEEN["report"], SEEN["left_behind"] = watch.session.report, sorted(path.name for path in FOLDER.glob("*.blend*"))
    SEEN["pictures"] = list(watch.pictures)
    result = bpy.data.images["kilnet result"]
    kept = shutil.copy(bpy.path.abspath(result.filepath), FOLDER / "result.png")
    SEEN["result"] = [list(result.size), result.source, str(kept)]


def sequence(watch, scene):
    """Two frames come as a sequence; the first is the preview, and the second is rendered on a word."""
    scene.cycles.samples, scene.render.resolution_x, scene.render.resolution_y = 8, 64, 48
    scene.kilnet.preview, scene.kilnet.preview_every = True, 2
    ordered(watch, scene.kilnet, "1-2")
    SEEN["preview_tiles"] = watch.session.quote["preview_tiles"]
    words = []

    def go_on():
        if watch.session.job.get("state") == "review" and not words:
            words.append(watch.session.job["tiles_passed"])
            bpy.ops.kilnet.steer(verb="approve")

    watch.until("DONE", then=go_on)
    scene.kilnet.preview = False
    SEEN["reviewed"] = words
    result = bpy.data.images["kilnet result"]
    SEEN["sequence"] = [result.source, len([one for one in watch.session.files if one["kind"] == "image"])]


def cancelled(watch, scene, panel):
    """A long job is cancelled while it runs; before that another session follows it."""
    session = watch.session
    scene.cycles.samples, scene.render.resolution_x, scene.render.resolution_y = 4096, 512, 384
    ordered(watch, scene.kilnet, "1")

    def when_running():
        if session.job.get("state") == "running" and "left" not in SEEN:
            SEEN["left"] = True
            # As if Blender were closed and opened again: the job goes on, and is found again.
            session.disconnect()

    watch.until("AWAY", then=when_running)
    bpy.ops.kilnet.connect()
    watch.until("IDLE")
    session.job = {}
    bpy.ops.kilnet.follow()
    asked = []

    def change():
        """Priority and cap; then more than is in escrow, which is refused; then what it is already."""
        held = float(session.job["held_usd"])
        if "changed" not in SEEN:
            SEEN["changed"] = held * 0.9
            bpy.ops.kilnet.change(priority=7, cap=held * 0.9)
        elif session.job["priority"] == 7 and "too_much" not in SEEN:
            SEEN["change"] = [session.job["priority"], session.job["cap_usd"], panel._bounds()]
            SEEN["too_much"] = ""
            SEEN["unchanged"] = sorted(bpy.ops.kilnet.change(priority=7))
            bpy.ops.kilnet.change(cap=held * 2)
        elif "too_much" in SEEN and session.error:
            SEEN["too_much"] = session.error

    def cancel():
        if session.job.get("state") == "running" and not asked and not SEEN.get("too_much"):
            change()
        elif session.job.get("state") == "running" and not asked:
            bpy.ops.kilnet.steer(verb="pause")
            asked.append("pause")
        if session.job.get("state") == "paused" and len(asked) == 1:
            bpy.ops.kilnet.steer(verb="cancel")
            asked.append("cancel")

    watch.until("ENDED", then=cancel)
    SEEN["asked"], SEEN["ended"] = asked, [session.job["state"], session.error]


def main():
    (FOLDER / "textures").mkdir(parents=True, exist_ok=True)
    module, panel = install()
    scene, blend = scene_to_render()
    watch = Watcher(module)
    assert panel.KILNET_PT_render.is_registered
    bpy.ops.kilnet.connect()
    watch.until("IDLE")
    SEEN["about"] = watch.session.about
    whole(watch, scene, blend)
    sequence(watch, scene)
    cancelled(watch, scene, panel)
    SEEN["longest"], SEEN["progress"], SEEN["steps"] = watch.longest, sorted(watch.progress), watch.steps
    bpy.ops.preferences.addon_disable(module="bl_ext.user_default.kilnet")
    SEEN["gone"] = not hasattr(bpy.types.Scene, "kilnet")


try:
    main()
    code = 0
except BaseException:
    SEEN["error"] = traceback.format_exc()
    code = 1
print("\n" + json.dumps(SEEN), flush=True)
# Blender 4.5 does not always end by itself.
os._exit(code)
