"""A batch ready to be uploaded: the model with its files, and the items in shards."""

from __future__ import annotations

import json
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from jobs.errors import BadInput
from jobs.inputs.batch import ArrayBatch, Batch, fit_arrays
from jobs.inputs.files import read_arrays
from jobs.inputs.images import image_batch
from jobs.inputs.signature import ModelFiles, read_model
from jobs.manifest import Asset, Manifest, hash_file
from jobs.spec import explain

__all__ = ["SHARD_BYTES", "PreparedBatch", "prepare_batch"]

SHARD_BYTES = 16 << 20
"""What a shard of items holds, about: small enough to be fetched for one tile, large enough to be few."""
_NAMES = "items.json"


@dataclass(frozen=True)
class PreparedBatch:
    """The files of an inference job."""

    manifest: Manifest
    """`model/NAME.onnx` and its weights, `inputs/00000.npz` and on, and `items.json` where items have names."""
    sources: dict[str, Path]
    items: int
    shard_items: int
    names: tuple[str, ...] | None


@contextmanager
def prepare_batch(model: Path, inputs: Path, *, resize: bool = False) -> Iterator[PreparedBatch]:
    """The model and its items; temporary files end with the context.

    `inputs` is an .npz, .npy or .parquet file, or a folder of images (scaled to the model's size only if `resize`).
    Raises BadInput for a broken model, weights outside its folder, an empty folder, zero items, inputs whose names,
    dtypes or shapes do not fit, and NaN: each naming what, where and the remedy.
    """
    files = read_model(model)
    batch = _read_batch(inputs, files, resize=resize)
    with tempfile.TemporaryDirectory(prefix="kilnet-batch-") as folder:
        staging = Path(folder)
        sources = {f"model/{model.name}": model}
        sources |= {f"model/{name}": model.parent / name for name in files.external}
        shard_items = max(1, min(batch.items, SHARD_BYTES // max(1, batch.item_bytes)))
        for number, first in enumerate(range(0, batch.items, shard_items)):
            shard = staging / f"{number:05d}.npz"
            _write_shard(shard, batch.rows(first, min(first + shard_items, batch.items)))
            sources[f"inputs/{shard.name}"] = shard
        if batch.names is not None:
            (staging / _NAMES).write_text(json.dumps({"names": batch.names}, ensure_ascii=False), encoding="utf-8")
            sources[_NAMES] = staging / _NAMES
        try:
            assets = tuple(_asset(path, source) for path, source in sources.items())
            manifest = Manifest(main=f"model/{model.name}", assets=assets)
        except ValidationError as error:
            raise BadInput(f"{model}: a file cannot be sent: {explain(error)}; rename it") from error
        yield PreparedBatch(manifest, sources, batch.items, shard_items, batch.names)


def _read_batch(inputs: Path, files: ModelFiles, *, resize: bool) -> Batch:
    if inputs.is_dir():
        return image_batch(inputs, files.inputs, resize=resize)
    batch: ArrayBatch = fit_arrays(read_arrays(inputs), files.inputs, str(inputs))
    batch.check()
    return batch


def _write_shard(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """An .npz whose bytes depend on the arrays alone, so that the same items are uploaded once."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            entry = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            with archive.open(entry, "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.ascontiguousarray(array), version=(1, 0), allow_pickle=False)


def _asset(path: str, source: Path) -> Asset:
    try:
        hashed = hash_file(source, relative_to=source.parent)
    except OSError as error:
        raise BadInput(f"{source}: cannot be read ({error.strerror}); check its permissions") from None
    return Asset(path=path, sha256=hashed.sha256, size=hashed.size)
