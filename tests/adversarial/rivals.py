"""What others check instead, on the same cheats: perceptual hashes, SSIM on random crops, two nodes that must agree.

Each check sees what it would see in the field: the display picture (8 bits, sRGB), and a reference that its owner has.
"""

from __future__ import annotations

import imagehash
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from skimage.metrics import structural_similarity

from node.calibrate.studio import Planes

__all__ = ["dhash_refuses", "display", "phash_refuses", "redundancy_refuses", "ssim_refuses"]

HASH_DISTANCE = 10
"""Of 64 bits: the usual threshold for "the same picture"."""
SSIM_LEAST, CROPS, CROP_SHARE = 0.94, 3, 0.1
"""Accepted where three random crops of a tenth of the area each are at least so similar."""


def display(rgb: Planes) -> NDArray[np.uint8]:
    """(height, width, 3) of linear (3, height, width)."""
    linear = np.clip(np.nan_to_num(rgb), 0, 1)
    shown = np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.asarray((shown.transpose(1, 2, 0) * 255 + 0.5), np.uint8)


def phash_refuses(claimed: NDArray[np.uint8], reference: NDArray[np.uint8]) -> bool:
    return bool(imagehash.phash(Image.fromarray(claimed)) - imagehash.phash(Image.fromarray(reference)) > HASH_DISTANCE)


def dhash_refuses(claimed: NDArray[np.uint8], reference: NDArray[np.uint8]) -> bool:
    return bool(imagehash.dhash(Image.fromarray(claimed)) - imagehash.dhash(Image.fromarray(reference)) > HASH_DISTANCE)


def ssim_refuses(claimed: NDArray[np.uint8], reference: NDArray[np.uint8], rng: np.random.Generator) -> bool:
    """At least one of three crops, each with sides of sqrt(10%) of the picture's, is not similar enough."""
    height, width = claimed.shape[:2]
    h, w = (max(7, round(side * CROP_SHARE**0.5)) for side in (height, width))
    for _ in range(CROPS):
        y, x = int(rng.integers(height - h + 1)), int(rng.integers(width - w + 1))
        a, b = claimed[y : y + h, x : x + w], reference[y : y + h, x : x + w]
        if structural_similarity(a, b, channel_axis=2) < SSIM_LEAST:
            return True
    return False


def redundancy_refuses(claimed: NDArray[np.uint8], other: NDArray[np.uint8], *, colluding: bool = False) -> bool:
    """Two nodes render the whole picture and must agree to the last bit of 8; whoever has two nodes agrees with
    itself."""
    return not colluding and not bool(np.array_equal(claimed, other))
