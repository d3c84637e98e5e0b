"""Which pictures a calibration renders: small, of many scenes, in many settings."""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["SIZE", "Scene", "Shot", "find_scenes", "shots_of"]

SIZE = (64, 48)
"""Width and height in pixels of every picture."""
CHEAT_SAMPLES, HONEST_SAMPLES, ADAPTIVE_SAMPLES = 64, 8, 96
"""Adaptive sampling looks first after 64 samples (Blender: 16 / threshold^0.3, at the usual 0.01): with no more than
those the picture is the one without it, to the bit."""
_MANIFEST = "MANIFEST.tsv"


@dataclass(frozen=True)
class Scene:
    """A .blend with all files that it needs in `folder`; `blend` is relative to it."""

    name: str
    folder: Path
    blend: str
    frames: tuple[int, ...]
    """Frames to choose from; one where nothing moves."""


@dataclass(frozen=True)
class Shot:
    """One picture. Shots of one scene that differ by their frame alone share a contract."""

    scene: Scene
    frame: int
    samples: int
    seed: int | None = None
    adaptive: bool = False
    overrides: dict[str, Any] = field(default_factory=dict, hash=False, compare=False)

    @property
    def key(self) -> str:
        seed = "own" if self.seed is None else str(self.seed)
        return f"{self.scene.name}-f{self.frame}-s{self.samples}-r{seed}{'-adaptive' if self.adaptive else ''}"

    def as_overrides(self) -> dict[str, Any]:
        """For `describe`: Cycles whatever the file says, at the calibration's size."""
        made: dict[str, Any] = {
            "engine": "CYCLES", "samples": self.samples, "resolution": list(SIZE), "adaptive": self.adaptive,
            "denoise": False,
        }  # fmt: skip
        if self.seed is not None:
            made["seed"] = self.seed
        return made | self.overrides


def find_scenes(folder: Path) -> list[Scene]:
    """The scenes of a folder: the rows of its MANIFEST.tsv but fixtures, or every .blend that lies in it.

    A manifest's scene has a folder of its own (the first part of its path), with all that it needs."""
    manifest = folder / _MANIFEST
    if manifest.is_file():
        rows = csv.DictReader(manifest.read_text(encoding="utf-8").splitlines(), delimiter="\t")
        return [_of_row(folder, row) for row in rows if "fixture" not in row["name"]]
    return [Scene(path.stem, folder, path.name, _frames(path.stem)) for path in sorted(folder.glob("*.blend"))]


def _of_row(folder: Path, row: dict[str, str]) -> Scene:
    first, _, rest = row["file"].partition("/")
    span = row["frames"].split(" ")[0].split(",")[0]
    start, _, end = span.partition("-")
    moves = "animated" in row["frames"] or "action" in row["frames"]
    frames = _spread(int(start), int(end or start)) if moves else (int(start),)
    return Scene(row["name"], folder / first, rest, frames)


def _frames(name: str) -> tuple[int, ...]:
    """Of a folder without a manifest nothing is known; frames of a still scene are equal, which costs time alone."""
    return (1,) if name in ("still", "compositor", "passes", "volume") else _spread(1, 24)


def _spread(first: int, last: int) -> tuple[int, ...]:
    count = min(8, last - first + 1)
    return tuple(first + round(i * (last - first) / max(1, count - 1)) for i in range(count))


def shots_of(scene: Scene, *, cheats: int, honest: int) -> tuple[list[Shot], list[Shot]]:
    """(shots that are cheated on, shots that are only rendered honestly): frames where something moves, else seeds;
    every second honest one with adaptive sampling."""
    frames = scene.frames
    cheated = [Shot(scene, frames[i % len(frames)], CHEAT_SAMPLES) for i in range(min(cheats, len(frames)))]
    plain = []
    for i in range(honest):
        turn = i // 2
        seed = None if turn < len(frames) else 100 + turn // len(frames)
        adaptive = i % 2 == 1
        samples = ADAPTIVE_SAMPLES if adaptive else HONEST_SAMPLES
        plain.append(Shot(scene, frames[turn % len(frames)], samples, seed, adaptive))
    return cheated, plain
