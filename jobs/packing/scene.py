"""A scene with all that it needs, ready to be uploaded."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from jobs.errors import BadInput
from jobs.manifest import Asset, Manifest, hash_file
from jobs.packing.blendfile import check_blend
from jobs.packing.program import run_tracer
from jobs.spec import explain

__all__ = ["PackedScene", "pack_scene"]

DEFAULT_TIMEOUT = 600.0
"""Seconds that Blender may take to read the scene and, where paths are absolute, to save a copy with relative ones."""
_NAMED = 5


@dataclass(frozen=True)
class PackedScene:
    """The files of a scene: as the job sees them, and where their bytes lie on this disk."""

    manifest: Manifest
    sources: dict[str, Path]
    """By path in the manifest. Most are the artist's own files; scenes with absolute paths are rewritten copies."""
    saved_with: tuple[int, int]
    """Version of the Blender that saved the scene."""


@contextmanager
def pack_scene(blend: Path, *, timeout: float = DEFAULT_TIMEOUT) -> Iterator[PackedScene]:
    """The scene and everything it reads, laid out so that relative paths hold; temporary files end with the context.

    Linked libraries, textures (relative to the file that uses them), UDIM tiles, sequences and caches are found with
    the Blender Asset Tracer. Files of Blender's own install are left out. Raises BadInput for what is no scene
    (jobs.packing.check_blend), for missing dependencies (each named), and for a scene that Blender cannot open;
    Unavailable where there is no Blender to ask.
    """
    saved_with = check_blend(blend)
    with tempfile.TemporaryDirectory(prefix="kilnet-pack-") as folder:
        staging = Path(folder)
        # Not resolve(): the paths in a scene are relative to the folder of the link by which it is opened.
        absolute = Path(os.path.abspath(blend))  # noqa: PTH100
        found = run_tracer(absolute, staging=staging, timeout=timeout)
        if found["missing"]:
            raise BadInput(_missing_line(blend, found["missing"]), code="missing_files")
        sources = {file["path"]: Path(file["source"]) for file in found["files"]}
        try:
            assets = tuple(_asset(path, sources[path]) for path in sorted(sources))
            manifest = Manifest(main=found["main"], assets=assets)
        except ValidationError as error:
            raise BadInput(f"{blend}: a file cannot be sent: {explain(error)}; rename it") from error
        yield PackedScene(manifest=manifest, sources=sources, saved_with=saved_with)


def _asset(path: str, source: Path) -> Asset:
    try:
        hashed = hash_file(source, relative_to=source.parent)
    except OSError as error:
        raise BadInput(f"{source}: cannot be read ({error.strerror or error}); check its permissions") from None
    return Asset(path=path, sha256=hashed.sha256, size=hashed.size)


def _missing_line(blend: Path, missing: Sequence[dict[str, Any]]) -> str:
    names = [f"{item['path']} ({item['kind']}, used by {item['used_by']})" for item in missing]
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    count = "a file is" if len(names) == 1 else f"{len(names)} files are"
    return f"{blend}: {count} missing: {'; '.join(names[:_NAMED])}{more}; put them there, or pack them into the .blend"
