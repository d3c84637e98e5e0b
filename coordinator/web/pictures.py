"""Pictures for people: a frame as far as it has come, the reference frame, what was delivered.

All are small 8-bit PNGs made here: nothing that a node or a client has sent reaches a browser as it is.
"""

from __future__ import annotations

import io
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO, Any, NamedTuple

import numpy as np
import zstandard
from numpy.typing import NDArray
from PIL import Image
from sqlalchemy import select
from sqlalchemy.orm import Session

from coordinator.blobs import BlobStore
from coordinator.errors import NotFound
from coordinator.store.database import Database
from coordinator.store.models import Lease, Work
from jobs.contract import RenderContract
from jobs.geometry import Rect
from jobs.states import WorkKind, WorkState
from jobs.tiles import RenderTile

__all__ = ["LONGEST_SIDE", "LivePictures", "Look", "Picture", "empty", "shown"]

LONGEST_SIDE = 1280
"""Pixels of a picture on the page; its file has all of them."""
_FORMATS = ("PNG", "JPEG", "WEBP", "TIFF")
_MAX_PIXELS = 1 << 28
_KEPT = 16
"""Frames that are kept in memory, 16 bytes a pixel each."""
_PATIENCE_SECONDS = 0.7
"""A call adds tiles for so long; the next one goes on."""
_FLAT, _FEWEST_BLOCKS = 1e-5, 64
_MEDIAN_OF_NORMAL = 0.6745
"""The median of |x| of a standard normal x."""
_MAX_TILE_BYTES = 1 << 30
_CHUNK = 1 << 22
_WINDOW = 1 << 27


class Picture(NamedTuple):
    """A PNG, a tag that changes with it, and whether there is more to come at once."""

    png: bytes
    tag: str
    more: bool = False


class Look(NamedTuple):
    """How far a frame has come."""

    covered: float
    """Share of its pixels that any tile has passed of, 0..1."""
    samples: float
    """Samples per covered pixel, on average."""
    noise: float | None
    """Standard deviation of a pixel's noise as it is seen, as a share of white; None where too little is there."""


def shown(store: BlobStore, sha: str) -> bytes:
    """A delivered picture as a small PNG. Raises NotFound for what no browser shows, such as EXR."""
    with store.open(sha) as file:
        try:
            with Image.open(file, formats=_FORMATS) as image:
                if image.width * image.height > _MAX_PIXELS:
                    raise NotFound("this picture is too large to be shown here; download it")
                small = _eight_bit(image)
                small.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.BOX)
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise NotFound("this file is no picture that can be shown here; download it") from error
    return _png(small)


def empty() -> bytes:
    """One transparent pixel."""
    return _png(Image.new("RGBA", (1, 1)))


def _eight_bit(image: Image.Image) -> Image.Image:
    if image.mode.startswith(("I", "F")):
        values = np.asarray(image, np.float32) / (257 if image.mode.startswith("I") else 1 / 255)
        return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8), "L")
    return image.convert("RGBA" if "A" in image.mode or "transparency" in image.info else "RGB")


