"""Is this a whole .blend? Answered from its block headers, before a Blender is started for it.

A .blend is a header and a chain of blocks that ends with ENDB, perhaps compressed as a whole with gzip or zstd. The
header is `BLENDER`, pointer size, endianness and three digits of version; since Blender 5.0 it is
`BLENDER17-01v0502`, and the blocks are wider.
"""

from __future__ import annotations

import gzip
import io
import re
import struct
import zlib
from pathlib import Path
from typing import BinaryIO

import zstandard

from jobs.errors import BadInput

__all__ = ["check_blend"]

_OLD = re.compile(rb"BLENDER([_-])([vV])(\d)(\d\d)")
_NEW = re.compile(rb"BLENDER(\d\d)-\d\dv(\d\d)(\d\d)")
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_CHUNK = 1 << 20


class _Truncated(Exception):
    pass


def check_blend(path: Path) -> tuple[int, int]:
    """Version (major, minor) of the Blender that saved `path`.

    Raises BadInput where there is no such file, it is a folder, cannot be read, is not a .blend, or is cut short.
    """
    if path.is_dir():
        raise BadInput(f"{path}: is a folder; name the .blend file in it")
    try:
        with path.open("rb") as raw:
            magic = raw.read(4)
            raw.seek(0)
            return _walk(path, _plain(raw, magic), seekable=magic[:2] != _GZIP and magic != _ZSTD)
    except FileNotFoundError:
        raise BadInput(f"{path}: no such file; check the path") from None
    except (_Truncated, EOFError):
        raise BadInput(f"{path}: the file is cut short; save or copy it again") from None
    except (gzip.BadGzipFile, zlib.error, zstandard.ZstdError) as error:
        raise BadInput(f"{path}: the compressed file is damaged ({error}); save or copy it again") from None
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror or error}); check its permissions") from None


def _plain(raw: BinaryIO, magic: bytes) -> BinaryIO:
    if magic[:2] == _GZIP:
        return io.BufferedReader(gzip.GzipFile(fileobj=raw))
    if magic == _ZSTD:
        return zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True)
    return raw


def _walk(path: Path, file: BinaryIO, *, seekable: bool) -> tuple[int, int]:
    head = _read(file, 12, whole=False)
    if old := _OLD.match(head):
        order = "<" if old[2] == b"v" else ">"
        # code, length, old address, type, count
        block = struct.Struct(order + ("4siQii" if old[1] == b"-" else "4siIii"))
        length_at, version = 1, (int(old[3]), int(old[4]))
    else:
        head += _read(file, 5, whole=False)
        new = _NEW.match(head)
        if not new:
            raise BadInput(f"{path}: is not a .blend file; save the scene with Blender and name that file")
        _read(file, max(0, int(new[1]) - len(head)))
        # code, type, old address, length, count
        block = struct.Struct("<4siQqq")
        length_at, version = 3, (int(new[2]), int(new[3]))
    size = path.stat().st_size
    while True:
        fields = block.unpack(_read(file, block.size))
        if fields[0] == b"ENDB":
            return version
        length = fields[length_at]
        if length < 0:
            raise BadInput(f"{path}: a block of the file is damaged; save or copy it again")
        _skip(file, length, size if seekable else None)


def _read(file: BinaryIO, count: int, *, whole: bool = True) -> bytes:
    data = b""
    while len(data) < count:
        chunk = file.read(count - len(data))
        if not chunk:
            if whole:
                raise _Truncated
            break
        data += chunk
    return data


def _skip(file: BinaryIO, count: int, size: int | None) -> None:
    if size is not None:
        if file.seek(count, io.SEEK_CUR) > size:
            raise _Truncated
        return
    while count:
        count -= len(_read(file, min(count, _CHUNK)))
