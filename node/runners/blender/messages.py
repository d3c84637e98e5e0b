# SPDX-FileCopyrightText: The kilnet authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sentences for the artist: what will come out differently, or will not happen at all."""

from __future__ import annotations

from typing import Any


def sentences(d: dict[str, Any]) -> list[str]:
    """Warnings about a description, the gravest first."""
    found = []
    if d["missing_files"]:
        names = _list([m["path"] for m in d["missing_files"]])
        found.append(f"Rendered without {names}: missing textures show as magenta.")
    unbaked = [f"{s['object']} ({s['kind']})" for s in d["simulations"] if not s["baked"]]
    if unbaked:
        found.append(f"Simulations are baked first, once, and every machine uses that bake: {_list(unbaked)}.")
    if d["scripts"]:
        found.append(f"Scripts and scripted drivers do not run: {_list(d['scripts'])}.")
    if d["import_nodes"]:
        found.append(f"Import nodes only see the files sent with the scene: {_list(d['import_nodes'])}.")
    if d["sequencer_strips"]:
        found.append(
            f"The 3D scene is rendered, not the video sequencer; strips left out: {_list(d['sequencer_strips'])}."
        )
    others = d["compositor"]["other_scenes"]
    if others:
        found.append(f"The compositor uses other scenes, rendered whole for each frame: {_list(others)}.")
    if d["animated_settings"]:
        found.append(f"Animated render settings follow the animation: {_list(d['animated_settings'])}.")
    if d["output"]["movie"]:
        found.append("The output is set to a video; frames are delivered as PNG images.")
    if d["guiding_varies"]:
        found.append("Path guiding is set to differ from render to render; here it is deterministic.")
    if d["lane"] != "exact":
        found.append(d["lane_reason"])
    if d["volumes"] and d["guard"]:
        found.append(f"Volumes make each check cost more, {d['guard']} px more on every side: {_list(d['volumes'])}.")
    if d["stamp"]:
        found.append("Metadata is burned into the picture; its date and render time are those of the assembly.")
    if len(d["scenes"]) > 1:
        found.append(f"The file has {len(d['scenes'])} scenes; {d['scene']!r} is rendered.")
    if d["saved_version"].split(".")[:2] != d["version"].split(".")[:2]:
        found.append(f"Saved by Blender {d['saved_version']}, rendered by {d['version']}: pictures can differ.")
    return found


def _list(names: list[str]) -> str:
    head = ", ".join(names[:5])
    return head if len(names) <= 5 else f"{head} and {len(names) - 5} more"
