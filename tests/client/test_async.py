"""The client for event loops: the same logic as the other one, carried out by httpx.AsyncClient."""

from __future__ import annotations

import threading
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from coordinator import events
from coordinator.store.models import Job
from jobs.client import AsyncClient
from jobs.errors import BadInput, Refused, Unavailable
from tests.client.test_transfers import files
from tests.coordinator.gateway.conftest import Served


class _CutStream(httpx.AsyncByteStream):
    """A body that breaks off."""

    def __init__(self, inner: httpx.AsyncByteStream, count: int) -> None:
        self._inner, self._left = inner, count

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._inner:
            yield chunk[: self._left]
            self._left -= len(chunk)
            if self._left <= 0:
                raise httpx.ReadError("cut")

    async def aclose(self) -> None:
        await self._inner.aclose()


class _Faults(httpx.AsyncBaseTransport):
    """A real connection on which chosen calls go wrong."""

    def __init__(self) -> None:
        self._inner = httpx.AsyncHTTPTransport()
        self.calls: list[tuple[str, str]] = []
        self.lose_answer: Callable[[httpx.Request], bool] = lambda _: False
        self.cut: Callable[[httpx.Request], int | None] = lambda _: None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.calls.append((request.method, request.url.path))
        response = await self._inner.handle_async_request(request)
        if self.lose_answer(request):
            await response.aread()
            raise httpx.ReadError("the connection broke off")
        count = self.cut(request)
        if count is not None:
            assert isinstance(response.stream, httpx.AsyncByteStream)
            response.stream = _CutStream(response.stream, count)
        return response

    async def aclose(self) -> None:
        await self._inner.aclose()


def test_files_go_and_come_over_connections_that_break(served: Served, tmp_path: Path) -> None:
    """A lost answer and a cut download: the bytes are whole, the sign-in was one although four files went at once."""
    faults, lost, ranges = _Faults(), [], []
    data = bytes(range(256)) * 40_000
    manifest, sources = files(tmp_path, big=data, b=b"b", c=b"c" * 1000, d=b"")

    def lose(request: httpx.Request) -> bool:
        if request.method == "PATCH" and request.headers["Upload-Offset"] != "0" and not lost:
            lost.append(1)
            return True
        return False

    def cut(request: httpx.Request) -> int | None:
        if request.method == "GET" and request.url.path.startswith("/v1/blobs/") and "upload" not in request.url.path:
            ranges.append(request.headers.get("Range"))
            return 1_000_000 if len(ranges) < 3 else None
        return None

    faults.lose_answer = lose

    async def main() -> None:
        async with AsyncClient(served.url, served.world.owner.key, patience=5, transport=faults) as client:
            assert await client.upload(manifest, sources) == len(data) + 1001
            faults.cut = cut
            await client.download(manifest.assets[0].sha256, tmp_path / "out", size=len(data))
            with pytest.raises(Refused) as refused:
                await client.job("nothere")
            assert refused.value.code == "not_found"

    anyio.run(main)
    assert (tmp_path / "out").read_bytes() == data and lost and len(ranges) == 3 and ranges[2]
    assert [path for _, path in faults.calls].count("/v1/auth/login") == 1


def test_events_resume_and_the_loop_goes_on(served: Served) -> None:
    """Every event once and in order over a connection that is cut, while another task of the loop runs."""
    world = served.world
    job = world.job(tiles=1, state="running")
    faults, streams, ticks = _Faults(), [], []
    with world.db.begin() as session:
        for number in range(5):
            events.record(session, job, "tile", {"number": number})

    def cut(request: httpx.Request) -> int | None:
        if request.url.path.endswith("/events"):
            streams.append(request.headers.get("Last-Event-ID"))
            return 140 if len(streams) == 1 else None
        return None

    faults.cut = cut

    def finish() -> None:
        time.sleep(0.5)
        with world.db.begin() as session:
            events.record(session, job, "tile", {"number": 5})
            session.get_one(Job, job).state = "done"

    async def main() -> list[int]:
        async def tick() -> None:
            while True:
                await anyio.sleep(0.02)
                ticks.append(1)

        async with (
            AsyncClient(served.url, world.owner.key, patience=5, transport=faults) as client,
            anyio.create_task_group() as group,
        ):
            group.start_soon(tick)
            seen = [event.data["number"] async for event in client.events(job) if event.type == "tile"]
            group.cancel_scope.cancel()
        return seen

    thread = threading.Thread(target=finish)
    thread.start()
    seen: Any = anyio.run(main)
    thread.join()
    assert seen == [0, 1, 2, 3, 4, 5] and len(streams) >= 2 and streams[1] is not None
    assert len(ticks) > 5


def test_one_error_ends_the_others(served: Served, tmp_path: Path) -> None:
    """A file that is gone is one BadInput that names it, not a group of errors."""
    manifest, sources = files(tmp_path, a=b"a", b=b"b" * 100)
    (tmp_path / "b").unlink()

    async def main() -> None:
        async with AsyncClient(served.url, served.world.owner.key, patience=5) as client:
            with pytest.raises(BadInput, match="b: cannot be read"):
                await client.upload(manifest, sources)

    anyio.run(main)


def test_nobody_there() -> None:
    """Unavailable after the patience, without holding up the loop."""

    async def main() -> None:
        async with AsyncClient("http://127.0.0.1:9", b"\x4c" * 32, patience=0.4) as client:
            with pytest.raises(Unavailable, match="is it running"):
                await client.info()

    anyio.run(main)
