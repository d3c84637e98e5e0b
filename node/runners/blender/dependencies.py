# SPDX-FileCopyrightText: The kilnet authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files a scene reads and does not have. Blender renders without them (magenta, exit code 0): look first.

Not counted: what is packed, what only the user interface shows, sounds, and Blender's own files.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import bpy

_NOT_RENDERED = {"SCREEN", "WORKSPACE", "WINDOWMANAGER", "BRUSH", "PALETTE", "LIBRARY"}
_IMPORT_NODES = "GeometryNodeImport"
_MOST_FRAMES = 10_000


def missing_files() -> list[dict[str, str]]:
    """`[{"path": as stored in the file, "kind": ..., "used_by": ...}]`, each path once, sorted."""
    own = Path(bpy.utils.resource_path("LOCAL")).resolve()
    found: dict[str, dict[str, str]] = {}
    for stored, library, kind, owner in _references():
        path = Path(bpy.path.abspath(stored, library=library)).resolve()
        if stored and not path.is_relative_to(own) and not path.exists():
            found.setdefault(stored, {"path": stored, "kind": kind, "used_by": owner})
    return sorted(found.values(), key=lambda m: m["path"])


Reference = tuple[str, Any, str, str]
"""Stored path, the library it is relative to (None: the main file), kind, who uses it."""


def _references() -> Iterator[Reference]:
    for library in bpy.data.libraries:
        if not (getattr(library, "packed_file", None) or getattr(library, "is_archive", False)):
            yield library.filepath, None, "library", library.name
    for image in _rendered(bpy.data.images):
        if image.source in {"FILE", "SEQUENCE", "MOVIE", "TILED"} and not image.packed_files:
            for path in _image_paths(image):
                yield path, image.library, "image", _user_names(image)
    for font in _rendered(bpy.data.fonts):
        if font.filepath not in ("", "<builtin>") and font.packed_file is None:
            yield font.filepath, font.library, "font", _user_names(font)
    for clip in _rendered(bpy.data.movieclips):
        yield clip.filepath, clip.library, "movie clip", _user_names(clip)
    for volume in _rendered(bpy.data.volumes):
        if volume.packed_file is None:
            yield volume.filepath, volume.library, "volume", _user_names(volume)
    for cache in _rendered(bpy.data.cache_files):
        yield cache.filepath, cache.library, "cache", _user_names(cache)
    yield from _modifier_files()
    for tree, owner in node_trees():
        for node in tree.nodes:
            path, kind = _node_file(node)
            if path:
                yield path, owner.library, kind, owner.name


def _rendered(blocks: Iterable[Any]) -> Iterator[Any]:
    """The data-blocks that something renderable uses."""
    used = [b for b in blocks if b.users > int(b.use_fake_user)]
    if used:
        users = bpy.data.user_map(subset=used)
        for block in used:
            if any(user.id_type not in _NOT_RENDERED for user in users[block]):
                yield block


def _user_names(block: Any) -> str:
    users = bpy.data.user_map(subset=[block])[block]
    names = sorted(user.name for user in users if user.id_type not in _NOT_RENDERED)
    return ", ".join(names[:4])


def _image_paths(image: Any) -> Iterator[str]:
    path = image.filepath
    if image.source == "TILED":
        for tile in image.tiles:
            u, v = (tile.number - 1001) % 10, (tile.number - 1001) // 10
            yield path.replace("<UDIM>", str(tile.number)).replace("<UVTILE>", f"u{u + 1}_v{v + 1}")
    elif image.source == "SEQUENCE":
        yield from _sequence_paths(image)
    else:
        yield path


def _sequence_paths(image: Any) -> Iterator[str]:
    """One path for each frame that the scenes' frame ranges ask of an image sequence."""
    match = re.search(r"(\d+)(\D*)$", image.filepath)
    if match is None:
        yield image.filepath
        return
    numbers: set[int] = set()
    for tree, _ in node_trees():
        for node in tree.nodes:
            if getattr(node, "image", None) == image:
                numbers |= _sequence_numbers(getattr(node, "image_user", node))
    if not numbers:
        yield image.filepath
    for number in sorted(numbers)[:_MOST_FRAMES]:
        yield f"{image.filepath[: match.start()]}{number:0{len(match[1])}d}{match[2]}"


def _sequence_numbers(user: Any) -> set[int]:
    numbers = set()
    length = max(1, user.frame_duration)
    for scene in bpy.data.scenes:
        for frame in range(scene.frame_start, min(scene.frame_end, scene.frame_start + _MOST_FRAMES) + 1):
            local = frame - user.frame_start + 1
            local = (local - 1) % length + 1 if user.use_cyclic else min(max(local, 1), length)
            numbers.add(local + user.frame_offset)
    return numbers


def node_trees() -> Iterator[tuple[Any, Any]]:
    """Every node tree of the file with the data-block it belongs to."""
    owners = (bpy.data.materials, bpy.data.worlds, bpy.data.lights, bpy.data.linestyles, bpy.data.textures)
    for blocks in owners:
        for block in blocks:
            if block.node_tree is not None:
                yield block.node_tree, block
    for group in bpy.data.node_groups:
        yield group, group
    for scene in bpy.data.scenes:
        tree = getattr(scene, "node_tree", None) if bpy.app.version < (5, 0, 0) else None
        if tree is not None:
            yield tree, scene


def _node_file(node: Any) -> tuple[str, str]:
    if node.bl_idname in {"ShaderNodeTexIES", "ShaderNodeScript"} and node.mode == "EXTERNAL":
        return node.filepath, "IES profile" if node.bl_idname == "ShaderNodeTexIES" else "shader script"
    if node.bl_idname.startswith(_IMPORT_NODES):
        socket = next((s for s in node.inputs if s.name == "Path"), None)
        if socket is not None and not socket.is_linked:
            return socket.default_value, "imported file"
    return "", ""


def _modifier_files() -> Iterator[Reference]:
    for item in bpy.data.objects:
        for modifier in item.modifiers:
            external = (
                modifier.type == "MESH_CACHE"
                or (modifier.type == "MULTIRES" and modifier.is_external)
                or (modifier.type == "OCEAN" and modifier.is_cached)
            )
            if external and modifier.show_render and modifier.filepath:
                yield modifier.filepath, item.library, "cache", f"{item.name}, {modifier.name}"
        for system in item.particle_systems:
            cache = system.point_cache
            if cache.use_external and cache.filepath:
                yield cache.filepath, item.library, "cache", f"{item.name}, {system.name}"
