# SPDX-FileCopyrightText: The kilnet authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`assemble`: merged linear passes in, the artist's files out, by Blender's own denoiser, compositor and encoder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy
import numpy as np

from . import denoise, engine, exr, features, protocol
from .errors import RunnerError, request_error
from .render import peak_rss
from .scene import Rect, Scene, set_border
from .session import Session

_DEPTHS = {"PNG": "8", "JPEG": "8", "OPEN_EXR": "32", "OPEN_EXR_MULTILAYER": "32", "TIFF": "16"}


def assemble(session: Session, request: dict[str, Any]) -> dict[str, Any]:
    """`{blend, contract, frame, merged, out_dir, output?}` -> `{"files": [{"path", "kind"}], ...}`.

    `merged` is raw float32 (C, H, W) of the contract's window. Kinds: `linear` (all passes, float32 EXR), `frame` (what
    plain Blender would have written) and `file_output` (what File Output nodes wrote). The file is opened anew then.
    """
    contract = request["contract"]
    frame = int(request["frame"])
    out = _out_dir(session, request)
    window: Rect = tuple(contract["window"])
    planes = _read(Path(request["merged"]), contract["channels"], window)
    linear = out / f"frame_{frame:04d}_linear.exr"
    exr.write_channels(linear, planes)
    try:
        scene = session.open_contract(request["blend"], contract)
        scene.frame_set(frame)
        frames = _finish(session, scene, contract, planes, out / f"frame_{frame:04d}", request.get("output") or {})
    finally:
        session.forget()
    written = [{"path": linear.name, "kind": "linear"}]
    written += [{"path": path.name, "kind": "frame"} for path in frames]
    outputs = sorted(p for p in (out / "file_outputs").rglob("*") if p.is_file())
    written += [{"path": str(p.relative_to(out)), "kind": "file_output"} for p in outputs]
    return {"out_dir": str(out), "files": written, "peak_rss": peak_rss()}


def _out_dir(session: Session, request: dict[str, Any]) -> Path:
    out = (session.scratch / str(request["out_dir"])).resolve()
    if not out.is_relative_to(session.scratch.resolve()):
        raise request_error('"out_dir" must lie in the scratch folder.')
    out.mkdir(parents=True, exist_ok=True)
    return out


def _read(path: Path, channels: list[str], window: Rect) -> exr.Planes:
    shape = (len(channels), window[3] - window[1], window[2] - window[0])
    expected = 4 * int(np.prod(shape, dtype=np.int64))
    if not path.is_file() or path.stat().st_size != expected:
        raise request_error(f'"merged" must hold {expected} bytes: float32 {list(shape)}.')
    data = np.fromfile(path, "<f4").reshape(shape)
    return dict(zip(channels, data, strict=True))


def _finish(
    session: Session, scene: Scene, contract: dict[str, Any], planes: exr.Planes, target: Path, output: dict[str, Any]
) -> list[Path]:
    r = scene.render
    window: Rect = tuple(contract["window"])
    views: list[str] = list(contract.get("views") or ())
    wanted = denoise.plan(scene)
    border, crop, compositing, stamp = r.use_border, r.use_crop_to_border, r.use_compositing, r.use_stamp
    edges = r.border_min_x, r.border_max_x, r.border_min_y, r.border_max_y
    kept = _image_settings(r.image_settings)
    metadata = _cryptomatte(session, scene, contract)
    _quiet(scene)
    engine.use(scene, planes, views, metadata)
    if wanted is not None:
        protocol.current().progress(0.3, "Denoising")
        set_border(scene, window)
        r.use_compositing, r.use_stamp = True, False
        _linear_exr(scene, views)
        clean = denoise.denoise(scene, wanted, planes, views, session.scratch)
        engine.use(scene, clean, views, metadata)
    protocol.current().progress(0.6, "Compositing and encoding")
    r.use_compositing, r.use_stamp = compositing, stamp
    r.use_border, r.use_crop_to_border = border, crop
    r.border_min_x, r.border_min_y, r.border_max_x, r.border_max_y = 0.0, 0.0, 1.0, 1.0
    r.border_min_x, r.border_max_x, r.border_min_y, r.border_max_y = edges
    _restore(r.image_settings, kept)
    _output_format(scene, output)
    _redirect_file_outputs(scene, target.parent / "file_outputs")
    r.filepath = str(target)
    before = set(target.parent.iterdir())
    bpy.ops.render.render(write_still=True, scene=scene.name)
    frames = sorted(p for p in set(target.parent.iterdir()) - before if p.is_file())
    frames = frames or [p for p in target.parent.glob(f"{target.name}.*") if p.is_file()]
    if not frames:
        raise RunnerError("assemble_failed", "Blender wrote no picture.")
    return frames


