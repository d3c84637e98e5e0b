"""How long to wait before a call is repeated."""

from __future__ import annotations

import random
from collections.abc import Iterator

__all__ = ["delays"]

FIRST_SECONDS = 1.0
LONGEST_SECONDS = 30.0


def delays(*, first: float = FIRST_SECONDS, longest: float = LONGEST_SECONDS) -> Iterator[float]:
    """Seconds: `first`, doubling up to `longest`, each shortened at random by up to a half, so that a gateway that
    comes back is not met by all its workers in the same moment."""
    delay = first
    while True:
        yield delay * random.uniform(0.5, 1.0)  # noqa: S311 (spreads load, hides nothing)
        delay = min(delay * 2, longest)
