# SPDX-FileCopyrightText: The kilnet authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs inside Blender, as a program of its own: what does this scene read, and where does it go in the pack?

Argument: a JSON file {blend, staging, answer}. Writes `answer`, a JSON file:

    {"main": path in the pack, "files": [{"path": in the pack, "source": on disk, "rewritten": bool}],
     "missing": [{"path": as stored, "used_by": name, "kind": word}], "version": [5, 2, 3]}   or   {"error": line}

The Blender Asset Tracer finds the files and rewrites paths. Added to it here: image sequences and caches that are
numbered (Blender reports only one file of each), and which missing file a render would miss.
"""

import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import Any

import bpy
from blender_asset_tracer import file_usage, path_rewriting
from blender_asset_tracer.path_rewriting_models import RewriteRequest

_NOT_RENDERED = {"SCREEN", "WORKSPACE", "WINDOWMANAGER", "BRUSH", "PALETTE", "LIBRARY"}
_UDIM = re.compile(r"<UDIM>|<UVTILE>", re.IGNORECASE)


def trace(blend: Path, staging: Path) -> dict[str, Any]:
    """The answer (see above) for `blend`."""
    try:
        bpy.ops.wm.open_mainfile(filepath=str(blend), load_ui=False, use_scripts=False)
    except RuntimeError as error:
        return {"error": str(error).removeprefix("Error: ").strip().splitlines()[0]}
    missing = list(_missing_files())
    repo = file_usage.dependencies_of_current_blendfile(_project(blend))
    files, rewrites = [], []
    siblings = _numbered_siblings()
    for source, info in repo.file_infoes.items():
        place = info.relpath_in_pack
        if place is None or _own(source):
            continue
        numbered = [(path, place.with_name(path.name)) for path in siblings.get(source, ())]
        for path, target in [(source, place), *numbered]:
            if path.is_file():
                files.append({"path": target.as_posix(), "source": str(path), "rewritten": False})
        if info.needs_path_rewriting and source.is_file():
            rewrites.append((source, info))
    main = repo.source_file_info().relpath_in_pack
    assert main is not None
    by_path = {file["path"]: file for file in files}
    for number, (source, info) in enumerate(rewrites):
        assert info.relpath_in_pack is not None
        target = staging / "rewritten" / f"{number}.blend"
        _rewrite(source, PurePath(info.relpath_in_pack), info.rewrite_rules, target, repo.root_path)
        by_path[info.relpath_in_pack.as_posix()].update(source=str(target), rewritten=True)
    return {
        "main": main.as_posix(),
        "files": list(by_path.values()),
        "missing": missing,
        "version": list(bpy.app.version),
    }


def _rewrite(source: Path, place: PurePath, rules: Any, target: Path, root: Path) -> None:
    request = RewriteRequest(
        blendfile=source, relpath_in_root=place, rewrite_rules=rules, save_to=target, pack_source_root=root
    )
    path_rewriting.rewrite_file(request)


def _project(blend: Path) -> Path:
    """The folder below which the pack keeps everything as it is on disk: the deepest that holds the scene and all that
    is reached by relative paths. So a texture three folders above needs no rewritten scene: the artist's bytes travel.
    """
    repo = file_usage.dependencies_of_current_blendfile(blend.parent)
    relative = {file_usage.PathType.RELATIVE, file_usage.PathType.RELATIVE_LIBRARY}
    folders = [blend.parent]
    for source, info in repo.file_infoes.items():
        if source.is_file() and not _own(source) and set(info.references.values()) & relative:
            folders.append(source.parent)
    common = Path(os.path.commonpath(folders))
    # The whole disk or all homes say too much about this machine: there, paths are rewritten instead.
    return blend.parent if len(common.parts) < 3 or common == Path.home() else common


def _own(path: Path) -> bool:
    """Whether a file belongs to Blender's own install, which every worker has."""
    roots = {bpy.utils.resource_path("LOCAL"), bpy.utils.resource_path("SYSTEM")}
    return any(root and path.resolve().is_relative_to(Path(root).resolve()) for root in roots)


def _numbered(path: Path) -> list[Path]:
    """The files of the sequence that `path` (there or not) names: same text around its last number."""
    match = re.search(r"(\d+)(\D*)$", path.name)
    if match is None or not path.parent.is_dir():
        return []
    pattern = re.compile(re.escape(path.name[: match.start()]) + r"\d+" + re.escape(match[2]))
    return sorted(other for other in path.parent.iterdir() if pattern.fullmatch(other.name) and other.is_file())


