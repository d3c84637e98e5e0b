"""python -m coordinator.gateway [--host HOST] [--port PORT]: serve until SIGTERM or SIGINT, then end with 0."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import sys
from collections.abc import Iterator
from types import FrameType
from urllib.parse import urlsplit

import uvicorn

from coordinator.config import Settings
from coordinator.gateway import create_app
from coordinator.gateway.context import Gateway
from coordinator.logging import configure_logging
from jobs.errors import KilnetError

__all__ = ["main"]

_GRACE_SECONDS = 10
_KEEP_ALIVE_SECONDS = 60


class _Server(uvicorn.Server):
    """Lets those who wait (claims, event streams) go at once when it is told to stop, and ends in good order."""

    def __init__(self, config: uvicorn.Config, gateway: Gateway) -> None:
        super().__init__(config)
        self._gateway = gateway

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()

        def stop(number: int, frame: FrameType | None) -> None:
            loop.call_soon_threadsafe(self._gateway.stop)
            self.handle_exit(number, frame)

        before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def main(arguments: list[str] | None = None) -> int:
    """Serve the deployment that $KILNET_CONFIG names; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m coordinator.gateway", description=__doc__)
    parser.add_argument("--host", help="address to listen on (default: the one in the origin, if it is a local one)")
    parser.add_argument("--port", type=int, help="port to listen on (default: the one in the origin)")
    options = parser.parse_args(arguments)
    try:
        settings = Settings.load()
        configure_logging("gateway")
        app = create_app(settings)
    except KilnetError as error:
        print(f"gateway: {error}", file=sys.stderr)
        return error.exit_code
    origin = urlsplit(settings.origin)
    config = uvicorn.Config(
        app,
        host=options.host or (origin.hostname if origin.hostname in ("127.0.0.1", "::1", "localhost") else "127.0.0.1"),
        port=options.port or origin.port or 8000,
        log_config=None,
        access_log=False,
        server_header=False,
        lifespan="on",
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )
    server = _Server(config, app.state.gateway)
    server.run()
    return 0 if server.started else 1


if __name__ == "__main__":
    sys.exit(main())
