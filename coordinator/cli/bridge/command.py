"""The command: one request after another is begun, each in a thread of its own, until stdin ends."""

from __future__ import annotations

import sys
import threading
import time
from contextlib import suppress
from typing import IO, TYPE_CHECKING, Any

import typer

from coordinator.cli.options import Gateway, Key
from jobs.errors import KilnetError

if TYPE_CHECKING:
    from coordinator.cli.bridge.lines import Request, Talk
    from coordinator.cli.bridge.requests import Requests

__all__ = ["register"]

_MOST = 16
"""Requests at a time."""
_LAST_SECONDS = 5.0
"""When the program is gone, requests have so long to end."""


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("bridge")(_bridge)


def _bridge(gateway: Gateway = None, key: Key = None) -> None:
    """Speak lines of JSON with another program, such as the Blender add-on (docs/bridge.md)."""
    from coordinator.cli.bridge.lines import Talk, read_requests
    from coordinator.cli.bridge.requests import Requests

    talk = Talk(_own_stdout())
    requests = Requests(gateway, key)
    running: dict[object, Request] = {}
    threads: list[threading.Thread] = []
    try:
        for message in read_requests():
            if isinstance(message, str):
                talk.send(None, "error", code="bad_input", message=message)
            else:
                threads = [thread for thread in threads if thread.is_alive()]
                threads += _begin(requests, talk, running, message)
    finally:
        for request in list(running.values()):
            request.stop()
        end = time.monotonic() + _LAST_SECONDS
        for thread in threads:
            thread.join(max(0.0, end - time.monotonic()))
        requests.close()


def _own_stdout() -> IO[str]:
    """Stdout for the lines alone: what anything else prints goes to stderr from here on."""
    out, sys.stdout = sys.stdout, sys.stderr
    return out


def _begin(
    requests: Requests, talk: Talk, running: dict[object, Request], message: dict[str, Any]
) -> list[threading.Thread]:
    """The thread that carries the request out, if it takes one."""
    from coordinator.cli.bridge.lines import Request

    request = Request(talk, message)
    if not isinstance(request.id, int | str):
        talk.send(None, "error", code="bad_input", message="a request needs an id, a number or text")
    elif request.do == "stop":
        if (other := running.get(message.get("what"))) is not None:
            other.stop()
        request.end("done")
    elif request.id in running or len(running) >= _MOST:
        request.end("error", code="busy", message=f"{len(running)} requests are running; wait for one, or stop one")
    else:
        running[request.id] = request
        thread = threading.Thread(target=_run, args=(requests, request, running), daemon=True)
        thread.start()
        return [thread]
    return []


def _run(requests: Requests, request: Request, running: dict[object, Request]) -> None:
    try:
        answer = requests.carry_out(request)
        event = "done"
    except KilnetError as error:
        answer, event = {"code": error.code, "message": " ".join(str(error).split())}, "error"
    except Exception as error:
        said = f"unexpected {type(error).__name__}: {error}; please report it"
        answer, event = {"code": "unexpected", "message": " ".join(said.split())[:500]}, "error"
    with suppress(KeyError):
        del running[request.id]
    request.end(event, **answer)
