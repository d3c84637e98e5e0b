"""Opening what a runner left in its scratch folder, without being led anywhere else."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from node.runner_process.errors import RunnerProtocolError

__all__ = ["open_result", "plain_name", "read_result"]

_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,199}")


def plain_name(value: object) -> str:
    """`value` as the name of a file directly in the scratch folder: letters, digits, `_-.`, no leading dot.

    A leading `/scratch/` is accepted and dropped. Raises RunnerProtocolError for anything else.
    """
    name = value.removeprefix("/scratch/") if isinstance(value, str) else ""
    if not _PLAIN.fullmatch(name):
        raise RunnerProtocolError(f"not a plain file name in the scratch folder: {ascii(value)[:120]}")
    return name


@contextmanager
def open_result(
    scratch: Path, name: object, *, size: int | None = None, max_size: int | None = None
) -> Iterator[tuple[BinaryIO, int]]:
    """The regular file `name` of `scratch`, open for reading, and its length in bytes.

    Links are never followed, pipes never waited for. Give `size` where the lease fixes the length, `max_size`
    elsewhere; the runner may still be writing, so read no more than the length and treat less as an error. Raises
    RunnerProtocolError.
    """
    if size is None and max_size is None:
        raise TypeError("open_result needs size or max_size: a result of unlimited length is never read")
    plain = plain_name(name)
    folder = os.open(scratch, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        descriptor = os.open(plain, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except OSError as error:
        raise RunnerProtocolError(f"the result {plain} cannot be opened as a file: {error.strerror}") from error
    finally:
        os.close(folder)
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        os.close(descriptor)
        raise RunnerProtocolError(f"the result {plain} is not a regular file")
    with os.fdopen(descriptor, "rb") as file:
        if size is not None and found.st_size != size:
            raise RunnerProtocolError(f"the result {plain} has {found.st_size:,} bytes where the lease fixes {size:,}")
        if max_size is not None and found.st_size > max_size:
            raise RunnerProtocolError(f"the result {plain} has {found.st_size:,} bytes where {max_size:,} are allowed")
        yield file, found.st_size


def read_result(scratch: Path, name: object, *, size: int | None = None, max_size: int | None = None) -> bytes:
    """All of such a file, in memory. Raises RunnerProtocolError, also when it shrank while it was read."""
    with open_result(scratch, name, size=size, max_size=max_size) as (file, length):
        data = file.read(length)
    if len(data) != length:
        raise RunnerProtocolError(f"the result {plain_name(name)} changed while it was read")
    return data