def _quiet(scene: Scene) -> None:
    """What would draw over passes that already hold it, or needs a device the assembling machine may lack."""
    r = scene.render
    r.use_sequencer = r.use_freestyle = r.use_persistent_data = r.use_placeholder = False
    r.use_overwrite = r.use_file_extension = True
    r.compositor_device = "CPU"
    for item in scene.objects:
        if item.type in {"GREASEPENCIL", "GPENCIL"}:
            item.hide_render = True


_IMAGE_SETTINGS = (
    "media_type", "file_format", "color_mode", "color_depth", "exr_codec", "views_format", "color_management",
    "quality", "compression", "tiff_codec", "use_exr_interleave",
)  # fmt: skip


def _image_settings(image: Any) -> dict[str, Any]:
    return {name: getattr(image, name) for name in _IMAGE_SETTINGS if hasattr(image, name)}


def _restore(image: Any, kept: dict[str, Any]) -> None:
    for name, value in kept.items():  # in order: a format decides which modes and depths there are
        setattr(image, name, value)


def _linear_exr(scene: Scene, views: list[str]) -> None:
    image = scene.render.image_settings
    image.media_type, image.file_format = "IMAGE", "OPEN_EXR"
    image.color_mode, image.color_depth, image.exr_codec = "RGBA", "32", "NONE"
    image.color_management = "FOLLOW_SCENE"
    image.views_format = "MULTIVIEW" if views else "INDIVIDUAL"


def _output_format(scene: Scene, output: dict[str, Any]) -> None:
    """The scene's own still format, the one asked for, or PNG where the scene would write a video."""
    image = scene.render.image_settings
    wanted = output.get("format") or ("PNG" if scene.render.is_movie_format else None)
    if wanted is None:
        return
    mode = image.color_mode
    try:
        image.media_type = "MULTI_LAYER_IMAGE" if wanted == "OPEN_EXR_MULTILAYER" else "IMAGE"
        image.file_format = wanted
        image.color_depth = str(output.get("depth") or _DEPTHS.get(wanted, image.color_depth))
        image.color_mode = output.get("mode") or (mode if wanted != "JPEG" else "RGB")
    except TypeError as error:
        raise request_error(f"Blender cannot write {output}: {error}") from None


def _redirect_file_outputs(scene: Scene, folder: Path) -> None:
    """File Output nodes write into `folder/NODE/` instead of wherever the artist's machine had room."""
    for node in features.compositor_nodes(features.compositor_tree(scene)):
        if node.bl_idname != "CompositorNodeOutputFile":
            continue
        place = folder / "".join(c if c.isalnum() or c in "-_" else "_" for c in node.name)
        place.mkdir(parents=True, exist_ok=True)
        if hasattr(node, "directory"):
            node.directory = str(place)
            node.file_name = Path(node.file_name).name
            items, key = node.file_output_items, "name"
        else:
            node.base_path = str(place)
            items, key = node.file_slots, "path"
        for item in items:
            if ".." in getattr(item, key):
                setattr(item, key, getattr(item, key).replace("..", "_"))


def _cryptomatte(session: Session, scene: Scene, contract: dict[str, Any]) -> dict[str, str]:
    """Cryptomatte's names and manifest, which only Cycles can write: taken from a render of a few pixels."""
    if scene.render.engine != "CYCLES" or not any(".Crypto" in channel for channel in contract["channels"]):
        return {}
    return session.cryptomatte_metadata(scene)
