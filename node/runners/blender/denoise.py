# SPDX-FileCopyrightText: The kilnet authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Denoising the merged passes as Cycles would: the compositor's Denoise node is the same filter on the same inputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy
import numpy as np

from . import engine, exr
from .errors import RunnerError

Plan = dict[str, Any]
"""`{"layers", "inputs", "prefilter", "quality"}`, read before the engine is changed."""


def plan(scene: Any) -> Plan | None:
    """What the scene denoises, or None."""
    if scene.render.engine != "CYCLES" or not scene.cycles.use_denoising:
        return None
    layers = [layer.name for layer in scene.view_layers if layer.use and layer.cycles.use_denoising]
    if not layers:
        return None
    c = scene.cycles
    return {
        "layers": layers,
        "inputs": c.denoising_input_passes,
        "prefilter": c.denoising_prefilter.capitalize(),
        "quality": c.denoising_quality.capitalize(),
    }


def denoise(scene: Any, wanted: Plan, planes: exr.Planes, views: list[str], scratch: Path) -> exr.Planes:
    """The merged planes with Combined (and Shadow Catcher) denoised; the noisy ones keep Cycles' names for them.

    The scene must already render through the assembling engine, cropped to its window.
    """
    result = dict(planes)
    for layer in wanted["layers"]:
        present = engine.passes_of(layer, tuple(views), planes)
        for source, noisy in (("Combined", "Noisy Image"), ("Shadow Catcher", "Noisy Shadow Catcher")):
            if source not in present:
                continue
            clean = _run(scene, wanted, layer, source, scratch, views)
            for view in views or [""]:
                infix = f".{view}" if view else ""
                for component in present[source]:
                    key = f"{layer}.{source}{infix}.{component}"
                    result[f"{layer}.{noisy}{infix}.{component}"] = planes[key]
                    if component != "A":
                        result[key] = clean[view, component]
    return result


def _run(
    scene: Any, wanted: Plan, layer: str, source: str, scratch: Path, views: list[str]
) -> dict[tuple[str, str], np.ndarray[Any, np.dtype[np.float32]]]:
    tree = bpy.data.node_groups.new("kilnet denoise", "CompositorNodeTree")
    previous = scene.compositing_node_group
    target = scratch / "denoised.exr"
    try:
        _build(tree, scene, wanted, layer, source)
        scene.compositing_node_group = tree
        scene.render.filepath = str(target)
        bpy.ops.render.render(write_still=True, scene=scene.name)
        if not target.exists():
            raise RunnerError("assemble_failed", f"Blender did not denoise layer {layer!r}.")
        planes = exr.read_channels(target)
    finally:
        scene.compositing_node_group = previous
        bpy.data.node_groups.remove(tree)
        target.unlink(missing_ok=True)
    found = {}
    for name, plane in planes.items():
        *path, component = name.split(".")
        view = next((v for v in views if v in path), "") if views else ""
        found[view, component] = plane
    return found


def _build(tree: Any, scene: Any, wanted: Plan, layer: str, source: str) -> None:
    tree.interface.new_socket("Image", in_out="OUTPUT", socket_type="NodeSocketColor")
    layers = tree.nodes.new("CompositorNodeRLayers")
    layers.scene, layers.layer = scene, layer
    node = tree.nodes.new("CompositorNodeDenoise")
    out = tree.nodes.new("NodeGroupOutput")
    sockets = {socket.name: socket for socket in layers.outputs}
    tree.links.new(sockets["Image" if source == "Combined" else source], node.inputs["Image"])
    if "ALBEDO" in wanted["inputs"]:
        tree.links.new(sockets["Denoising Albedo"], node.inputs["Albedo"])
    if "NORMAL" in wanted["inputs"]:
        tree.links.new(sockets["Denoising Normal"], node.inputs["Normal"])
    node.inputs["Prefilter"].default_value = wanted["prefilter"]
    node.inputs["Quality"].default_value = wanted["quality"]
    node.inputs["HDR"].default_value = True
    tree.links.new(node.outputs[0], out.inputs[0])
