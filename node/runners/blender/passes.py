# SPDX-FileCopyrightText: The kilnet authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a pixel of each pass is made, which decides whether sample ranges can be put together again."""

from __future__ import annotations

from typing import Any

from . import features

MEAN = "mean"
"""Linear: the mean over ranges, weighted by their samples."""
FIRST = "first"
"""Only the range with sample 0 has it."""
BY_COLOR = "by_color"
"""Stored divided by the colour pass of the same name: multiplied out, averaged, divided again."""
CRYPTOMATTE = "cryptomatte"
"""Pairs of ID and coverage, ranked by coverage: merged ID by ID."""
UNKNOWN = "unknown"

_FIRST = {"Depth", "Position", "Object Index", "Material Index", "IndexOB", "IndexMA"}
_MEAN = {
    "Combined", "Mist", "Normal", "Vector", "UV", "Emission", "Environment", "Ambient Occlusion", "AO",
    "Diffuse Color", "Glossy Color", "Transmission Color", "Volume Direct", "Volume Indirect",
    "Denoising Albedo", "Denoising Specular Albedo", "Denoising Normal", "Denoising Roughness", "Denoising Depth",
}  # fmt: skip
_SURFACES = {"MESH", "CURVE", "CURVES", "SURFACE", "FONT", "META", "POINTCLOUD", "VOLUME", "GREASEPENCIL"}
_DIVIDED = {f"{lobe} {part}" for lobe in ("Diffuse", "Glossy", "Transmission") for part in ("Direct", "Indirect")}


def split_channel(channel: str, views: list[str]) -> tuple[str, str]:
    """`Layer.Pass[.view].Component` -> (layer, pass); a layer's name may hold dots, a pass's own may not begin it."""
    body = channel.rpartition(".")[0]
    head, _, tail = body.rpartition(".")
    if tail in views and head:
        body = head
    layer, _, name = body.rpartition(".")
    return layer, name


def pass_kinds(scene: Any, channels: list[str], views: list[str]) -> dict[str, str]:
    """The kind of every channel. AOVs and light groups are known by the scene, not by their names."""
    aovs = {layer.name: {aov.name for aov in layer.aovs if aov.is_valid} for layer in scene.view_layers}
    groups = {layer.name: {f"Combined_{g.name}" for g in layer.lightgroups} for layer in scene.view_layers}
    kinds = {}
    for channel in channels:
        layer, name = split_channel(channel, views)
        if name in aovs.get(layer, ()) or name in groups.get(layer, ()) or name in _MEAN:
            kinds[channel] = MEAN
        elif name in _FIRST:
            kinds[channel] = FIRST
        elif name in _DIVIDED:
            kinds[channel] = BY_COLOR
        elif name.startswith(("CryptoObject", "CryptoMaterial", "CryptoAsset")):
            kinds[channel] = CRYPTOMATTE
        else:
            kinds[channel] = UNKNOWN
    return kinds


def colour_channel(channel: str) -> str:
    """The channel a BY_COLOR channel is divided by."""
    for part in (" Direct.", " Indirect."):
        head, found, tail = channel.rpartition(part)
        if found:
            return f"{head} Color.{tail}"
    return channel


def sample_split(scene: Any, kinds: dict[str, str]) -> tuple[bool, str]:
    """(whether a frame may be split by samples, the reason where it may not)."""
    if scene.render.engine != "CYCLES":
        return False, "Only Cycles renders sample ranges."
    if scene.cycles.use_adaptive_sampling:
        return False, "Adaptive sampling decides pixel by pixel how many samples there are."
    if scene.cycles.use_guiding:
        return False, "Path guiding learns from the samples before."
    if scene.cycles.use_layer_samples != "IGNORE" and any(layer.samples for layer in scene.view_layers if layer.use):
        return False, "View layers have sample counts of their own."
    if features.volumes(scene) and not getattr(scene.cycles, "volume_biased", False):
        return False, "Volume sampling learns from the samples before."
    if any(o.is_shadow_catcher and not o.hide_render for o in scene.objects if o.type in _SURFACES):
        return False, "A shadow catcher's pixels are a ratio of sums, which cannot be averaged."
    unknown = sorted({channel.rpartition(".")[0] for channel, kind in kinds.items() if kind == UNKNOWN})
    if unknown:
        return False, f"It is not known how to average {', '.join(unknown)}."
    lone = sorted(c for c, kind in kinds.items() if kind == BY_COLOR and colour_channel(c) not in kinds)
    if lone:
        return False, f"{lone[0]} is stored divided by a colour pass that is not rendered."
    return True, ""
