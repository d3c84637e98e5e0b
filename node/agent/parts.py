"""The accepted parts of a frame or a batch, fetched, unpacked and put together."""

from __future__ import annotations

import zipfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import zstandard
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from jobs.contract import InferContract, RenderContract
from jobs.items import split_items
from jobs.manifest import Sha256
from jobs.merge import MergeError, merge_ranges, paste_tiles
from jobs.spec import explain
from jobs.tiles import InferTile, RenderTile, Tile
from node.agent.work import Work, WorkFailed

__all__ = ["Part", "merge_frame", "read_parts", "write_predictions"]

_PIECE = 4 << 20


class Part(BaseModel):
    """One accepted tile and the blob of its result (zstd-compressed)."""

    model_config = ConfigDict(extra="ignore")

    spec: Tile
    blob: Sha256
    size: Annotated[int, Field(ge=0)]


_PARTS: TypeAdapter[list[Part]] = TypeAdapter(list[Part])


def read_parts(params: dict[str, Any]) -> list[Part]:
    """The `parts` of an assemble lease. Raises WorkFailed `bad_lease`."""
    try:
        parts = _PARTS.validate_python(params.get("parts"))
    except ValidationError as error:
        raise WorkFailed(f"the parts of the lease: {explain(error)}", code="bad_lease") from error
    if not parts:
        raise WorkFailed("an assemble lease without parts", code="bad_lease")
    return parts


def _bytes_of(work: Work, part: Part, folder: Path, expected: int) -> bytes:
    """The raw result of a part, `expected` bytes. Raises WorkFailed `bad_part`, and what fetching raises."""
    assert work.fetch_blob is not None
    packed = folder / part.blob
    work.fetch_blob(part.blob, part.size, packed)
    try:
        with packed.open("rb") as file, zstandard.ZstdDecompressor().stream_reader(file) as reader:
            data = reader.read(expected)
            if len(data) != expected or reader.read(1):
                raise WorkFailed(f"part {part.blob[:12]} does not have {expected:,} bytes", code="bad_part")
    except zstandard.ZstdError as error:
        raise WorkFailed(f"part {part.blob[:12]} cannot be unpacked: {error}", code="bad_part") from error
    finally:
        packed.unlink(missing_ok=True)
    return data


def merge_frame(
    work: Work, contract: RenderContract, frame: int, folder: Path, report: Callable[[float], None]
) -> NDArray[np.float32]:
    """The window of one frame from its parts, (channels, height, width) float32: sample ranges merged, then pasted.

    One rectangle is in memory at a time, beside the window. Raises WorkFailed `bad_part`, `bad_lease`.
    """
    groups: dict[tuple[int, int, int, int], list[Part]] = defaultdict(list)
    parts = read_parts(work.offer.params)
    for part in parts:
        if not isinstance(part.spec, RenderTile) or frame not in part.spec.frames:
            raise WorkFailed(f"part {part.blob[:12]} is not of frame {frame}", code="bad_lease")
        groups[part.spec.rect].append(part)

    def tiles() -> Iterable[tuple[tuple[int, int, int, int], NDArray[np.float32]]]:
        for number, (rect, members) in enumerate(groups.items()):
            yield rect, merge_ranges([planes(part) for part in members], contract.channels, contract.pass_kinds)
            report((number + 1) / len(groups))

    def planes(part: Part) -> tuple[tuple[int, int], NDArray[np.float32]]:
        tile = part.spec
        assert isinstance(tile, RenderTile)
        data = _bytes_of(work, part, folder, tile.result_bytes(contract))
        shape = (len(tile.frames), len(contract.channels), tile.area.height, tile.area.width)
        values = np.frombuffer(data, "<f4").reshape(shape)[tile.frames.index(frame)]
        return tile.samples, values

    try:
        return paste_tiles(tiles(), contract.window, len(contract.channels))
    except MergeError as error:
        raise WorkFailed(f"frame {frame} cannot be put together: {error}", code="bad_part") from error


def write_predictions(
    work: Work, contract: InferContract, target: Path, folder: Path, report: Callable[[float], None]
) -> int:
    """All items' outputs as an .npz with the model's output names, in the order of the batch; the number of items.

    Outputs grow in memory maps beside `target`, so that a batch may be larger than memory. The fingerprints are for
    the proof and are left out. Raises WorkFailed `bad_part`, `bad_lease`.
    """
    parts = sorted(read_parts(work.offer.params), key=lambda part: _first(part))
    items = _check_cover(parts)
    names = [folder / f"output-{number}.npy" for number in range(len(contract.outputs))]
    maps = [
        np.lib.format.open_memmap(
            name, mode="w+", dtype=np.dtype(spec.dtype).newbyteorder("<"), shape=(items, *spec.shape)
        )
        for name, spec in zip(names, contract.outputs, strict=True)
    ]
    for number, part in enumerate(parts):
        tile = part.spec
        assert isinstance(tile, InferTile)
        data = _bytes_of(work, part, folder, tile.result_bytes(contract))
        outputs = split_items(contract, tile, data)
        for spec, array in zip(contract.outputs, maps, strict=True):
            array[tile.first : tile.first + tile.count] = outputs[spec.name]
        report((number + 1) / len(parts))
    for array in maps:
        array.flush()
    del maps
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        for name, spec in zip(names, contract.outputs, strict=True):
            # A fixed date: the same predictions are the same file.
            entry = zipfile.ZipInfo(f"{spec.name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            with archive.open(entry, "w", force_zip64=True) as out, name.open("rb") as source:
                while piece := source.read(_PIECE):
                    out.write(piece)
            name.unlink()
    return items


def _first(part: Part) -> int:
    if not isinstance(part.spec, InferTile):
        raise WorkFailed(f"part {part.blob[:12]} is not of a batch", code="bad_lease")
    return part.spec.first


def _check_cover(parts: Sequence[Part]) -> int:
    """That the parts follow each other from item 0 on; how many items they are."""
    expected = 0
    for part in parts:
        tile = part.spec
        assert isinstance(tile, InferTile)
        if tile.first != expected:
            raise WorkFailed(f"item {tile.first} follows item {expected - 1}: parts are missing", code="bad_lease")
        expected += tile.count
    return expected
