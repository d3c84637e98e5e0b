"""The gate: a cheap look at a tile before it is audited, by perceptual hash against the reference frame.

A perceptual hash sees black frames, wrong frames and wrong cameras at once, and neither half of the samples missing
nor another seed; flat pictures fool it (a sky at 4 against 64 samples is as far off as a black frame). So a mismatch
is a suspicion, never a reason to refuse: more cells are drawn and the artist is told.
"""

from __future__ import annotations

from typing import NamedTuple

import imagehash
import numpy as np
from numpy.typing import NDArray
from PIL import Image

__all__ = ["GateResult", "display", "look", "malformed"]

SUSPICIOUS_DISTANCE = 18
"""Of 64 bits of pHash: halfway between what honest noise does to a picture with content (under 8) and chance (32)."""
FLAT = 0.02
"""Standard deviation of display values under which a picture is too flat for its hash to mean anything."""
BRIGHTNESS = 0.25
"""Difference in mean display value that is suspicious in flat pictures too."""


class GateResult(NamedTuple):
    suspicious: bool
    distance: int | None
    """Hamming distance of the 64-bit perceptual hashes; None where a picture is too flat."""
    reason: str


def display(linear: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scene-linear RGB (height, width, 3) to display values 0..1: Reinhard's x / (1 + x), then sRGB's 1/2.2.

    The simplest curve that keeps highlights apart; only hashes and previews of suspicion are made of it.
    """
    clean = np.clip(np.nan_to_num(linear, nan=0.0, posinf=1e6, neginf=0.0), 0, None)
    return np.asarray((clean / (1 + clean)) ** (1 / 2.2), np.float32)


def _image(values: NDArray[np.float32], size: tuple[int, int]) -> Image.Image:
    picture = Image.fromarray((values * 255 + 0.5).astype(np.uint8), "RGB")
    return picture.resize(size, Image.Resampling.BOX)


def look(tile: NDArray[np.float32], reference: NDArray[np.float32]) -> GateResult:
    """A tile against the same part of the reference frame, both linear RGB (height, width, 3), of any sizes."""
    a, b = display(tile), display(reference)
    size = (max(1, min(a.shape[1], b.shape[1])), max(1, min(a.shape[0], b.shape[0])))
    gap = abs(float(a.mean()) - float(b.mean()))
    if gap > BRIGHTNESS:
        return GateResult(True, None, f"its mean brightness is off the reference frame's by {gap:.2f} of 1")
    if float(a.std()) < FLAT and float(b.std()) < FLAT:
        return GateResult(False, None, "both are flat: a hash would mean nothing")
    distance = int(imagehash.phash(_image(a, size)) - imagehash.phash(_image(b, size)))
    if distance > SUSPICIOUS_DISTANCE:
        return GateResult(True, distance, f"its perceptual hash is {distance} of 64 bits off the reference frame's")
    return GateResult(False, distance, f"its perceptual hash is {distance} of 64 bits off the reference frame's")


def malformed(planes: NDArray[np.float32], channels: tuple[str, ...]) -> str | None:
    """Why a render result (channels, height, width) cannot be one, or None.

    Colour passes of a finished render are finite; Depth and Position hold what Blender puts where nothing was hit.
    """
    for i, name in enumerate(channels):
        if ".Combined." in name and not np.isfinite(planes[i]).all():
            return f"{name} holds {int((~np.isfinite(planes[i])).sum())} values that are not finite"
    return None
