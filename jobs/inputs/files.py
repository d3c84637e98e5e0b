"""Arrays from files: .npz, .npy, .parquet, .arrow, .feather. Nothing in a file is ever run (no pickles)."""

from __future__ import annotations

import io
import math
import mmap
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from jobs.errors import BadInput

__all__ = ["NAME_COLUMN", "SUFFIXES", "Table", "read_arrays", "read_table"]

NAME_COLUMN = "name"
"""A column (or an array) of text so called says what the items are called."""
_ARROW = (".arrow", ".feather")
SUFFIXES = (".npz", ".npy", ".parquet", *_ARROW)
_NPY_HEADER_BYTES = 64 << 10


class Table(NamedTuple):
    """What a file holds."""

    arrays: dict[str, NDArray[Any]]
    """By name; the one of an .npy file is named ""."""
    names: tuple[str, ...] | None
    """What the items are called, where the file says so."""


def read_table(path: Path) -> Table:
    """The arrays of a file, and the names of their items. Raises BadInput for what cannot be read."""
    arrays = read_arrays(path)
    names = arrays.get(NAME_COLUMN)
    if names is None or names.dtype.kind not in "UO" or names.ndim != 1:
        return Table(arrays, None)
    del arrays[NAME_COLUMN]
    return Table(arrays, tuple(str(name) for name in names))


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Arrays by name, a column of text too; the one of an .npy file is named "". Raises BadInput for what cannot be
    read."""
    suffix = path.suffix.lower()
    try:
        if suffix == ".npy":
            return {"": np.load(path, mmap_mode="r", allow_pickle=False)}
        if suffix == ".npz":
            return _read_npz(path)
        if suffix == ".parquet" or suffix in _ARROW:
            return _read_columns(path, suffix)
    except FileNotFoundError:
        raise BadInput(f"{path}: no such file; check the path") from None
    except (OSError, ValueError, EOFError, struct.error, zipfile.BadZipFile) as error:
        if "allow_pickle" in str(error):
            raise BadInput(f"{path}: holds Python objects, not numbers; save plain arrays") from None
        reason = str(error).splitlines()[0][:200] or type(error).__name__
        raise BadInput(f"{path}: cannot be read ({reason}); save it again") from None
    raise BadInput(f"{path}: give a file that ends in .npz, .npy, .parquet, .arrow or .feather, or a folder of images")


def _read_npz(path: Path) -> dict[str, NDArray[Any]]:
    """Arrays that lie uncompressed in the archive are mapped, so that a batch need not fit into memory."""
    # Opened here: numpy leaves a file open that turns out to be no archive.
    with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
        if isinstance(archive, np.ndarray):
            raise BadInput(f"{path}: is an .npy file named .npz; rename it")
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        members = {info.filename.removesuffix(".npy"): info for info in archive.zip.infolist()}
        return {name: _map_member(mapped, members[name], name, archive) for name in archive.files}


def _map_member(mapped: mmap.mmap, member: zipfile.ZipInfo, name: str, archive: Any) -> NDArray[Any]:
    if member.compress_type != zipfile.ZIP_STORED or not member.filename.endswith(".npy"):
        return np.asarray(archive[name])
    # The local header: 30 bytes, then a name and extra fields, whose lengths are the last of the 30 (APPNOTE 4.3.7).
    name_bytes, extra_bytes = struct.unpack_from("<HH", mapped, member.header_offset + 26)
    start = member.header_offset + 30 + name_bytes + extra_bytes
    with memoryview(mapped) as view, view[start : start + member.file_size] as data:
        if zlib.crc32(data) != member.CRC:
            raise ValueError(f"the checksum of {name!r} is wrong")
        head = io.BytesIO(data[:_NPY_HEADER_BYTES])
    version = np.lib.format.read_magic(head)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(head)
    if dtype.hasobject or fortran or math.prod(shape) * dtype.itemsize + head.tell() > member.file_size:
        return np.asarray(archive[name])
    return np.ndarray(shape, dtype, mapped, start + head.tell())


def _read_columns(path: Path, suffix: str) -> dict[str, NDArray[Any]]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise BadInput(f"{path}: reading it needs pyarrow: `pip install 'kilnet[parquet]'`, or save an .npz") from None
    try:
        if suffix == ".parquet":
            table = pyarrow.parquet.read_table(path)
        else:
            with pyarrow.memory_map(str(path)) as file:
                table = pyarrow.ipc.open_file(file).read_all()
    except pyarrow.ArrowException as error:
        raise BadInput(f"{path}: cannot be read ({str(error).splitlines()[0][:200]}); save it again") from None
    return {name: _column(path, name, table.column(name)) for name in table.column_names}


def _column(path: Path, name: str, column: Any) -> NDArray[Any]:
    """A column of numbers, or of lists (of lists) of numbers that are all of one length; or of names."""
    import pyarrow
    import pyarrow.compute

    if column.null_count:
        raise BadInput(f"{path}: column {name!r} has {column.null_count} empty cells; fill or drop them")
    if name == NAME_COLUMN and pyarrow.types.is_string(column.type) | pyarrow.types.is_large_string(column.type):
        return np.asarray(column.to_pylist(), dtype=object)
    items, shape, values = len(column), [], column.combine_chunks()
    while hasattr(values.type, "value_type"):
        lengths = pyarrow.compute.list_value_length(values).unique()
        if len(lengths) > 1:
            raise BadInput(f"{path}: the lists of column {name!r} differ in length; items must have one shape")
        shape.append(lengths[0].as_py() if len(lengths) else 0)
        values = values.flatten()
    if values.null_count:
        raise BadInput(f"{path}: column {name!r} has empty values; fill or drop them")
    return np.asarray(values.to_numpy(zero_copy_only=False)).reshape(items, *shape)
