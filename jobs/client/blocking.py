"""Programs of the SDK carried out by the thread that asks."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from typing import Any, TypeVar

import httpx

from jobs.client.effects import Afterwards, Alone, Close, Next, Open, Program, Send, Sleep, Tell, Together, Work

__all__ = ["PARALLEL", "Blocking"]

_T = TypeVar("_T")
PARALLEL = 4
"""Files on their way at once."""
_CONNECT_SECONDS = 10.0


class Blocking:
    """Carries programs out with httpx.Client. Safe to use from several threads."""

    def __init__(
        self, base_url: str, *, timeout: float, headers: Mapping[str, str], transport: httpx.BaseTransport | None
    ) -> None:
        self._alone = threading.Lock()
        self._http = httpx.Client(
            base_url=base_url,
            timeout=httpx.Timeout(timeout, connect=_CONNECT_SECONDS),
            headers=dict(headers),
            transport=transport,
        )

    def close(self) -> None:
        self._http.close()

    def run(self, program: Program[_T]) -> _T:
        """What the program returns. Raises what it raises."""
        driving = self._drive(program)
        while True:
            try:
                next(driving)
            except StopIteration as end:
                result: _T = end.value
                return result

    def iterate(self, program: Program[None]) -> Iterator[Any]:
        """What the program tells, as it tells it."""
        return self._drive(program)

    def _drive(self, program: Program[_T]) -> Program[_T]:
        with ExitStack() as opened, closing(program):
            step, value = program.send, None
            while True:
                try:
                    effect = step(value)
                except StopIteration as end:
                    result: _T = end.value
                    return result
                if isinstance(effect, Tell):
                    yield effect.item
                    step, value = program.send, None
                    continue
                try:
                    step, value = program.send, self._do(effect, opened)
                except Exception as error:
                    step, value = program.throw, error

    def _do(self, effect: Any, opened: ExitStack) -> Any:
        match effect:
            case Send(method, path, content, headers):
                return self._http.request(method, path, content=content, headers=dict(headers))
            case Open(path, headers, timeout):
                limits = httpx.Timeout(timeout, connect=_CONNECT_SECONDS)
                response = opened.enter_context(self._http.stream("GET", path, headers=dict(headers), timeout=limits))
                response.extensions["pieces"] = response.iter_raw()
                return response
            case Next(response):
                return next(response.extensions["pieces"], None)
            case Close(response):
                return response.close()
            case Sleep(seconds):
                return time.sleep(seconds)
            case Work(function):
                return function()
            case Together(programs):
                return self._together(programs)
            case Alone(program):
                with self._alone:
                    return self.run(program)
            case Afterwards(program):
                opened.callback(self.run, program)
                return None
        raise TypeError(f"{effect!r} is no effect")

    def _together(self, programs: Sequence[Program[Any]]) -> list[Any]:
        with ThreadPoolExecutor(PARALLEL, thread_name_prefix="kilnet") as pool:
            begun = [pool.submit(self.run, program) for program in programs]
            try:
                return [future.result() for future in begun]
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
