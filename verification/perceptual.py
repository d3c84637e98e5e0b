"""Two pictures that honest machines do not make alike to the bit, compared by how they look.

For what does not even repeat: EEVEE across drivers, Workbench, image generators in half precision. Three measures,
none of them strong; docs/proof.md shows what they miss (half of the samples, another seed):

- perceptual hash: Hamming distance of 64 bits, sees another picture, camera or frame;
- structure: SSIM [1] of display values, of the whole picture and of its worst 32x32 block, sees blur, missing textures,
  tampering with a part;
- brightness: the difference of the mean display value of the whole picture, sees exposure.

What lies between accepting and refusing is escalated. A refusal here withholds pay and suspends; nobody is slashed for
it.

[1] Z. Wang et al., Image quality assessment: from error visibility to structural similarity, IEEE TIP 13 (2004).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import imagehash
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from skimage.metrics import structural_similarity

from jobs.contract import InferContract, Lane, RenderContract
from jobs.states import Verdict
from jobs.tiles import InferTile, RenderTile
from verification.compare import Comparison
from verification.frames import item_picture, planes_of
from verification.gate import FLAT, display

__all__ = ["PerceptualLimits", "compare_pictures", "rgb_channels"]

_BLOCK = 32
_WINDOW = 7
"""Side of SSIM's window, and so of the smallest picture it can compare."""


class PerceptualLimits(NamedTuple):
    """Accepted within the first of each pair, refused beyond the second."""

    hash_distance: tuple[int, int] = (4, 16)
    structure: tuple[float, float] = (0.97, 0.80)
    worst_block: tuple[float, float] = (0.80, 0.30)
    brightness: tuple[float, float] = (0.004, 0.02)


def rgb_channels(names: Sequence[str]) -> list[int] | None:
    """Where red, green and blue of the first Combined pass lie among these channels; None where there is none."""
    names = list(names)
    red = next((name for name in names if name.endswith("Combined.R")), None)
    if red is None:
        return None
    wanted = [red, red[:-1] + "G", red[:-1] + "B"]
    return [names.index(name) for name in wanted] if all(name in names for name in wanted) else None


def _measures(a: NDArray[np.float32], b: NDArray[np.float32]) -> dict[str, float]:
    """Of two pictures (height, width, channels) of display values 0..1."""
    grey = a.mean(axis=2), b.mean(axis=2)
    brightness = abs(float(grey[0].mean()) - float(grey[1].mean()))
    side = min(_WINDOW, *(edge - (edge + 1) % 2 for edge in grey[0].shape))
    if side < 3:
        return {"hash_distance": 0, "structure": 1.0, "worst_block": 1.0, "brightness": brightness}
    whole, each = structural_similarity(*grey, data_range=1.0, win_size=side, full=True)  # type: ignore[no-untyped-call]
    flat = max(float(grey[0].std()), float(grey[1].std())) < FLAT
    # The hash of a flat picture is that of its noise.
    distance = 0 if flat else int(imagehash.phash(_image(a)) - imagehash.phash(_image(b)))
    return {
        "hash_distance": distance,
        "structure": float(whole),
        "worst_block": float(_block_means(np.asarray(each, np.float64)).min()),
        "brightness": brightness,
    }


