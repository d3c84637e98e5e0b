"""The outermost layer: a log line and a measurement for each call, and no failure that gets past."""

from __future__ import annotations

import time

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from coordinator.gateway.errors import answer, as_api_error, internal
from coordinator.gateway.metrics import Metrics

__all__ = ["Edge"]

_METHODS = {"GET", "HEAD", "POST", "PATCH"}
_QUIET = {"/healthz", "/metrics"}
_log = structlog.get_logger("coordinator.gateway")


class Edge:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 0

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        begun = time.perf_counter()
        try:
            await self._app(scope, receive, watched)
        except Exception as error:
            known = as_api_error(error)
            response = internal(error) if known is None else answer(known)
            if status:
                # Part of an answer is out: breaking off is all that is left to say.
                raise
            await response(scope, receive, watched)
        finally:
            self._note(scope, status, time.perf_counter() - begun)

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        # Templates, not paths: a path may be anything and there is no end to them.
        route = getattr(scope.get("route"), "path", "none")
        method = scope["method"] if scope["method"] in _METHODS else "other"
        self._metrics.seconds.labels(method, route).observe(seconds)
        self._metrics.answers.labels(route, str(status)).inc()
        if route not in _QUIET:
            path = scope["path"][:200]
            _log.info("call", method=scope["method"][:10], path=path, status=status, ms=round(seconds * 1000, 1))
