"""The sending side of hints: one message on a Redis channel, best effort, never in the way of the work."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable
from urllib.parse import parse_qs, urlsplit

import redis
import structlog
from redis.backoff import NoBackoff
from redis.retry import Retry

from coordinator.config import CONFIG_VARIABLE, Settings

__all__ = ["WAKE", "Publisher", "configure", "current", "job_topic", "redis_url"]

WAKE = "kilnet:wake"
"""New work may be there: workers that wait for a lease look again."""
_JOB = "kilnet:job:"
_PAUSE_SECONDS = 1.0
"""After a failure nothing is sent for so long: a broker that is away must not slow every transaction down."""
_TIMEOUT_SECONDS = 0.25

_log = structlog.get_logger(__name__)


def job_topic(job_id: str) -> str:
    """The channel of one job's events."""
    return _JOB + job_id


def redis_url(broker_url: str) -> str:
    """The broker's URL as redis-py takes it; Celery writes a socket as redis+socket:///path?virtual_host=0."""
    parts = urlsplit(broker_url)
    if parts.scheme != "redis+socket":
        return broker_url
    database = parse_qs(parts.query).get("virtual_host", ["0"])[0].strip("/") or "0"
    return f"unix://{parts.path}?db={database}"


class Publisher:
    """Sends hints. Safe to use from any thread and after a fork; never raises for a broker that is away."""

    def __init__(self, broker_url: str) -> None:
        self._url = redis_url(broker_url)
        self._lock = threading.Lock()
        self._client: redis.Redis | None = None
        self._pid = 0
        self._silent_until = 0.0

    def _connected(self) -> redis.Redis:
        with self._lock:
            if self._client is None or self._pid != os.getpid():
                self._client = redis.Redis.from_url(
                    self._url,
                    socket_timeout=_TIMEOUT_SECONDS,
                    socket_connect_timeout=_TIMEOUT_SECONDS,
                    # Once, for a connection that a restarted broker has closed; the library's default waits seconds.
                    retry=Retry(NoBackoff(), 1),
                )
                self._pid = os.getpid()
            return self._client

    def send(self, topics: Iterable[str]) -> bool:
        """Publish an empty message on each topic; False where the broker did not take them."""
        if time.monotonic() < self._silent_until:
            return False
        try:
            pipe = self._connected().pipeline(transaction=False)
            for topic in topics:
                pipe.publish(topic, b"1")
            pipe.execute()
        except redis.RedisError as error:
            self._silent_until = time.monotonic() + _PAUSE_SECONDS
            _log.debug("hint_not_sent", error=str(error))
            return False
        return True

    def close(self) -> None:
        with self._lock:
            if self._client is not None and self._pid == os.getpid():
                self._client.close()
            self._client = None


_current: Publisher | None = None


def configure(broker_url: str) -> Publisher:
    """Set where this process sends its hints; without it the configuration that $KILNET_CONFIG names is taken."""
    global _current
    _current = Publisher(broker_url)
    return _current


def current() -> Publisher | None:
    """This process's publisher; None where neither `configure` nor $KILNET_CONFIG named a broker."""
    if _current is None and CONFIG_VARIABLE in os.environ:
        configure(Settings.load().broker_url)
    return _current
