"""The scenes of a calibration: the samples, folders of others' scenes, and their working copies."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import samples.scenes
from jobs.errors import BadInput
from node.calibrate.shots import CHEAT_SAMPLES, SIZE, Scene, find_scenes

__all__ = ["EDIT_SCRIPT", "SAVED_WORK", "edited", "gathered"]

EDIT_SCRIPT = Path(__file__).with_name("edit_scene.py")
SAVED_WORK = "denoised.npy"
_EDIT_SECONDS = 900


def gathered(folders: list[Path], into: Path, *, only: tuple[str, ...] = ()) -> list[Scene]:
    """The scenes of the samples and of `folders`, each copied with all its files into a folder of its own below
    `into`: cheats are saved beside them. Raises BadInput for a folder without scenes."""
    found: list[Scene] = []
    for folder in (Path(samples.scenes.__path__[0]), *folders):
        scenes = find_scenes(folder.resolve())
        if not scenes:
            raise BadInput(f"{folder}: no scenes; give a folder of .blend files, or one with a MANIFEST.tsv")
        found += [scene for scene in scenes if not only or scene.name in only]
    return [_copied(scene, into) for scene in found]


def _copied(scene: Scene, into: Path) -> Scene:
    target = into / scene.name
    source = scene.folder / scene.blend
    alone = source.parent == scene.folder and len(list(scene.folder.glob("*.blend"))) > 1
    if not (target / scene.blend).is_file() or (target / scene.blend).read_bytes() != source.read_bytes():
        shutil.rmtree(target, ignore_errors=True)
        if alone:  # scenes that share a folder need nothing but themselves
            target.mkdir(parents=True)
            shutil.copyfile(source, target / scene.blend)
        else:
            shutil.copytree(scene.folder, target)
    return replace(scene, folder=target)


def edited(scene: Scene, frame: int, *, denoised_samples: int = CHEAT_SAMPLES // 4) -> dict[str, str]:
    """Copies of the scene as a cheat would change it, by the name of the cheat; made once. See edit_scene.py."""
    out = (scene.folder / scene.blend).parent / f"cheats-{frame}"
    done = out / "done"
    if not done.is_file():
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()
        asked = {"frame": frame, "size": SIZE, "samples": denoised_samples}
        command = [sys.executable, str(EDIT_SCRIPT), str(scene.folder / scene.blend), str(out), json.dumps(asked)]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=_EDIT_SECONDS, check=False)
        if ended.returncode or not (out / SAVED_WORK).is_file():
            raise BadInput(f"{scene.name} cannot be edited: {ended.stderr.strip().splitlines()[-1:]}; leave it out")
        done.touch()
    return {path.stem: str(path.relative_to(scene.folder)) for path in sorted(out.glob("*.blend"))}
