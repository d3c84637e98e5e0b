"""How often one account, or one network address before it signs in, may call: token buckets.

They are kept in Redis, so that all gateways of a deployment count together, and in memory while the broker is away.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import NamedTuple

import redis
import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from coordinator.errors import SlowDown
from coordinator.events import redis_url

__all__ = ["ACCOUNT", "GUEST", "SIGN_IN", "Limiter", "Rate"]

_TIMEOUT_SECONDS = 0.25
_PAUSE_SECONDS = 2.0
_BUCKETS_IN_MEMORY = 50_000
_TAKE = """
local rate, burst, cost = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local clock = redis.call('TIME')
local now = clock[1] + clock[2] / 1000000
local bucket = redis.call('HMGET', KEYS[1], 'level', 'at')
local level = math.min(burst, (tonumber(bucket[1]) or burst) + math.max(0, now - (tonumber(bucket[2]) or now)) * rate)
local wait = 0
if level >= cost then level = level - cost else wait = (cost - level) / rate end
redis.call('HSET', KEYS[1], 'level', level, 'at', now)
redis.call('PEXPIRE', KEYS[1], math.ceil(burst / rate * 1000) + 1000)
return tostring(wait)
"""


class Rate(NamedTuple):
    """A bucket that holds `burst` calls and is filled with `per_second`."""

    name: str
    per_second: float
    burst: float


ACCOUNT = Rate("account", 300, 3000)
"""All calls of an account: far above what a busy node or the upload of a thousand textures needs."""
SIGN_IN = Rate("sign_in", 5, 100)
"""Nonces, logins and wrong tokens from one network address: each costs a row or the check of a signature."""
GUEST = Rate("guest", 50, 500)
"""Other calls of those who are not signed in, from one network address."""


class Limiter:
    """Counts calls. For one event loop."""

    def __init__(self, broker_url: str) -> None:
        self._client = redis.asyncio.Redis.from_url(
            redis_url(broker_url),
            socket_timeout=_TIMEOUT_SECONDS,
            socket_connect_timeout=_TIMEOUT_SECONDS,
            retry=Retry(NoBackoff(), 1),
        )
        self._script = self._client.register_script(_TAKE)
        self._away_until = 0.0
        self._memory: OrderedDict[str, tuple[float, float]] = OrderedDict()

    async def take(self, rate: Rate, who: str, *, cost: float = 1) -> None:
        """Count a call of `who`. Raises SlowDown where there are too many."""
        key = f"kilnet:rate:{rate.name}:{who}"
        wait = await self._shared(rate, key, cost)
        if wait is None:
            wait = self._own(rate, key, cost)
        if wait > 0:
            slow = rate.per_second < 1
            pace = f"{rate.per_second * 60:g} calls a minute" if slow else f"{rate.per_second:g} calls a second"
            raise SlowDown(f"more than {pace}; wait {max(1, round(wait))} s", retry_after=wait)

    async def close(self) -> None:
        await self._client.aclose()

    async def _shared(self, rate: Rate, key: str, cost: float) -> float | None:
        if time.monotonic() < self._away_until:
            return None
        try:
            return float(await self._script(keys=[key], args=[rate.per_second, rate.burst, cost]))
        except (redis.RedisError, OSError):
            self._away_until = time.monotonic() + _PAUSE_SECONDS
            return None

    def _own(self, rate: Rate, key: str, cost: float) -> float:
        now = time.monotonic()
        level, at = self._memory.pop(key, (rate.burst, now))
        level = min(rate.burst, level + (now - at) * rate.per_second)
        wait = 0.0 if level >= cost else (cost - level) / rate.per_second
        self._memory[key] = (level - cost if wait == 0 else level, now)
        if len(self._memory) > _BUCKETS_IN_MEMORY:
            self._memory.popitem(last=False)
        return wait
