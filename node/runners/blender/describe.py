# SPDX-FileCopyrightText: The kilnet authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`describe`: what the price, the plan and the proof of a file depend on, and the contract made from it."""

from __future__ import annotations

from typing import Any

import bpy

from . import dependencies, features, passes, protocol, simulations
from .errors import RunnerError
from .messages import sentences
from .render import UNREPEATABLE
from .scene import EEVEE, Scene, choose, raw_settings, samples_of, size, window
from .session import Session, version

MOST_NAMED = 200
"""Longer lists are cut: an answer is one line of at most 1 MiB."""
GUARD_ADAPTIVE, _GUARD_MOST = 4, 64
"""Pixels around a block that its own pixels see; measured, see docs/proof.md."""


def describe(session: Session, request: dict[str, Any]) -> dict[str, Any]:
    """`{blend, overrides?, frame?, allow_missing?}` -> description. Leaves the file to be opened anew.

    `allow_missing: true` takes whatever is missing into the contract's overrides, so that nodes render without it too.
    """
    overrides = dict(request.get("overrides") or {})
    session.open(request["blend"])
    scene = choose(overrides)
    missing = dependencies.missing_files()
    allowed = set(overrides.get("allow_missing") or ())
    refused = [m for m in missing if m["path"] not in allowed]
    if refused and not request.get("allow_missing"):
        raise _missing(refused)
    if missing:
        overrides["allow_missing"] = [m["path"] for m in missing]
    _refuse(scene)
    description = _facts(session, scene) | {"missing_files": missing, "overrides": overrides}
    frame = int(request.get("frame", scene.frame_current))
    try:
        channels = _channels(session, scene, frame)
        kinds = passes.pass_kinds(scene, channels, description["views"])
        split, reason = passes.sample_split(scene, kinds)
    finally:
        session.forget()  # the scene was changed to find out its channels
    description |= {"pass_kinds": kinds, "sample_split_ok": split, "sample_split_reason": reason}
    description |= {
        "contract": _contract(description, channels, overrides),
        "warnings": sentences(description),
    }
    return description


def _missing(missing: list[dict[str, str]]) -> RunnerError:
    first = "; ".join(f"{m['path']} ({m['kind']}, used by {m['used_by'] or 'the file'})" for m in missing[:3])
    more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
    needs = f"The scene needs files that are not with it: {first}{more}."
    text = f"{needs} Pack them (File > External Data) or send them along."
    return RunnerError("missing_file", text, scene_fault=True, missing_files=missing[:MOST_NAMED])


def _refuse(scene: Scene) -> None:
    """What makes a render impossible or unrepeatable."""
    if scene.camera is None:
        cameras = [o.name for o in scene.objects if o.type == "CAMERA"]
        hint = f"choose one of {', '.join(cameras)}" if cameras else "add one"
        raise RunnerError("no_camera", f"Scene {scene.name!r} has no active camera: {hint}.", scene_fault=True)
    engine = scene.render.engine
    if engine not in ("CYCLES", "BLENDER_WORKBENCH", *EEVEE):
        raise RunnerError(
            "unsupported_engine", f"The engine {engine} is not supported: choose Cycles or EEVEE.", scene_fault=True
        )
    if not any(layer.use for layer in scene.view_layers):
        raise RunnerError("no_view_layer", "No view layer is set to be rendered: enable one.", scene_fault=True)
    if engine == "CYCLES" and scene.cycles.time_limit > 0:
        raise RunnerError(
            "time_limit",
            f"Cycles stops after {scene.cycles.time_limit:g} s whatever it has, so no two machines agree: "
            "set Render > Sampling > Time Limit to 0.",
            scene_fault=True,
        )
    fluids = [s for s in simulations.unbaked(scene) if s["kind"] == "fluid"]
    if fluids:
        raise simulations.unbakable(fluids)


