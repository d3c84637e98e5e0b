"""Several micro-batches at a time: how many, and doing something for each of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

__all__ = ["MOST_LANES", "anonymous_bytes", "each", "lanes_of", "lanes_within"]

MOST_LANES = 4
"""Each holds the activations of a micro-batch."""
_USED = 0.85
"""The least share of the threads that has work; five threads cannot be shared out evenly."""
_FILLED = 0.75
"""Of a runner's memory, by what it knows that it will need."""

_T = TypeVar("_T")


def lanes_of(threads: int) -> int:
    """How many micro-batches `threads` CPU threads work on at a time, each lane with its share of them.

    Threads that work on one operator wait for the slowest of them after each, so whatever else a machine does stops
    them all; apart they lose only what is taken from them, and one packs what it computed while the others compute."""
    return next(lanes for lanes in range(MOST_LANES, 0, -1) if threads // lanes * lanes >= _USED * threads)


def lanes_within(most: int, *, used: int, growth: int, limit: int) -> int:
    """How many of `most` lanes fit a process that may take `limit` bytes (0: any), has `used`, and needed `growth` of
    them for its first lane."""
    if limit <= 0 or growth <= 0:
        return most
    return max(1, min(most, 1 + int((_FILLED * limit - used) // growth)))


def anonymous_bytes() -> int:
    """Memory of this process that no file stands behind: what its limit counts."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    return 0


def each(lanes: int, call: Callable[[_T], object], values: Iterable[_T]) -> None:
    """Call it with every value, `lanes` at a time, begun in their order. Raises the first error, once what had been
    begun has ended; nothing more is begun after one."""
    waiting, lock, failed = iter(values), threading.Lock(), threading.Event()

    def lane() -> None:
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

    with ThreadPoolExecutor(lanes, thread_name_prefix="lane") as pool:
        running = [pool.submit(lane) for _ in range(lanes)]
    for future in running:
        future.result()
