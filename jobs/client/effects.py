"""What a program of the SDK asks of the world. The SDK's logic (sign-in, patience, uploads, events) is written once, as
generators that yield these and are answered; jobs.client.blocking and jobs.client.waiting carry them out."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

__all__ = [
    "Afterwards", "Alone", "Close", "Next", "Open", "Program", "Send", "Sleep", "Tell", "Together", "Work", "each",
]  # fmt: skip

_T = TypeVar("_T")
Program = Generator[Any, Any, _T]
"""Yields effects, is sent what each came to (or has its error thrown in), returns its result."""


@dataclass(frozen=True)
class Send:
    """A call. Comes to an httpx.Response whose body is read; raises httpx.TransportError."""

    method: str
    path: str
    content: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Open:
    """A GET whose body is read piece by piece. Comes to an httpx.Response; raises httpx.TransportError."""

    path: str
    headers: Mapping[str, str]
    timeout: float
    """Seconds that may pass between two pieces."""


@dataclass(frozen=True)
class Next:
    """The next piece of an opened body, as it came. Comes to bytes, or None at its end; raises httpx.TransportError."""

    response: Any


@dataclass(frozen=True)
class Close:
    """An opened body is not needed any more; what is open when a program ends is closed anyway."""

    response: Any


@dataclass(frozen=True)
class Sleep:
    seconds: float


@dataclass(frozen=True)
class Work:
    """Something that takes disk or processor for longer than a moment. Comes to what it returns."""

    function: Callable[[], Any]


@dataclass(frozen=True)
class Together:
    """Programs side by side, a few at a time. Comes to their results in order; the first error ends the others."""

    programs: Sequence[Program[Any]]


@dataclass(frozen=True)
class Alone:
    """A program of which a client runs one at a time. Comes to its result."""

    program: Program[Any]


@dataclass(frozen=True)
class Afterwards:
    """A program that is run once the one that asks has ended, however that was: an error, Ctrl-C, a cancelled task, an
    iteration that was left. It must not raise what is to be told."""

    program: Program[None]


@dataclass(frozen=True)
class Tell:
    """One of the results that whoever iterates over the program is given."""

    item: Any


def each(program: Program[None], handle: Callable[[Any], Program[None]]) -> Program[None]:
    """`program`, with whatever it tells given to `handle` instead."""
    step: Any = program.send
    value: Any = None
    try:
        while True:
            try:
                effect = step(value)
            except StopIteration:
                return
            if isinstance(effect, Tell):
                yield from handle(effect.item)
                step, value = program.send, None
                continue
            try:
                step, value = program.send, (yield effect)
            except Exception as error:
                step, value = program.throw, error
    finally:
        program.close()
