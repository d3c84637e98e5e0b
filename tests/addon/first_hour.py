"""Runs inside Blender: docs/first-hour.md, steps 3 and 4, button after button, with what a person sees and when.

kilnet up --nodes 2 &
make addon
.venv/bin/python tests/addon/first_hour.py dist/kilnet-addon-0.1.0.zip .venv/bin/kilnet FOLDER
"""

import os
import sys
import time
from pathlib import Path

import bpy

ZIP, PROGRAM, FOLDER = sys.argv[1], str(Path(sys.argv[2]).absolute()), Path(sys.argv[3])
FOLDER.mkdir(parents=True, exist_ok=True)
T0 = time.monotonic()


def say(*words):
    print(f"[{time.monotonic() - T0:6.1f} s]", *words, flush=True)


bpy.ops.wm.read_homefile(use_empty=False)  # Blender's own start: cube, camera, light
bpy.ops.mesh.primitive_monkey_add(location=(0, 0, 1.8))
scene = bpy.context.scene
scene.render.engine = "CYCLES"
scene.cycles.samples = 64
scene.cycles.use_adaptive_sampling = False
scene.render.resolution_x, scene.render.resolution_y, scene.render.resolution_percentage = 640, 360, 100
scene.frame_end = 1
bpy.ops.wm.save_as_mainfile(filepath=str(FOLDER / "mine.blend"))
print(bpy.app.version_string)
done = bpy.ops.extensions.package_install_files(
    filepath=ZIP, repo="user_default", enable_on_install=True, overwrite=True
)
say("Install from Disk:", done)
name = "bl_ext.user_default.kilnet"
bpy.context.preferences.addons[name].preferences.program = PROGRAM
module = sys.modules[f"{name}.session"]
session, phases = module.session, module.Phase
show = session.show_picture


def on(path, frame):
    show(path, frame)
    say("live picture of frame", frame, "-", session.seen)


session.show_picture = on


def until(*names):
    told = ""
    wanted = {phases[name] for name in names}
    while session.phase not in wanted:
        session.pump()
        if session.step and session.step != told:
            told = session.step
            say(told)
        if session.error and session.phase in (phases.IDLE, phases.AWAY):
            say("ERROR", session.error)
            sys.exit(1)
        time.sleep(0.05)


bpy.ops.kilnet.connect()
until("IDLE")
say("Connect:", {k: session.about[k] for k in ("gateway", "account", "nodes_online") if k in session.about})
scene.kilnet.output_format = "PNG"
bpy.ops.kilnet.check()
until("CHECKED")
say("Check: notes", session.notes)
bpy.ops.kilnet.quote()
until("QUOTED")
say(
    "Get a quote:",
    {k: session.quote[k] for k in ("price_usd", "cap_usd", "tiles", "lane", "proven")},
    f"about {session.quote['expected_seconds']:.0f} s",
)
bpy.ops.kilnet.submit()
until("DONE", "ENDED")
say("Render:", session.job.get("state"), session.error)
say("files:", [os.path.relpath(f["path"], FOLDER) for f in session.files])
say(
    "report:",
    {k: session.report.get(k) for k in ("state", "tiles", "cells_audited", "price_usd", "burned", "settlement_tx")},
)
os._exit(0)