def _block_means(values: NDArray[np.float64]) -> NDArray[np.float64]:
    rows, columns = (max(1, edge // _BLOCK) for edge in values.shape)
    return np.asarray(
        [block.mean() for row in np.array_split(values, rows, axis=0) for block in np.array_split(row, columns, axis=1)]
    )


def _image(picture: NDArray[np.float32]) -> Image.Image:
    return Image.fromarray((np.clip(picture[..., :3].mean(axis=2), 0, 1) * 255 + 0.5).astype(np.uint8), "L")


def _verdict(measures: Mapping[str, float], limits: PerceptualLimits) -> tuple[Verdict, str]:
    """The worst of the measures decides; SSIM falls where the others rise."""
    found = []
    words = {
        "hash_distance": "its perceptual hash is {0:.0f} of 64 bits off",
        "structure": "its structural similarity is {0:.3f}",
        "worst_block": "the structural similarity of its worst block is {0:.3f}",
        "brightness": "its mean brightness is off by {0:.4f} of 1",
    }
    for name, (accept, refuse) in limits._asdict().items():
        value = measures[name]
        sign = -1 if accept > refuse else 1
        grade = 0 if sign * value <= sign * accept else 1 if sign * value <= sign * refuse else 2
        found.append((grade, words[name].format(value)))
    grade, said = max(found, key=lambda one: one[0])
    return (Verdict.ACCEPT, Verdict.ESCALATE, Verdict.REJECT)[grade], said


def _pictures(
    contract: RenderContract | InferContract, tile: RenderTile | InferTile, cells: Mapping[int, bytes]
) -> dict[int, NDArray[np.float32]]:
    """Pictures by frame or item: linear (height, width, channels) for renders, as the model gives them for items."""
    if isinstance(contract, RenderContract):
        assert isinstance(tile, RenderTile)
        colour = rgb_channels(contract.channels) or [0]
        return {
            frame: np.ascontiguousarray(np.moveaxis(planes[colour], 0, -1))
            for frame, planes in planes_of(contract, tile, cells).items()
        }
    assert isinstance(tile, InferTile)
    found = item_picture(contract)
    if found is None:
        raise ValueError("the model makes no picture: its items cannot be compared by look")
    at, shape = found
    count = int(np.prod(shape))
    pictures = {}
    for index, data in cells.items():
        values = np.frombuffer(data, np.dtype("<f4"), count, at).reshape(shape)
        pictures[tile.cell(index)] = values if shape[2] in (1, 3, 4) else np.moveaxis(values, 0, -1)
    return pictures


def _shown(
    a: NDArray[np.float32], b: NDArray[np.float32], *, linear: bool
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Both as display values 0..1; a model's picture on the scale of what was recomputed."""
    if linear:
        return display(a), display(b)
    low, high = (float(edge) for edge in (np.nan_to_num(b).min(), np.nan_to_num(b).max()))
    scale = max(high - low, 1e-6)
    one, other = (np.clip((np.nan_to_num(picture, nan=low) - low) / scale, -1, 2) for picture in (a, b))
    return one.astype(np.float32), other.astype(np.float32)


def compare_pictures(
    contract: RenderContract | InferContract,
    tile: RenderTile | InferTile,
    claimed: Mapping[int, bytes],
    recomputed: Mapping[int, bytes],
    limits: PerceptualLimits | None = None,
) -> Comparison:
    """Whole frames (all their cells) or items of one tile by look; the same bits are accepted as such.

    Raises ValueError where the two do not hold the same frames or items, or hold no picture."""
    limits = limits or PerceptualLimits()
    if claimed.keys() != recomputed.keys() or not claimed:
        raise ValueError("an audit holds exactly the challenged cells")
    evidence: dict[str, Any] = {"lane": str(Lane.PERCEPTUAL), "cells": len(claimed), "limits": limits._asdict()}
    if all(claimed[index] == recomputed[index] for index in claimed):
        evidence["cells_differing"] = 0
        return Comparison(Verdict.ACCEPT, f"all {len(claimed)} cells came out bit for bit", evidence)
    a, b = _pictures(contract, tile, claimed), _pictures(contract, tile, recomputed)
    linear = isinstance(contract, RenderContract)
    rows = []
    for number in a:
        measures = _measures(*_shown(a[number], b[number], linear=linear))
        verdict, said = _verdict(measures, limits)
        rows.append(({"frame" if linear else "item": number, **measures}, verdict, said))
    order = (Verdict.REJECT, Verdict.ESCALATE, Verdict.ACCEPT)
    row, verdict, said = min(rows, key=lambda one: order.index(one[1]))
    evidence |= {"pictures": len(rows), "worst": row}
    where = f"frame {row['frame']}" if linear else f"item {row['item']}"
    words = {
        Verdict.ACCEPT: f"{len(rows)} pictures look alike; of {where}, {said}",
        Verdict.ESCALATE: f"of {where}, {said}: a second look",
        Verdict.REJECT: f"of {where}, {said}",
    }
    return Comparison(verdict, words[verdict], evidence)