def _facts(session: Session, scene: Scene) -> dict[str, Any]:
    r, cycles = scene.render, scene.cycles if scene.render.engine == "CYCLES" else None
    w, h = size(scene)
    sims = simulations.simulations(scene)
    guiding = bool(cycles and cycles.use_guiding and session.device == "CPU")
    freestyle = bool(r.use_freestyle and any(layer["freestyle"] for layer in features.view_layers(scene)))
    lane, lane_reason = _lane(r.engine, guiding, freestyle)
    vols = features.volumes(scene)
    adaptive = bool(cycles and cycles.use_adaptive_sampling)
    guard = 0
    if cycles and not guiding:
        filtered = vols and not getattr(cycles, "volume_biased", False)
        guard = guard_of_volumes(samples_of(scene)) if filtered else GUARD_ADAPTIVE * adaptive
    media = getattr(r.image_settings, "media_type", None)
    return {
        "runtime": "blender",
        "version": version(),
        "saved_version": ".".join(str(n) for n in session.saved_version),
        "engine": r.engine,
        "scenes": [s.name for s in bpy.data.scenes],
        "scene": scene.name,
        "cameras": [o.name for o in scene.objects if o.type == "CAMERA"],
        "camera": scene.camera.name,
        "marker_cameras": sorted({m.camera.name for m in scene.timeline_markers if m.camera}),
        "frame_start": scene.frame_start,
        "frame_end": scene.frame_end,
        "frame_step": scene.frame_step,
        "frame_current": scene.frame_current,
        "fps": round(r.fps / r.fps_base, 4),
        "width": w,
        "height": h,
        "window": list(window(scene)),
        "crop": bool(r.use_border and r.use_crop_to_border),
        "samples": samples_of(scene),
        "seed": int(cycles.seed) if cycles else 0,
        "seed_animated": bool(cycles and cycles.use_animated_seed),
        "adaptive": adaptive,
        "adaptive_threshold": round(cycles.adaptive_threshold, 6) if adaptive and cycles else None,
        "denoise": _denoise(scene),
        "path_guiding": guiding,
        "guiding_varies": bool(guiding and cycles and not getattr(cycles, "use_deterministic_guiding", True)),
        "volumes": vols[:MOST_NAMED],
        "guard": guard,
        "freestyle": freestyle,
        "lane": lane,
        "lane_reason": lane_reason,
        "view_layers": features.view_layers(scene),
        "views": [v.name for v in r.views if v.use] if r.use_multiview else [],
        "motion_blur": bool(r.use_motion_blur),
        "compositor": features.compositor(scene),
        "sequencer_strips": features.sequencer_strips(scene),
        "stamp": bool(r.use_stamp),
        "animated_settings": features.animated_settings(scene),
        "import_nodes": features.unsupported_nodes(),
        "scripts": features.scripts()[:MOST_NAMED],
        "simulations": sims[:MOST_NAMED],
        "needs_bake": any(not s["baked"] for s in sims),
        "color_management": {
            "display": scene.display_settings.display_device,
            "view_transform": scene.view_settings.view_transform,
            "look": scene.view_settings.look,
            "exposure": round(scene.view_settings.exposure, 6),
            "gamma": round(scene.view_settings.gamma, 6),
        },
        "output": {
            "format": r.image_settings.file_format,
            "media": media,
            "movie": bool(r.is_movie_format),
            "color_mode": r.image_settings.color_mode,
            "color_depth": r.image_settings.color_depth,
        },
    }


def guard_of_volumes(samples: int) -> int:
    """Pixels around a block that volumes let its pixels see. Cycles filters what guides volume sampling over the
    neighbours at every doubling of the samples, so each doubling reaches further.

    Smallest band without a differing pixel, in 13 blocks of samples/scenes/volume.blend: 6, 10, 12, 14, 16, 20 px at
    2, 4, 8, 16, 32, 64 samples.
    """
    return min(_GUARD_MOST, 6 + 3 * max(1, samples - 1).bit_length())


def _lane(engine: str, guiding: bool, freestyle: bool) -> tuple[str, str]:
    if engine in EEVEE:
        return "whole", (
            "EEVEE does not repeat in parts: whole frames are redone, to the bit where both machines draw with one "
            "driver, else compared by look, which is a weak proof."
        )
    if engine != "CYCLES":
        return "perceptual", f"{engine} is compared by look with what a second machine renders: a weak proof."
    if freestyle:
        return "whole", "Freestyle lines do not repeat in parts: whole frames are redone."
    if guiding:
        return "whole", "Path guiding learns from neighbouring pixels: a tile is redone as the same rectangle."
    return "exact", "Every 8x8 block can be redone alone, to the bit."


def _denoise(scene: Scene) -> dict[str, Any] | None:
    if scene.render.engine != "CYCLES" or not scene.cycles.use_denoising:
        return None
    c = scene.cycles
    return {
        "denoiser": c.denoiser,
        "input_passes": c.denoising_input_passes,
        "prefilter": c.denoising_prefilter,
        "quality": c.denoising_quality,
    }


def _channels(session: Session, scene: Scene, frame: int) -> list[str]:
    """The names of every channel the raw render has, sorted: found by rendering a few pixels."""
    protocol.current().progress(0.3, "Finding out the passes")
    raw_settings(scene, session.threads, session.device)
    if scene.render.engine == "CYCLES":
        own_samples = scene.cycles.use_layer_samples
        scene.cycles.samples, scene.cycles.use_layer_samples = 1, "IGNORE"
    elif scene.render.engine in EEVEE:
        scene.eevee.taa_render_samples = 1
    session.place(scene, frame, 8, 8)
    names = session.render(scene, (0, 0, 8, 8))
    if scene.render.engine == "CYCLES":
        scene.cycles.use_layer_samples = own_samples
    return sorted(n for n in names if not n.rpartition(".")[0].endswith(UNREPEATABLE))


def _contract(description: dict[str, Any], channels: list[str], overrides: dict[str, Any]) -> dict[str, Any]:
    same = (
        "runtime", "version", "engine", "scene", "camera", "width", "height", "window", "samples", "seed", "adaptive",
        "guard", "views", "lane", "path_guiding", "pass_kinds",
    )  # fmt: skip
    kept = {k: v for k, v in overrides.items() if k != "frames"}
    contract = {name: description[name] for name in same}
    return contract | {"channels": channels, "sample_split": description["sample_split_ok"], "overrides": kept}
