"""What the OpenAPI document says of answers that are no JSON of one type."""

from __future__ import annotations

from typing import Any

from jobs.wire import Error

__all__ = ["BYTES", "CHUNK", "ERRORS", "EVENTS", "NOTHING", "PNG"]

ERRORS: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": Error, "description": "What was wrong, where, and what to do."},
    "5XX": {"model": Error, "description": "A part is away or has failed; the same call may work later."},
}
_HEX = {"type": "string", "format": "binary"}
EVENTS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Server-sent events, resumed by Last-Event-ID or `after`, for as long as something may happen.",
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    }
}
PNG: dict[int | str, dict[str, Any]] = {
    200: {"description": "A picture.", "content": {"image/png": {"schema": _HEX}}},
    304: {"description": "As it was, by If-None-Match."},
}
BYTES: dict[int | str, dict[str, Any]] = {
    200: {"description": "The blob.", "content": {"application/octet-stream": {"schema": _HEX}}},
    206: {"description": "A range of it.", "content": {"application/octet-stream": {"schema": _HEX}}},
    304: {"description": "As it was: what lies behind a hash never changes."},
}
NOTHING: dict[int | str, dict[str, Any]] = {204: {"description": "There is nothing to do."}}
_COUNT = {"type": "integer", "minimum": 0, "maximum": 1 << 40}
CHUNK: dict[str, Any] = {
    "parameters": [
        {"name": "Upload-Offset", "in": "header", "required": True, "schema": _COUNT},
        {"name": "Upload-Length", "in": "header", "required": True, "schema": _COUNT},
    ],
    "requestBody": {
        "required": True, "content": {"application/octet-stream": {"schema": _HEX}},
    },
}  # fmt: skip
