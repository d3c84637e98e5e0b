"""Programs of the SDK carried out in an event loop (asyncio or trio)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, closing
from typing import Any, TypeVar

import anyio
import anyio.to_thread
import httpx

from jobs.client.blocking import PARALLEL
from jobs.client.effects import Afterwards, Alone, Close, Next, Open, Program, Send, Sleep, Tell, Together, Work

__all__ = ["Waiting"]

_T = TypeVar("_T")
_CONNECT_SECONDS = 10.0
_AFTERWARDS_SECONDS = 30.0


class _Steps:
    """A program between two effects."""

    def __init__(self, program: Program[Any]) -> None:
        self._program = program
        self._step: Any = program.send
        self._value: Any = None
        self.result: Any = None

    def next(self) -> Any:
        """The next effect, or None at the end."""
        try:
            return self._step(self._value)
        except StopIteration as end:
            self.result = end.value
            return None

    def came_to(self, value: Any) -> None:
        self._step, self._value = self._program.send, value

    def failed(self, error: Exception) -> None:
        self._step, self._value = self._program.throw, error


class Waiting:
    """Carries programs out with httpx.AsyncClient. For one event loop."""

    def __init__(
        self, base_url: str, *, timeout: float, headers: Mapping[str, str], transport: httpx.AsyncBaseTransport | None
    ) -> None:
        self._alone = anyio.Lock()
        self._http = httpx.AsyncClient(
            base_url=base_url,
            timeout=httpx.Timeout(timeout, connect=_CONNECT_SECONDS),
            headers=dict(headers),
            transport=transport,
        )

    async def close(self) -> None:
        await self._http.aclose()

    async def run(self, program: Program[_T]) -> _T:
        """What the program returns. Raises what it raises."""
        steps = _Steps(program)
        with closing(program):
            async with AsyncExitStack() as opened:
                while (effect := steps.next()) is not None:
                    await self._answer(steps, effect, opened)
        result: _T = steps.result
        return result

    async def iterate(self, program: Program[None]) -> AsyncIterator[Any]:
        """What the program tells, as it tells it."""
        steps = _Steps(program)
        with closing(program):
            async with AsyncExitStack() as opened:
                while (effect := steps.next()) is not None:
                    if isinstance(effect, Tell):
                        yield effect.item
                        steps.came_to(None)
                    else:
                        await self._answer(steps, effect, opened)

    async def _answer(self, steps: _Steps, effect: Any, opened: AsyncExitStack) -> None:
        try:
            steps.came_to(await self._do(effect, opened))
        except Exception as error:
            steps.failed(error)

    async def _do(self, effect: Any, opened: AsyncExitStack) -> Any:
        match effect:
            case Tell():
                return None  # nobody iterates
            case Send(method, path, content, headers):
                return await self._http.request(method, path, content=content, headers=dict(headers))
            case Open(path, headers, timeout):
                limits = httpx.Timeout(timeout, connect=_CONNECT_SECONDS)
                response = await opened.enter_async_context(
                    self._http.stream("GET", path, headers=dict(headers), timeout=limits)
                )
                response.extensions["pieces"] = response.aiter_raw()
                return response
            case Next(response):
                return await anext(response.extensions["pieces"], None)
            case Close(response):
                return await response.aclose()
            case Sleep(seconds):
                return await anyio.sleep(seconds)
            case Work(function):
                return await anyio.to_thread.run_sync(function)
            case Together(programs):
                return await self._together(programs)
            case Alone(program):
                async with self._alone:
                    return await self.run(program)
            case Afterwards(program):
                opened.push_async_callback(self._afterwards, program)
                return None
        raise TypeError(f"{effect!r} is no effect")

    async def _afterwards(self, program: Program[None]) -> None:
        """Also where the task was cancelled, but not for long then."""
        with anyio.move_on_after(_AFTERWARDS_SECONDS, shield=True):
            await self.run(program)

    async def _together(self, programs: Sequence[Program[Any]]) -> list[Any]:
        results: list[Any] = [None] * len(programs)
        slots = anyio.Semaphore(PARALLEL)

        async def one(index: int, program: Program[Any]) -> None:
            async with slots:
                results[index] = await self.run(program)

        try:
            async with anyio.create_task_group() as group:
                for index, program in enumerate(programs):
                    group.start_soon(one, index, program)
        except ExceptionGroup as several:
            # One failed; the others were ended for its sake.
            raise several.exceptions[0] from several.exceptions[0].__cause__
        return results
