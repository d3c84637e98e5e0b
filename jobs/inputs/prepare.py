"""A batch ready to be uploaded: the model with its files, and the items in shards."""

from __future__ import annotations

import hashlib
import json
import math
import os
import tempfile
from collections import deque
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pydantic import ValidationError

from jobs.errors import BadInput
from jobs.inputs.batch import Batch, fit_arrays
from jobs.inputs.files import NAME_COLUMN, read_table
from jobs.inputs.images import image_batch
from jobs.inputs.shards import pack_shard
from jobs.inputs.signature import ModelFiles, read_model
from jobs.manifest import Asset, Manifest, hash_file
from jobs.spec import explain

__all__ = ["SHARD_BYTES", "PreparedBatch", "prepare_batch"]

SHARD_BYTES = 16 << 20
"""What a shard of items holds, about: small enough to be fetched for one tile, large enough to be few."""
_NAMES = "items.json"
_PARALLEL = min(4, os.cpu_count() or 1)


@dataclass(frozen=True)
class PreparedBatch:
    """The files of an inference job."""

    manifest: Manifest
    """`model/NAME.onnx` and its weights, `inputs/00000.npz` and on (`.npz.zst` where that is shorter), and
    `items.json` where items have names."""
    sources: dict[str, Path]
    items: int
    shard_items: int
    names: tuple[str, ...] | None


@contextmanager
def prepare_batch(
    model: Path,
    inputs: Path,
    *,
    resize: bool = False,
    size: tuple[int, int] | None = None,
    outputs: Sequence[str] = (),
    only: Collection[str] | None = None,
) -> Iterator[PreparedBatch]:
    """The model and its items; temporary files end with the context.

    `inputs` is an .npz, .npy, .parquet, .arrow or .feather file (with the items' names as `name`, if they have any), or
    a folder of images (those that `only` names; scaled to `size`, width by height, or to the model's size if `resize`);
    `outputs` are those that will be asked for. Raises BadInput for a broken model, weights outside its folder, an
    output that it does not have, an empty folder, zero items, inputs whose names, dtypes or shapes do not fit, and NaN:
    each naming what, where and the remedy.
    """
    files = read_model(model)
    _check_outputs(files, outputs)
    batch = _read_batch(inputs, files, resize=resize, size=size, only=only)
    with tempfile.TemporaryDirectory(prefix="kilnet-batch-") as folder:
        staging = Path(folder)
        sources = {f"model/{model.name}": model}
        sources |= {f"model/{name}": model.parent / name for name in files.external}
        shard_items = max(1, min(batch.items, SHARD_BYTES // max(1, batch.item_bytes)))
        shards = list(_stage_shards(batch, shard_items, staging))
        if batch.names is not None:
            (staging / _NAMES).write_text(json.dumps({"names": batch.names}, ensure_ascii=False), encoding="utf-8")
            sources[_NAMES] = staging / _NAMES
        try:
            assets = tuple(_asset(path, source) for path, source in sources.items())
            manifest = Manifest(main=f"model/{model.name}", assets=(*assets, *shards))
        except ValidationError as error:
            raise BadInput(f"{model}: a file cannot be sent: {explain(error)}; rename it") from error
        sources |= {shard.path: staging / PurePosixPath(shard.path).name for shard in shards}
        yield PreparedBatch(manifest, sources, batch.items, shard_items, batch.names)


def _check_outputs(files: ModelFiles, outputs: Sequence[str]) -> None:
    unknown = [name for name in outputs if files.outputs is not None and name not in files.outputs]
    if unknown:
        known = ", ".join(repr(name) for name in (files.outputs or ())[:20])
        raise BadInput(f"{files.path}: has no output {unknown[0]!r}; choose of {known}")


def _read_batch(
    inputs: Path, files: ModelFiles, *, resize: bool, size: tuple[int, int] | None, only: Collection[str] | None
) -> Batch:
    if inputs.is_dir():
        return image_batch(inputs, files.inputs, resize=resize, size=size, only=only)
    arrays, names = read_table(inputs)
    if names is not None and NAME_COLUMN in {one.name for one in files.inputs or ()}:
        raise BadInput(
            f"{inputs}: the model takes an input {NAME_COLUMN!r}, and the file holds text there; rename that column"
        )
    return fit_arrays(arrays, files.inputs, str(inputs), names)


def _stage_shards(batch: Batch, shard_items: int, staging: Path) -> Iterator[Asset]:
    """Write the batch's shards into a folder, several at a time, in their order."""

    def one(number: int) -> Asset:
        first = number * shard_items
        shard = pack_shard(batch.rows(first, min(first + shard_items, batch.items)))
        name = f"{number:05d}{shard.suffix}"
        (staging / name).write_bytes(shard.data)
        return Asset(path=f"inputs/{name}", sha256=hashlib.sha256(shard.data).hexdigest(), size=len(shard.data))

    waiting: deque[Future[Asset]] = deque()
    with ThreadPoolExecutor(_PARALLEL, thread_name_prefix="shard") as pool:
        try:
            for number in range(math.ceil(batch.items / shard_items)):
                if len(waiting) >= 2 * _PARALLEL:
                    yield waiting.popleft().result()
                waiting.append(pool.submit(one, number))
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _asset(path: str, source: Path) -> Asset:
    try:
        hashed = hash_file(source, relative_to=source.parent)
    except OSError as error:
        raise BadInput(f"{source}: cannot be read ({error.strerror}); check its permissions") from None
    return Asset(path=path, sha256=hashed.sha256, size=hashed.size)
