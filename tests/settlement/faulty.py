"""A chain's RPC behind a door that misbehaves: errors, rubbish, no answer, or one after the caller died."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from urllib.request import Request, urlopen

__all__ = ["FAULTS", "FaultyRpc"]

FAULTS = ("error_500", "rubbish", "rpc_error", "closed_before", "closed_after", "killed_before", "killed_after")
"""`after`: the chain has the request, and its answer is lost."""


class FaultyRpc:
    """Forwards to `target`; `fault(n)` says what goes wrong with the n-th request (from 1), None for nothing."""

    def __init__(self, target: str) -> None:
        self.target = target
        self.fault: Callable[[int], str | None] = lambda _: None
        self.victim: int | None = None
        """The process that `killed_…` ends."""
        self.requests = 0
        self.before: Callable[[str], None] = lambda _: None
        """Called with a request's method before the chain has it: what comes between its caller and the chain."""
        self._lock = threading.Lock()
        door = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                with door._lock:
                    door.requests += 1
                    fault = door.fault(door.requests)
                if fault in ("closed_before", "killed_before"):
                    door.drop(self, fault)
                    return
                if fault == "error_500":
                    self.answer(b"the RPC is having a bad day", 500)
                elif fault == "rubbish":
                    self.answer(b"<html>not JSON</html>")
                elif fault == "rpc_error":
                    self.answer(b'{"jsonrpc":"2.0","id":1,"error":{"code":-32603,"message":"internal error"}}')
                else:
                    door.before(str(json.loads(body).get("method")))
                    request = Request(door.target, data=body, headers={"Content-Type": "application/json"})
                    with urlopen(request, timeout=20) as reply:
                        found = reply.read()
                    if fault is None:
                        self.answer(found)
                    else:
                        door.drop(self, fault)

            def answer(self, body: bytes, status: int = 200) -> None:
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def drop(self, handler: BaseHTTPRequestHandler, fault: str) -> None:
        """Hang up without an answer, on a caller that may be dead."""
        if fault.startswith("killed") and self.victim is not None:
            os.kill(self.victim, signal.SIGKILL)
        handler.close_connection = True

    def __enter__(self) -> FaultyRpc:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
