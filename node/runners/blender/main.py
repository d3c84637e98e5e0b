# SPDX-FileCopyrightText: The kilnet authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The request loop: one JSON line in, progress and one answer out. See PROTOCOL.md."""

from __future__ import annotations

import argparse
import json
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bpy

from . import assemble, bake, describe, device, protocol, raster, reference, render
from .errors import RunnerError, request_error
from .session import Session, version

Op = Callable[[Session, dict[str, Any]], dict[str, Any]]

AGAIN = "--again"

OPS: dict[str, Op] = {
    "describe": describe.describe,
    "reference": reference.reference,
    "render_tile": render.render_tile,
    "render_cells": render.render_cells,
    "assemble": assemble.assemble,
    "bake": bake.bake,
    "raster": raster.raster,
}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="blender-runner", description="Renders what JSON requests on stdin ask for.")
    parser.add_argument("--scratch", type=Path, required=True, help="the one folder that may be written to")
    parser.add_argument("--device", default="CPU", help="CPU, or KIND:INDEX such as OPTIX:0")
    parser.add_argument("--threads", type=int, default=0, help="0: as many as the machine has")
    argv = sys.argv[1:]
    parser.add_argument(AGAIN, action="store_true", help="do not greet: this runner replaces itself")
    return parser.parse_args(argv[argv.index("--") + 1 :] if "--" in argv else argv)


def run() -> None:
    """Serve until `exit` or the end of stdin. Leaves by os._exit: some files keep Blender from ever ending."""
    arguments = _arguments()
    try:
        session = Session(arguments.scratch, device.use_device(arguments.device), max(0, arguments.threads))
    except RunnerError as error:
        protocol.send({"event": "refused", "error": error.as_json()})
        os._exit(3)
    bpy.app.handlers.render_stats.append(_on_stats)
    protocol.start_alive_thread()
    if not arguments.again:
        _greet(arguments.device)
    for line in sys.stdin.buffer:
        if line.strip():
            _serve(session, line)
    os._exit(0)


def _greet(chosen: str) -> None:
    protocol.send(
        {
            "event": "ready",
            "protocol": protocol.PROTOCOL,
            "runtime": "blender",
            "version": version(),
            "device": chosen,
            "devices": device.list_devices(() if chosen.upper() == "CPU" else (chosen.upper().partition(":")[0],)),
            "cpu": device.instruction_set(),
        }
    )


@bpy.app.handlers.persistent  # type: ignore[untyped-decorator]
def _on_stats(text: str, *_: Any) -> None:
    protocol.current().status(str(text))


def _serve(session: Session, line: bytes) -> None:
    identity: int | str | None = None
    restart = False
    try:
        request = json.loads(line)
        if not isinstance(request, dict):
            raise request_error("A request is one JSON object.")
        identity = request.get("id")
        name = request.get("op")
        if name == "exit":
            protocol.send({"id": identity, "ok": True, "result": {}})
            os._exit(0)
        op = OPS.get(str(name))
        if op is None:
            raise request_error(f"There is no op {name!r}; there are {', '.join(OPS)} and exit.")
        session.load_seconds = 0.0
        with protocol.working(identity):
            answer = {"ok": True, "result": op(session, request)}
    except RunnerError as error:
        answer, restart = {"ok": False, "error": error.as_json()}, error.restart
    except json.JSONDecodeError as error:
        answer = {"ok": False, "error": request_error(f"Not JSON: {error}").as_json()}
    except KeyError as error:
        traceback.print_exc()
        answer = {"ok": False, "error": request_error(f"The request lacks {error}.").as_json()}
    except Exception as error:
        # The scene may be half changed: whoever comes next must not inherit that.
        session.forget()
        traceback.print_exc()
        text = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        answer = {"ok": False, "error": RunnerError("runner_failed", text).as_json()}
    protocol.send({"id": identity} | answer)
    if restart:
        _restart()


def _restart() -> None:
    """Become a fresh runner with the same process id, pipes and sandbox; the other side notices nothing."""
    program, argv = sys.executable, sys.orig_argv
    if bpy.app.binary_path:
        program, argv = bpy.app.binary_path, [bpy.app.binary_path, *sys.argv[1:]]
    protocol.give_back_stdout()
    os.execv(program, argv if AGAIN in argv else [*argv, AGAIN])  # noqa: S606  our own command line
