"""Two pictures for docs/proof.md: what a cheat looks like, and what the cells say of it."""

from __future__ import annotations

import warnings
from pathlib import Path

import imagehash
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from jobs.geometry import Rect
from node.calibrate.scene_set import edited, gathered
from node.calibrate.shots import Shot
from node.calibrate.sides import Side
from node.calibrate.studio import Planes, Studio
from tests.adversarial.material import WORK
from tests.adversarial.rivals import display

__all__ = ["draw"]

_SIZE = (240, 136)
_GAP, _TEXT = 8, 34
_PAPER, _INK = (250, 250, 248), (30, 30, 30)


def draw(folder: Path) -> list[Path]:
    """Render the sample still honestly and with four cheats; write FOLDER/cheats.png."""
    warnings.simplefilter("ignore", RuntimeWarning)
    (scene,) = gathered([], WORK / "scenes", only=("still",))
    shot = Shot(scene, 1, 64, overrides={"resolution": list(_SIZE)})
    with Side.of("a").pool(WORK / "runners-pictures") as pool:
        studio = Studio(Side.of("a"), pool, WORK / "renders")
        contract = studio.contract(shot)
        honest = studio.tile(shot, contract)
        cheats = {
            "63 of 64 samples": studio.tile(shot, contract, samples=(0, 63)),
            "32 of 64 samples": studio.tile(shot, contract, samples=(0, 32)),
            "4 bounces for 12": studio.tile(shot, contract, blend=edited(scene, 1)["bounces-4-of-12"]),
            "1% changed": _tampered(honest),
        }
    names = list(contract.channels)
    rgb = [names.index(next(n for n in names if n.endswith(f"Combined.{c}"))) for c in "RGB"]
    columns = [("honest", display(honest[rgb]), None)]
    columns += [(name, display(planes[rgb]), _differing(planes, honest)) for name, planes in cheats.items()]
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / "cheats.png"
    _sheet(columns).quantize(192, dither=Image.Dither.NONE).save(target, optimize=True)
    return [target]


def _tampered(honest: Planes) -> Planes:
    out = honest.copy()
    out[:, 60:78, 150:168] = honest[:, 60:78, 120:138]
    return out


def _differing(claimed: Planes, honest: Planes) -> NDArray[np.bool_]:
    """(rows, columns) of cells."""
    blocks = list(Rect(0, 0, *_SIZE).blocks(8))
    found = [
        claimed[:, b.y0 : b.y1, b.x0 : b.x1].tobytes() != honest[:, b.y0 : b.y1, b.x0 : b.x1].tobytes() for b in blocks
    ]
    return np.array(found).reshape(-1, -(-_SIZE[0] // 8))


def _sheet(columns: list[tuple[str, NDArray[np.uint8], NDArray[np.bool_] | None]]) -> Image.Image:
    width, height = _SIZE
    sheet = Image.new("RGB", (len(columns) * (width + _GAP) + _GAP, 2 * (height + _GAP) + _TEXT * 2 + _GAP), _PAPER)
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=13)
    first = columns[0][1]
    for number, (name, picture, cells) in enumerate(columns):
        x, y = _GAP + number * (width + _GAP), _GAP
        distance = imagehash.phash(Image.fromarray(picture)) - imagehash.phash(Image.fromarray(first))
        pen.text((x, y), name, fill=_INK, font=font)
        pen.text((x, y + 15), "" if cells is None else f"pHash distance {distance} of 64", fill=_INK, font=font)
        sheet.paste(Image.fromarray(picture), (x, y + _TEXT))
        below = y + _TEXT + height + _GAP
        if cells is None:
            pen.text((x, below), "below each: the 8x8 cells\nthat differ in any bit", fill=_INK, font=font, spacing=4)
            continue
        pen.text((x, below), f"{cells.mean():.1%} of the cells differ", fill=_INK, font=font)
        shaded = np.where(np.kron(cells, np.ones((8, 8), bool))[:height, :width, None], (200, 60, 40), (225, 230, 225))
        mixed = (picture * 0.35 + shaded * 0.65).astype(np.uint8)
        sheet.paste(Image.fromarray(mixed), (x, below + 17))
    return sheet