def _png(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG", compress_level=2)
    return out.getvalue()


class _Canvas:
    """One frame as far as it has come, scaled down: linear RGB summed over samples, and each pixel's samples."""

    def __init__(self, window: Rect, *, merges: bool) -> None:
        self.window, self.merges = window, merges
        self.scale = min(1.0, LONGEST_SIDE / max(window.width, window.height))
        height, width = max(1, round(window.height * self.scale)), max(1, round(window.width * self.scale))
        self.sums = np.zeros((height, width, 3), np.float32)
        self.samples = np.zeros((height, width), np.float32)
        self.done: set[str] = set()
        self.lock = threading.Lock()
        self.png: tuple[int, bytes] | None = None

    def add(self, tile: RenderTile, planes: Sequence[NDArray[np.float32]]) -> None:
        """Linear red, green and blue of one tile, each (height, width) float32. Ranges of samples add up; where they do
        not merge, a tile takes the place of one with fewer."""
        area, window = tile.area, self.window
        x0, x1 = (round((x - window.x0) * self.scale) for x in (area.x0, area.x1))
        y0, y1 = (round((y - window.y0) * self.scale) for y in (area.y0, area.y1))
        if x1 <= x0 or y1 <= y0:
            return
        count = tile.samples[1] - tile.samples[0]
        if not self.merges:
            if self.samples[y0:y1, x0:x1].max() > count:
                return
            self.sums[y0:y1, x0:x1] = self.samples[y0:y1, x0:x1] = 0
        for channel, plane in enumerate(planes):
            finite = np.clip(np.nan_to_num(plane, posinf=1e4, neginf=0.0), 0.0, 1e4)
            small = Image.fromarray(finite).resize((x1 - x0, y1 - y0), Image.Resampling.BOX)
            self.sums[y0:y1, x0:x1, channel] += count * np.asarray(small, np.float32)
        self.samples[y0:y1, x0:x1] += count

    def look(self) -> Look:
        covered = self.samples > 0
        share = float(covered.mean())
        if not share:
            return Look(0.0, 0.0, None)
        linear = self.sums / np.maximum(self.samples, np.float32(1))[..., None]
        return Look(share, float(self.samples[covered].mean()), noise_of(_curve(linear), covered))

    def encoded(self) -> bytes:
        if self.png is None or self.png[0] != len(self.done):
            linear = self.sums / np.maximum(self.samples, np.float32(1))[..., None]
            alpha = np.where(self.samples > 0, 255, 0).astype(np.uint8)
            self.png = len(self.done), _png(Image.fromarray(np.dstack([_srgb(linear), alpha]), "RGBA"))
        return self.png[1]


def _srgb(linear: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
    """Linear Rec. 709 -> 8-bit sRGB (IEC 61966-2-1), without the scene's own view transform."""
    return np.asarray((_curve(linear) * 255 + 0.5).astype(np.uint8))


def _curve(linear: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    """Linear -> sRGB's own curve, 0..1."""
    low, high = linear * 12.92, 1.055 * np.power(linear, 1 / 2.4, where=linear > 0, out=np.zeros_like(linear)) - 0.055
    return np.asarray(np.clip(np.where(linear <= 0.0031308, low, high), 0, 1))


def noise_of(picture: NDArray[np.floating[Any]], covered: NDArray[np.bool_]) -> float | None:
    """Standard deviation of the noise of a picture (height, width, 3), 0..1, where it is `covered`.

    From h = (a - b - c + d) / 2 of each 2x2 block of its luminance, as in verification.noise: 0 on any plane, and of
    the deviation of one pixel. The median of |h| does not see edges, which few blocks have (Donoho 1994). Blocks of no
    difference at all, an empty background, are left out. None with fewer than 64 blocks."""
    height, width = (side // 2 * 2 for side in covered.shape)
    grey = picture[:height, :width] @ np.array([0.2126, 0.7152, 0.0722], picture.dtype)
    whole = covered[:height, :width].reshape(height // 2, 2, width // 2, 2).all(axis=(1, 3))
    h = (grey[0::2, 0::2] - grey[0::2, 1::2] - grey[1::2, 0::2] + grey[1::2, 1::2]) / 2
    seen = np.abs(h[whole])
    seen = seen[seen > _FLAT]
    return float(np.median(seen) / _MEDIAN_OF_NORMAL) if seen.size >= _FEWEST_BLOCKS else None


class _Ready(NamedTuple):
    """A tile that passed."""

    lease: str
    blob: str
    tile: RenderTile


class LivePictures:
    """Frames as far as they have come. Safe to use from several threads; each tile is unpacked once."""

    def __init__(self, db: Database, store: BlobStore) -> None:
        self._db, self._store = db, store
        self._canvases: OrderedDict[tuple[str, int], _Canvas] = OrderedDict()
        self._lock = threading.Lock()

    def picture(self, job_id: str, contract: RenderContract, frame: int) -> Picture:
        """The tiles of a frame that passed, in sRGB; what is missing is transparent."""
        with self._filled(job_id, contract, frame) as (canvas, more):
            return Picture(canvas.encoded(), f"{len(canvas.done)}", more)

    def look(self, job_id: str, contract: RenderContract, frame: int) -> Look:
        """How far a frame has come, of the tiles that passed (those that there was time for)."""
        with self._filled(job_id, contract, frame) as (canvas, _):
            return canvas.look()

    @contextmanager
    def _filled(self, job_id: str, contract: RenderContract, frame: int) -> Iterator[tuple[_Canvas, bool]]:
        """The frame's canvas, held, and whether tiles are left that are not on it yet. Raises NotFound."""
        colour = _colour(contract.channels)
        if colour is None:
            raise NotFound("this job has no colour pass to show")
        canvas = self._canvas((job_id, frame), contract)
        with self._db.read() as session:
            ready = _ready(session, job_id, frame)
        with canvas.lock:
            begun = time.monotonic()
            missing = [one for one in ready if one.lease not in canvas.done]
            while missing and time.monotonic() - begun < _PATIENCE_SECONDS:
                one = missing.pop()
                planes = _planes(self._store, one, contract, frame, colour)
                if planes is not None:
                    canvas.add(one.tile, planes)
                canvas.done.add(one.lease)
            yield canvas, bool(missing)

    def _canvas(self, key: tuple[str, int], contract: RenderContract) -> _Canvas:
        with self._lock:
            canvas = self._canvases.pop(key, None) or _Canvas(contract.rect, merges=contract.merges_samples)
            self._canvases[key] = canvas
            if len(self._canvases) > _KEPT:
                self._canvases.popitem(last=False)
            return canvas


def _ready(session: Session, job_id: str, frame: int) -> list[_Ready]:
    rows = session.execute(
        select(Work.payload, Lease.id, Lease.blob)
        .join(Lease, Lease.id == Work.accepted_lease)
        .where(Work.job_id == job_id, Work.kind == str(WorkKind.TILE), Work.state == str(WorkState.DONE))
        .order_by(Work.index.desc())
    )
    return [
        _Ready(lease, blob, RenderTile.model_validate(payload))
        for payload, lease, blob in rows
        if blob and payload.get("kind") == "render" and frame in payload["frames"]
    ]


def _colour(channels: Sequence[str]) -> list[int] | None:
    """Where red, green and blue of the first Combined pass lie."""
    names = list(channels)
    red = next((name for name in names if name.endswith("Combined.R")), None)
    wanted = [] if red is None else [red, red[:-1] + "G", red[:-1] + "B"]
    return [names.index(name) for name in wanted] if wanted and all(name in names for name in wanted) else None


def _planes(
    store: BlobStore, one: _Ready, contract: RenderContract, frame: int, colour: Sequence[int]
) -> list[NDArray[np.float32]] | None:
    """The colour planes of one frame of a tile's result, (height, width) float32 each; None where the file is gone or
    too large to be unpacked for a look."""
    area = one.tile.area
    plane = 4 * area.area
    first = one.tile.frames.index(frame) * len(contract.channels)
    if one.tile.result_bytes(contract) > _MAX_TILE_BYTES:
        return None
    found: dict[int, NDArray[np.float32]] = {}
    try:
        unzip = zstandard.ZstdDecompressor(max_window_size=_WINDOW)
        with store.open(one.blob) as file, unzip.stream_reader(file) as reader:
            at = 0
            for index in sorted(colour):
                start = (first + index) * plane
                _skip(reader, start - at)
                found[index] = np.frombuffer(_take(reader, plane), "<f4").reshape(area.height, area.width)
                at = start + plane
    except (NotFound, zstandard.ZstdError, EOFError):
        return None
    return [found[index] for index in colour]


def _take(reader: IO[bytes], length: int) -> bytes:
    data = bytearray()
    while len(data) < length:
        part = reader.read(min(_CHUNK, length - len(data)))
        if not part:
            raise EOFError
        data += part
    return bytes(data)


def _skip(reader: IO[bytes], length: int) -> None:
    while length > 0:
        part = reader.read(min(_CHUNK, length))
        if not part:
            raise EOFError
        length -= len(part)
