# SPDX-FileCopyrightText: The kilnet authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which Blender saved a file, read from its first bytes: so that a file is refused before anything parses it.

Two headers exist: `BLENDER` + pointer size + endianness + three digits (until 5.0), and `BLENDER17-01v0502` (since).
Files may be compressed whole with gzip or zstd.
"""

from __future__ import annotations

import gzip
import re
from pathlib import Path

from .errors import RunnerError

_OLD = re.compile(rb"BLENDER[_-][vV](\d)(\d\d)")
_NEW = re.compile(rb"BLENDER\d\d-\d\dv(\d\d)(\d\d)")
_ZSTD = b"\x28\xb5\x2f\xfd"


def saved_with(path: Path) -> tuple[int, int] | None:
    """(major, minor) of the Blender that saved `path`; None when the header is zstd and no decoder is at hand.

    Raises RunnerError `missing_blend` or `not_a_blend`.
    """
    try:
        with path.open("rb") as f:
            head = f.read(64)
            if head.startswith(b"\x1f\x8b"):
                f.seek(0)
                with gzip.GzipFile(fileobj=f) as plain:
                    head = plain.read(64)
            elif head.startswith(_ZSTD):
                f.seek(0)
                decoded = _zstd_head(f.read(1 << 20))
                if decoded is None:
                    return None
                head = decoded
    except FileNotFoundError:
        raise RunnerError("missing_blend", f"There is no file {path.name}.") from None
    except (OSError, EOFError) as error:
        raise RunnerError(
            "not_a_blend", f"{path.name} cannot be read: {error}; save it again", scene_fault=True
        ) from None
    match = _NEW.match(head) or _OLD.match(head)
    if match is None:
        raise RunnerError(
            "not_a_blend", f"{path.name} is not a Blender file: save the scene with Blender.", scene_fault=True
        )
    return int(match[1]), int(match[2])


def _zstd_head(data: bytes) -> bytes | None:
    try:
        import zstandard  # Blender executables bundle it
    except ImportError:
        try:
            from compression import zstd  # type: ignore[import-not-found]  # Python 3.14
        except ImportError:
            return None
        decoder = zstd.ZstdDecompressor()
        return bytes(decoder.decompress(data, max_length=64))
    with zstandard.ZstdDecompressor().stream_reader(data) as stream:
        return bytes(stream.read(64))
