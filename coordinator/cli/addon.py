"""`kilnet addon`: the Blender add-on as a zip that Blender installs from a file."""

from __future__ import annotations

import tomllib
import zipfile
from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer

from coordinator.cli.answer import answer
from coordinator.cli.options import Json
from jobs.errors import BadInput

__all__ = ["build", "register"]

_PARTS = (".py", ".toml")
_DATE = (2026, 1, 1, 0, 0, 0)
"""Of every file in the zip, so that the same add-on is the same bytes."""


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("addon")(_addon)


def _addon(
    out: Annotated[Path, typer.Option(help="The folder to put it into.")] = Path(),
    as_json: Json = False,
) -> None:
    """Write the Blender add-on as a zip (Blender: Preferences > Get Extensions > Install from Disk)."""
    path = build(out)
    if as_json:
        answer({"path": str(path)})
    else:
        print(f"{path}\nIn Blender: Preferences > Get Extensions > the arrow at the top right > Install from Disk")


def build(out: Path) -> Path:
    """The zip, in the folder `out`, which is made. Raises BadInput where it cannot be written."""
    source = files("jobs.blender_addon")
    version = tomllib.loads((source / "blender_manifest.toml").read_text(encoding="utf-8"))["version"]
    target = out / f"kilnet-addon-{version}.zip"
    try:
        out.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
            for part in sorted(source.iterdir(), key=lambda one: one.name):
                if part.name.endswith(_PARTS):
                    archive.writestr(zipfile.ZipInfo(part.name, _DATE), part.read_bytes(), zipfile.ZIP_DEFLATED)
    except OSError as error:
        raise BadInput(f"--out {out}: {error.strerror or error}; name a folder that can be written") from error
    return target
