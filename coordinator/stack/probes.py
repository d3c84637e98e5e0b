"""Whether a part does its work by now. Each asks once and answers within a second; not answering raises OSError."""

from __future__ import annotations

import http.client
import json
import socket
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

__all__ = ["answers", "broker_answers", "free_port", "gateway_info", "tasks_are_taken", "worker_seen"]

_SECONDS = 1.0


def _ask_broker(path: Path, command: str) -> bytes:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(_SECONDS)
        connection.connect(str(path))
        connection.sendall(command.encode() + b"\r\n")
        return connection.recv(65536)


def broker_answers(path: Path) -> bool:
    """Whether Valkey at this Unix socket takes commands (it refuses them while it reads its file)."""
    return _ask_broker(path, "PING").startswith(b"+PONG")


def tasks_are_taken(path: Path) -> bool:
    """Whether a Celery worker waits for messages: it blocks on its queue, and nothing else here does."""
    for line in _ask_broker(path, "INFO clients").splitlines():
        if line.startswith(b"blocked_clients:"):
            return int(line.partition(b":")[2]) > 0
    return False


def _get(port: int, path: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_SECONDS)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def answers(port: int, path: str) -> bool:
    """Whether GET of `path` on this loopback port gives 200."""
    return _get(port, path)[0] == 200


def gateway_info(port: int) -> dict[str, Any]:
    """jobs.wire.Info of the gateway on this loopback port. Raises OSError where it does not answer."""
    status, body = _get(port, "/v1/info")
    if status != 200:
        raise ConnectionError(f"the gateway on port {port} answers with status {status}")
    info: dict[str, Any] = json.loads(body)
    return info


def worker_seen(database: Path, address: str, *, since: float) -> bool:
    """Whether the gateway has heard of this worker since a time (Unix seconds). Read from the stack's own SQLite
    file: the gateway tells that to the worker alone. Raises sqlite3.Error while there is no such table."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=_SECONDS)) as connection:
        row = connection.execute("SELECT last_seen FROM nodes WHERE address = ?", (address,)).fetchone()
    return row is not None and float(row[0]) >= since


def free_port(wanted: int | None = None) -> int:
    """`wanted` where nobody listens there, else a free one; of 127.0.0.1."""
    for port in (wanted, 0):
        if port is None:
            continue
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise OSError("no free port on 127.0.0.1")
