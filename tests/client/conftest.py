"""The client against a real gateway (tests/coordinator/gateway), with faults put in at httpx's seam."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import anyio
import httpx
import pytest

from jobs.client import AsyncClient, Client
from tests.coordinator.conftest import sqlite_url
from tests.coordinator.gateway.conftest import Served, broker, served

__all__ = ["Faults", "broker", "faulty", "gather", "served", "sqlite_url"]


class _CutStream(httpx.SyncByteStream):
    """A body that breaks off."""

    def __init__(self, inner: httpx.SyncByteStream, count: int) -> None:
        self._inner, self._left = inner, count

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._inner:
            yield chunk[: self._left]
            self._left -= len(chunk)
            if self._left <= 0:
                raise httpx.ReadError("cut")

    def close(self) -> None:
        self._inner.close()


class Faults(httpx.BaseTransport):
    """A real connection on which chosen calls go wrong. `lose_answer(request)`: the gateway gets the call, the client
    no answer. `cut(request)`: the answer's body ends after so many bytes."""

    def __init__(self) -> None:
        self._inner = httpx.HTTPTransport()
        self.calls: list[tuple[str, str]] = []
        self.lose_answer: Callable[[httpx.Request], bool] = lambda _: False
        self.cut: Callable[[httpx.Request], int | None] = lambda _: None

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.calls.append((request.method, request.url.path))
        response = self._inner.handle_request(request)
        if self.lose_answer(request):
            response.read()
            raise httpx.ReadError("the connection broke off")
        count = self.cut(request)
        if count is not None:
            assert isinstance(response.stream, httpx.SyncByteStream)
            response.stream = _CutStream(response.stream, count)
        return response

    def close(self) -> None:
        self._inner.close()


@pytest.fixture
def faulty(served: Served) -> Iterator[tuple[Client, Faults]]:
    """A client of the world's owner on a connection that can be made to fail."""
    faults = Faults()
    with Client(served.url, served.world.owner.key, patience=5, transport=faults) as client:
        yield client, faults


def gather(served: Served, awaited: bool, iterate: Callable[[Any], Any]) -> list[Any]:
    """All that the client of this kind iterates over, as the world's owner."""
    if not awaited:
        with Client(served.url, served.world.owner.key, patience=5) as client:
            return list(iterate(client))

    async def main() -> list[Any]:
        async with AsyncClient(served.url, served.world.owner.key, patience=5) as client:
            return [one async for one in iterate(client)]

    return anyio.run(main)