def _numbered_siblings() -> dict[Path, list[Path]]:
    """By the file that Blender names: the other files of its image sequence, volume sequence or cache sequence."""
    found: dict[Path, list[Path]] = {}
    blocks = [image for image in bpy.data.images if image.source == "SEQUENCE" and not image.packed_files]
    blocks += [volume for volume in bpy.data.volumes if volume.is_sequence and volume.packed_file is None]
    blocks += [cache for cache in bpy.data.cache_files if cache.is_sequence]
    for block in blocks:
        head = file_usage.path_absolute(block.filepath, library=block.library)
        found[head] = [path for path in _numbered(head) if path != head]
    return found


def _missing_files() -> Iterator[dict[str, str]]:
    """What a render would read and this disk does not have; not what only the user interface, or nothing, uses."""
    wanted: dict[str, dict[str, str]] = {}

    def visit(owner: Any, stored: str, _: Any) -> None:
        path = file_usage.path_absolute(stored, library=owner.library)
        if not stored or _own(path) or _is_there(path, owner) or not _is_rendered(owner, stored):
            return
        kind = "library" if owner.id_type == "LIBRARY" else owner.id_type.lower().replace("_", " ")
        wanted.setdefault(stored, {"path": stored, "kind": kind, "used_by": _owner_name(owner)})

    bpy.data.file_path_foreach(visit)
    yield from wanted.values()


def _is_there(path: Path, owner: Any) -> bool:
    if path.exists():
        return True
    if _UDIM.search(path.name) and owner.id_type == "IMAGE":
        return all(_tile_path(path, tile.number).exists() for tile in owner.tiles)
    if getattr(owner, "source", "") == "SEQUENCE" or getattr(owner, "is_sequence", False):
        return bool(_numbered(path))
    return False


def _tile_path(path: Path, number: int) -> Path:
    u, v = (number - 1001) % 10 + 1, (number - 1001) // 10 + 1
    name = path.name.replace("<UDIM>", str(number)).replace("<UVTILE>", f"u{u}_v{v}")
    return path.with_name(name)


def _is_rendered(owner: Any, stored: str) -> bool:
    if owner.id_type == "LIBRARY":
        return bool(file_usage.library_is_packable_dependency(owner))
    if owner.id_type == "SOUND":
        return False
    if owner.id_type == "OBJECT":
        return _cache_is_needed(owner, stored)
    if owner.id_type == "SCENE":
        return True
    if owner.users <= int(owner.use_fake_user):
        return False
    return any(user.id_type not in _NOT_RENDERED for user in bpy.data.user_map(subset=[owner])[owner])


def _cache_is_needed(owner: Any, stored: str) -> bool:
    """A cache folder that Blender would fill while it renders is not missing; one that was to be baked is."""
    for modifier in owner.modifiers:
        domain = getattr(modifier, "domain_settings", None) if modifier.type == "FLUID" else None
        if domain is not None:
            if domain.cache_directory == stored:
                return bool(domain.cache_type != "REPLAY")
            if stored.startswith("//blendcache_"):
                return False
        if getattr(modifier, "filepath", None) == stored:
            return bool(modifier.show_render)
    caches = [system.point_cache for system in owner.particle_systems]
    caches += [modifier.point_cache for modifier in owner.modifiers if getattr(modifier, "point_cache", None)]
    if any(cache.use_external and cache.filepath == stored for cache in caches):
        return True
    return any(cache.use_disk_cache and cache.is_baked for cache in caches)


def _owner_name(owner: Any) -> str:
    if owner.id_type in ("LIBRARY", "OBJECT", "SCENE"):
        return str(owner.name)
    users = bpy.data.user_map(subset=[owner])[owner]
    names = sorted(user.name for user in users if user.id_type not in _NOT_RENDERED)
    return ", ".join(names[:3]) or str(owner.name)


def main() -> None:
    arguments = sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else sys.argv[1:]
    request = json.loads(Path(arguments[0]).read_text())
    answer = trace(Path(request["blend"]), Path(request["staging"]))
    written = Path(request["answer"])
    aside = written.with_suffix(".part")
    aside.write_text(json.dumps(answer))
    aside.replace(written)
    # Some scenes crash or hang Blender as it ends; the answer is given.
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
