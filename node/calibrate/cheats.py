"""What a node would hand in to save work: real renders with the cheat in them, and what is done to pictures after."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from jobs.contract import RenderContract
from node.calibrate.scene_set import SAVED_WORK, edited
from node.calibrate.shots import CHEAT_SAMPLES, SIZE, Shot
from node.calibrate.studio import Planes, Studio

__all__ = ["RENDER_CHEATS", "Desk", "RenderCheat"]


@dataclass(frozen=True)
class Desk:
    """All that a cheat has at hand: its runners, the contract, the honest picture of the shot, and one of elsewhere."""

    studio: Studio
    shot: Shot
    contract: RenderContract
    honest: Planes
    elsewhere: Planes | None
    """RGBA of another scene, (4, height, width)."""

    @property
    def colors(self) -> list[list[int]]:
        """For each Combined pass, its channels R, G, B (and A) by index."""
        names = list(self.contract.channels)
        found: dict[str, list[int]] = {}
        for color in "RGBA":
            for index, name in enumerate(names):
                stem, _, component = name.rpartition(".")
                if component == color and stem.endswith("Combined"):
                    found.setdefault(stem, []).append(index)
        return list(found.values())

    def recolored(self, change: Callable[[Planes], Planes]) -> Planes:
        """The honest picture with R, G, B of its Combined passes (3, height, width) changed."""
        out = self.honest.copy()
        for channels in self.colors:
            out[channels[:3]] = change(self.honest[channels[:3]])
        return out

    def edit(self, name: str) -> Planes | None:
        """The picture of an edited copy of the scene; None where the edit changes nothing in this scene."""
        blend = edited(self.shot.scene, self.shot.scene.frames[0]).get(name)
        return None if blend is None else self.studio.tile(self.shot, self.contract, blend=blend)


Make = Callable[[Desk], Planes | None]


@dataclass(frozen=True)
class RenderCheat:
    """`make` gives the whole picture that would be handed in, or None where it does not apply to the scene."""

    name: str
    saves: str
    """What it is, for people."""
    make: Make
    everywhere: bool
    """Meant to change every cell: one probe should end it."""


def _fewer(samples: int) -> Make:
    return lambda desk: desk.studio.tile(desk.shot, desk.contract, samples=(0, samples))


def _edit(name: str) -> Make:
    return lambda desk: desk.edit(name)


def _black(desk: Desk) -> Planes:
    return np.zeros_like(desk.honest)


def _white(desk: Desk) -> Planes:
    return np.ones_like(desk.honest)


def _another_frame(desk: Desk) -> Planes | None:
    frames = desk.shot.scene.frames
    if len(frames) < 2:
        return None
    other = Shot(desk.shot.scene, desk.shot.frame + 1, desk.shot.samples, desk.shot.seed, desk.shot.adaptive)
    return desk.studio.tile(other, desk.contract)


def _another_scene(desk: Desk) -> Planes | None:
    if desk.elsewhere is None:
        return None
    out = desk.honest.copy()
    for channels in desk.colors:
        out[channels] = desk.elsewhere[: len(channels)]
    return out


def _another_seed(desk: Desk) -> Planes:
    seed = desk.contract.seed + 1
    overrides = {**desk.contract.overrides, "seed": seed}
    contract = desk.contract.model_copy(update={"seed": seed, "overrides": overrides})
    return desk.studio.tile(desk.shot, contract)


def _denoised(desk: Desk) -> Planes | None:
    scene = desk.shot.scene
    if desk.shot.frame != scene.frames[0]:
        return None
    edited(scene, desk.shot.frame)
    place = (scene.folder / scene.blend).parent / f"cheats-{desk.shot.frame}"
    picture = np.load(place / SAVED_WORK).transpose(2, 0, 1)
    out = desk.honest.copy()
    for channels in desk.colors:
        out[channels] = picture[: len(channels)]
    return out


def _half_size(desk: Desk) -> Planes:
    width, height = SIZE[0] // 2, SIZE[1] // 2
    overrides = {**desk.contract.overrides, "resolution": [width, height]}
    small = desk.contract.model_copy(
        update={"width": width, "height": height, "window": (0, 0, width, height), "overrides": overrides}
    )
    planes = desk.studio.tile(desk.shot, small)
    enlarged = [Image.fromarray(plane, "F").resize(SIZE, Image.Resampling.BICUBIC) for plane in planes]
    return np.stack([np.asarray(plane, np.float32) for plane in enlarged])


def _brighter(desk: Desk) -> Planes:
    return desk.recolored(lambda rgb: rgb * np.float32(1.02))


def _recompressed(desk: Desk) -> Planes:
    return desk.recolored(_through_jpeg)


def _through_jpeg(rgb: Planes) -> Planes:
    """To sRGB, 8 bits, JPEG of quality 90, and back; what is brighter than white is cut off."""
    linear = np.clip(np.nan_to_num(rgb), 0, 1)
    display: NDArray[Any] = np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
    memory = io.BytesIO()
    Image.fromarray((display.transpose(1, 2, 0) * 255 + 0.5).astype(np.uint8)).save(memory, "JPEG", quality=90)
    found: NDArray[Any] = np.asarray(Image.open(memory), np.float32) / 255
    back = np.where(found <= 0.04045, found / 12.92, ((found + 0.055) / 1.055) ** 2.4)
    return np.ascontiguousarray(back.transpose(2, 0, 1), np.float32)


_N = CHEAT_SAMPLES
RENDER_CHEATS: tuple[RenderCheat, ...] = (
    RenderCheat("black", "a black picture", _black, True),
    RenderCheat("white", "a white picture", _white, True),
    RenderCheat("another-frame", "the next frame", _another_frame, True),
    RenderCheat("another-scene", "a picture of another scene", _another_scene, True),
    RenderCheat("another-camera", "a camera turned by half a degree", _edit("another-camera"), True),
    RenderCheat("samples-63", f"{_N - 1} of {_N} samples", _fewer(_N - 1), True),
    RenderCheat("samples-56", f"{_N * 7 // 8} of {_N} samples", _fewer(_N * 7 // 8), True),
    RenderCheat("samples-32", f"{_N // 2} of {_N} samples", _fewer(_N // 2), True),
    RenderCheat("denoised-16", f"{_N // 4} of {_N} samples, denoised, as if noisy", _denoised, True),
    RenderCheat("half-resolution", "half the resolution, enlarged", _half_size, True),
    RenderCheat("another-seed", "another seed", _another_seed, True),
    RenderCheat("exposure", "2% brighter", _brighter, True),
    RenderCheat("jpeg", "through JPEG of quality 90", _recompressed, True),
    RenderCheat("bounces-8-of-12", "8 light bounces for 12", _edit("bounces-8-of-12"), False),
    RenderCheat("bounces-4-of-12", "4 light bounces for 12", _edit("bounces-4-of-12"), False),
    RenderCheat("no-textures", "no textures", _edit("no-textures"), False),
    RenderCheat("proxy-mesh", "meshes with a third of their faces", _edit("proxy-mesh"), False),
    RenderCheat("lamp-removed", "one lamp less", _edit("lamp-removed"), False),
)
