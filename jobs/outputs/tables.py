"""Parquet and Arrow: a row for each item, a column for each output, lists of one length for what has axes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.errors import BadInput
from jobs.inputs.files import NAME_COLUMN

__all__ = ["write_table"]

_ROWS_BYTES = 64 << 20
"""What is held in memory at a time, about."""


def write_table(arrays: Mapping[str, NDArray[Any]], target: Path, names: Sequence[str] | None) -> None:
    """Write arrays of one length to `target` (.parquet, .arrow or .feather), with the items' names as column `name`.

    Raises BadInput without pyarrow, OSError."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise BadInput(f"{target}: writing it needs pyarrow: `pip install 'kilnet[parquet]'`, or ask for npz") from None
    items = len(next(iter(arrays.values())))
    row_bytes = max(1, sum(array.nbytes // max(1, items) for array in arrays.values()))
    step = max(1, _ROWS_BYTES // row_bytes)
    part = target.with_name(f".{target.name}.part")
    writer = None
    try:
        for first in range(0, items, step):
            rows = slice(first, min(first + step, items))
            columns = {} if names is None else {NAME_COLUMN: pyarrow.array(list(names[rows]), pyarrow.string())}
            for name, array in arrays.items():
                # An output may be called `name` too; the items' names are what the others are read by.
                columns[name if name not in columns else f"output_{name}"] = _lists(array[rows])
            table = pyarrow.table(columns)
            if writer is None:
                writer = (
                    pyarrow.parquet.ParquetWriter(part, table.schema)
                    if target.suffix == ".parquet"
                    else pyarrow.ipc.new_file(str(part), table.schema)
                )
            writer.write_table(table)
        if writer is not None:
            writer.close()
            part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _lists(array: NDArray[Any]) -> Any:
    """(items, a, b) as lists of a lists of b numbers."""
    import pyarrow

    native = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("="), copy=False)
    column = pyarrow.array(native.reshape(-1))
    for side in reversed(array.shape[1:]):
        column = pyarrow.FixedSizeListArray.from_arrays(column, side)
    return column
