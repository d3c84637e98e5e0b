"""The receiving side of hints: one Redis subscription for a whole gateway process, shared by all who wait.

While the broker is away `Topic.wait` still returns, after at most a second: who waits then looks into the database.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator

import redis
import redis.asyncio
import structlog
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from coordinator.events.publish import WAKE, job_topic, redis_url

__all__ = ["Hints", "Topic"]

_POLL_SECONDS = 1.0
"""How long anyone waits at most while no hint can arrive."""
_RETRY_SECONDS = (0.2, 5.0)
"""First and longest pause before the broker is tried again."""
_NO_RETRY = Retry(NoBackoff(), 0)
"""The loop below is the retry; the library's own would hide for seconds that the broker is away."""

_log = structlog.get_logger(__name__)


class Topic:
    """One waiter's view of one topic. Made before the first look at the database, so that no hint falls in between."""

    def __init__(self, hints: Hints) -> None:
        self._hints = hints
        self._event = asyncio.Event()

    def set(self) -> None:
        self._event.set()

    async def wait(self, seconds: float) -> bool:
        """Until there is a hint (True) or `seconds` have passed (False); at most a second while the broker is away."""
        limit = seconds if self._hints.connected else min(seconds, _POLL_SECONDS)
        try:
            await asyncio.wait_for(self._event.wait(), max(0.0, limit))
        except TimeoutError:
            return False
        self._event.clear()
        return True


class Hints:
    """Subscribes to everything that this deployment hints at, and tells who waits for it. For one event loop."""

    def __init__(self, broker_url: str) -> None:
        self._url = redis_url(broker_url)
        self._waiting: dict[str, set[Topic]] = {}
        self._task: asyncio.Task[None] | None = None
        self.connected = False
        """Whether hints arrive at present."""

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="hints")

    async def stop(self) -> None:
        """Ends the subscription and lets everybody who waits look once more."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None
        self.wake_all()

    @contextlib.contextmanager
    def listen(self, topic: str) -> Iterator[Topic]:
        """A waiter for `topic` (`Hints.WAKE` or `Hints.job(id)`)."""
        waiter = Topic(self)
        self._waiting.setdefault(topic, set()).add(waiter)
        try:
            yield waiter
        finally:
            waiters = self._waiting[topic]
            waiters.discard(waiter)
            if not waiters:
                del self._waiting[topic]

    WAKE = WAKE
    ANY_JOB = job_topic("*")
    """For `listen`: something happened to some job."""
    job = staticmethod(job_topic)

    def wake_all(self) -> None:
        """Everybody looks again: after an outage, in which hints were lost, and at the end."""
        for waiters in self._waiting.values():
            for waiter in waiters:
                waiter.set()

    async def _run(self) -> None:
        pause = _RETRY_SECONDS[0]
        while True:
            try:
                client = redis.asyncio.Redis.from_url(self._url, health_check_interval=10, retry=_NO_RETRY)
                async with client, client.pubsub() as pubsub:
                    await pubsub.subscribe(WAKE)
                    await pubsub.psubscribe(job_topic("*"))
                    self.connected = True
                    pause = _RETRY_SECONDS[0]
                    self.wake_all()
                    while True:
                        self._tell(await pubsub.get_message(ignore_subscribe_messages=True, timeout=5))
            except (redis.RedisError, OSError) as error:
                if self.connected:
                    _log.warning("broker_away", error=str(error))
                self.connected = False
                self.wake_all()
            await asyncio.sleep(pause)
            pause = min(pause * 2, _RETRY_SECONDS[1])

    def _tell(self, message: dict[str, object] | None) -> None:
        if message is None:
            return
        channel = message.get("channel")
        name = channel.decode() if isinstance(channel, bytes) else str(channel)
        heard = (name, self.ANY_JOB) if name != WAKE else (name,)
        for topic in heard:
            for waiter in self._waiting.get(topic, ()):
                waiter.set()
