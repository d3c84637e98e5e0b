"""The inference runner: requests on stdin, answers on stdout, one at a time, until stdin ends."""

from __future__ import annotations

import argparse
import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any

import onnxruntime as ort

from jobs.model_check import ModelRefused, check_model

from .describe import describe
from .infer import infer
from .instrument import instrumented, tap_candidates
from .session import Sessions, instruction_set
from .wire import PROTOCOL, RequestError, Work, send, start_alive_thread

__all__ = ["run"]


def run() -> None:
    """Never returns: ends the process without running anybody's clean-up."""
    parser = argparse.ArgumentParser(prog="onnx runner")
    parser.add_argument("--provider", default="CPUExecutionProvider", help="the execution provider that must be used")
    parser.add_argument("--device", type=int, default=0, help="index of the GPU")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads in all")
    parser.add_argument("--memory", type=int, default=0, help="bytes that may be taken; 0: any")
    parser.add_argument("--spin", action="store_true", help="let idle threads spin: for machines that do nothing else")
    options = parser.parse_args()
    available = ort.get_available_providers()
    if options.provider not in available:
        sys.stderr.write(f"{options.provider} is not in this build of ONNX Runtime, which has {', '.join(available)}\n")
        os._exit(3)
    threads = max(1, options.threads)
    sessions = Sessions(
        provider=options.provider, device=options.device, threads=threads, spin=options.spin, memory=options.memory
    )
    ready = {"event": "ready", "protocol": PROTOCOL, "runtime": "onnxruntime", "version": ort.__version__}
    send({**ready, "providers": [options.provider], "cpu": instruction_set(), "threads": sessions.threads})
    start_alive_thread()
    for line in sys.stdin.buffer:
        _serve(line, sessions)
    sys.stderr.flush()
    os._exit(0)


def _serve(line: bytes, sessions: Sessions) -> None:
    number: Any = None
    try:
        request = json.loads(line)
        if not isinstance(request, dict) or not isinstance(request.get("id"), int):
            raise RequestError("bad_request", "a request is an object with a whole number as its id")
        number = request["id"]
        with Work(number) as work:
            result = _do(request, sessions, work)
        send({"id": number, "ok": True, "result": result})
        return
    except RequestError as error:
        body = error.as_json()
    except ModelRefused as error:
        body = RequestError(error.code, str(error), scene_fault=True).as_json()
    except MemoryError:
        body = RequestError(
            "out_of_memory", "not enough memory for this model or batch; take a smaller micro-batch", scene_fault=True
        ).as_json()
    except (OSError, ValueError) as error:
        traceback.print_exc()
        body = RequestError("failed", f"{type(error).__name__}: {error}").as_json()
    except Exception as error:
        traceback.print_exc()
        body = RequestError("internal", f"{type(error).__name__}: {error}").as_json()
    send({"id": number, "ok": False, "error": body})


def _do(request: dict[str, Any], sessions: Sessions, work: Work) -> dict[str, Any]:
    op = request.get("op")
    if op == "describe":
        return describe(sessions, request, work)
    if op == "instrument":
        return _instrument(request)
    if op == "infer":
        if not all(isinstance(request.get(key), int) and request[key] >= 0 for key in ("first", "count")):
            raise RequestError("bad_request", "infer needs first and count")
        return infer(sessions, request, work)
    if op == "infer_items":
        chosen = request.get("items")
        if not isinstance(chosen, list) or not all(isinstance(item, int) and item >= 0 for item in chosen):
            raise RequestError("bad_request", "infer_items needs items, a list of numbers")
        return infer(sessions, request, work, chosen)
    raise RequestError("bad_request", f"no such op: {op!r}")


def _instrument(request: dict[str, Any]) -> dict[str, Any]:
    """Write the instrumented model to `out`: the same bytes for the same model, tap and version of onnx, anywhere."""
    report = check_model(Path(str(request.get("model"))))
    asked = request.get("tap")
    candidates = [str(asked)] if asked else tap_candidates(report)
    if not candidates:
        raise RequestError(
            "not_provable", "the model has no float32 activation to tap; export it in float32", scene_fault=True
        )
    data = instrumented(report, candidates[0])
    out = Path(str(request.get("out")))
    out.write_bytes(data)
    return {"path": out.name, "tap": candidates[0], "bytes": len(data)}
