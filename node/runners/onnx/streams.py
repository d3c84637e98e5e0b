"""Several micro-batches at a time: how many, and doing something for each of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

__all__ = ["MOST_STREAMS", "anonymous_bytes", "each", "streams_of", "streams_within"]

MOST_STREAMS = 4
"""Each holds the activations of a micro-batch."""
_USED = 0.85
"""The least share of the threads that has work; five threads cannot be shared out evenly."""
_FILLED = 0.75
"""Of a runner's memory, by what it knows that it will need."""

_T = TypeVar("_T")


def streams_of(threads: int) -> int:
    """How many micro-batches `threads` CPU threads work on at a time, each stream with its share of them.

    Threads that work on one operator wait for the slowest of them after each, so whatever else a machine does stops
    them all; apart they lose only what is taken from them, and one packs what it computed while the others compute."""
    return next(streams for streams in range(MOST_STREAMS, 0, -1) if threads // streams * streams >= _USED * threads)


def streams_within(most: int, *, used: int, growth: int, limit: int) -> int:
    """How many of `most` streams fit a process that may take `limit` bytes (0: any), has `used`, and needed `growth` of
    them for its first stream."""
    if limit <= 0 or growth <= 0:
        return most
    return max(1, min(most, 1 + int((_FILLED * limit - used) // growth)))


def anonymous_bytes() -> int:
    """Memory of this process that no file stands behind: what its limit counts."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    return 0


def each(streams: int, call: Callable[[_T], object], values: Iterable[_T]) -> None:
    """Call it with every value, `streams` at a time, begun in their order. Raises the first error, once what had been
    begun has ended; nothing more is begun after one."""
    waiting, lock, failed = iter(values), threading.Lock(), threading.Event()

    def stream() -> None:
        while not failed.is_set():
            with lock:
                try:
                    value = next(waiting)
                except StopIteration:
                    return
            try:
                call(value)
            except BaseException:
                failed.set()
                raise

    with ThreadPoolExecutor(streams, thread_name_prefix="stream") as pool:
        running = [pool.submit(stream) for _ in range(streams)]
    for future in running:
        future.result()
