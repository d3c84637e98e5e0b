"""Times, as commands print them."""

from __future__ import annotations

import time

__all__ = ["when"]


def when(at: float) -> str:
    """A Unix time in words."""
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(at))
