"""A small gateway on a real socket: it speaks docs/node-protocol.md for scripted leases, and misbehaves on demand."""

from __future__ import annotations

import hashlib
import json
import re
import threading
import time
from collections import deque
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from jobs.typed_data import recover_text

Answer = tuple[int, dict[str, str], bytes]
Trouble = Callable[[str, str], Answer | None]
"""Called with method and path before every answer; an answer of its own replaces it."""


def error(status: int, code: str, headers: dict[str, str] | None = None) -> Answer:
    return status, headers or {}, json.dumps({"code": code, "message": f"said {code}"}).encode()


class SmallGateway:
    """State of the gateway; `calls` lists what was asked, in order."""

    def __init__(self, port: int = 0) -> None:
        self.calls: list[tuple[str, str, Any]] = []
        self.headers: list[tuple[str, dict[str, str]]] = []
        """Path and headers of each of them."""
        self.leases: deque[dict[str, Any]] = deque()
        self.blobs: dict[str, bytes] = {}
        self.uploads: dict[str, bytearray] = {}
        self.tokens: set[str] = set()
        self.trouble: Trouble = lambda _method, _path: None
        self.statuses: dict[str, dict[str, Any]] = {}
        self.cancel: set[str] = set()
        self.origin_in_message: str | None = None
        self.max_chunk = 1 << 20
        self._changed = threading.Condition()
        self._server = ThreadingHTTPServer(("127.0.0.1", port), _handler(self))
        self._server.daemon_threads = True
        self.port: int = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def offer(self, lease: dict[str, Any]) -> None:
        with self._changed:
            self.leases.append(lease)
            self._changed.notify_all()

    def bodies(self, method: str, pattern: str) -> list[Any]:
        """Bodies of the calls to paths that match, in order."""
        return [body for verb, path, body in list(self.calls) if verb == method and re.fullmatch(pattern, path)]

    def wait_for(self, method: str, pattern: str, *, count: int = 1, seconds: float = 60) -> list[Any]:
        """As `bodies`, once there are `count`. Fails the test when they do not come in time."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            found = self.bodies(method, pattern)
            if len(found) >= count:
                return found
            time.sleep(0.02)
        raise AssertionError(
            f"no {count} calls {method} {pattern} in {seconds} s; there were {[c[:2] for c in self.calls]}"
        )

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        spoken = json.loads(body) if headers.get("content-type") == "application/json" else body
        self.calls.append((method, path, spoken))
        self.headers.append((path, headers))
        return self.trouble(method, path) or self._answer(method, path, headers, spoken)

    def _answer(self, method: str, path: str, headers: dict[str, str], body: Any) -> Answer:
        if path == "/v1/auth/nonce":
            origin = self.origin_in_message or self.url
            return _json({"message": f"{origin} asks you\n{body['address']}\nNonce: 1", "expires_at": 0})
        if path == "/v1/auth/login":
            if recover_text(body["message"], body["signature"]) != body["address"]:
                return error(401, "bad_signature")
            self.tokens.add(token := f"token-{len(self.calls)}")
            return _json({"token": token, "expires_at": 0, "trusted": False})
        if headers.get("authorization", "").removeprefix("Bearer ") not in self.tokens:
            return error(401, "not_signed_in")
        if path == "/v1/nodes/register":
            view = {key: body[key] for key in ("name", "sandboxed", "runtimes", "region", "ask_usd_per_kiln_hour")}
            address = "0x" + "11" * 20
            zero = {"tiles_accepted": 0, "tiles_rejected": 0, "earned": "0", "suspended": None}
            return _json(view | zero | {"address": address, "owner": address, "trusted": False, "online": True})
        if path == "/v1/leases/claim":
            return self._claim(float(body["wait_seconds"]))
        if match := re.fullmatch(r"/v1/leases/(\w+)(?:/(\w+))?", path):
            return self._lease(match[1], match[2], body)
        if match := re.fullmatch(r"/v1/blobs/([0-9a-f]{64})(/upload)?", path):
            return self._blob(method, match[1], bool(match[2]), headers, body)
        return error(404, "not_found")

    def _claim(self, wait: float) -> Answer:
        with self._changed:
            if not self.leases:
                self._changed.wait(min(wait, 1.0))
            return _json(self.leases.popleft()) if self.leases else (204, {}, b"")

    def _lease(self, lease: str, call: str | None, body: Any) -> Answer:
        if call is None:
            return _json(self.statuses.get(lease, {"state": "uploaded"}))
        if call == "heartbeat":
            return _json({"cancel": lease in self.cancel, "expires_at": 0})
        return _json({"root": body["root"]} if call == "commit" else {"state": "uploaded"})

    def _blob(self, method: str, sha: str, upload: bool, headers: dict[str, str], body: Any) -> Answer:
        if upload and method == "GET":
            have = len(self.blobs[sha]) if sha in self.blobs else len(self.uploads.get(sha, b""))
            return _json({"offset": have})
        if upload:
            return self._append(sha, int(headers["upload-offset"]), int(headers["upload-length"]), body)
        if sha not in self.blobs:
            return error(404, "not_found")
        start = int(headers["range"].removeprefix("bytes=").rstrip("-")) if "range" in headers else 0
        return (206 if start else 200), {"Content-Type": "application/octet-stream"}, self.blobs[sha][start:]

    def _append(self, sha: str, offset: int, length: int, chunk: bytes) -> Answer:
        if len(chunk) > self.max_chunk:
            return error(413, "too_large")
        held = self.uploads.setdefault(sha, bytearray())
        if offset != len(held):
            return error(409, "wrong_offset", {"Upload-Offset": str(len(held))})
        held += chunk
        if len(held) == length:
            if hashlib.sha256(held).hexdigest() != sha:
                held.clear()
                return error(422, "wrong_hash", {"Upload-Offset": "0"})
            self.blobs[sha] = bytes(held)
        return 204, {"Upload-Offset": str(len(held))}, b""


def _json(value: object) -> Answer:
    return 200, {"Content-Type": "application/json"}, json.dumps(value).encode()


def _handler(gateway: SmallGateway) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {key.lower(): value for key, value in self.headers.items()}
            status, extra, content = gateway.answer(self.command, self.path, headers, body)
            try:
                self.send_response(status)
                for key, value in extra.items():
                    self.send_header(key, value)
                if "Content-Length" not in extra:
                    self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)
                if "Content-Length" in extra:  # it announced more than it sends
                    self.close_connection = True
            except OSError:
                self.close_connection = True

        do_GET = do_POST = do_PATCH = _serve  # noqa: N815 (the names that http.server looks for)

        def log_message(self, format: str, *args: object) -> None: ...

    return Handler
