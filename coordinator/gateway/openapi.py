"""The OpenAPI document: `python -m coordinator.gateway.document` writes docs/openapi.json, the gateway serves the same.

Bodies are read by coordinator.gateway.bodies, after the caller is known; so they, and who may call, are found by what
each route depends on.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Sequence
from typing import Any

from fastapi import APIRouter, FastAPI, Response
from fastapi.dependencies.models import Dependant
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from coordinator.gateway import auth_routes, node_routes
from coordinator.gateway.context import Guest, signed_in
from jobs.wire import PROTOCOL, Login, NonceRequest, RegisterNode

__all__ = ["document", "serve"]

_REFERENCE = "#/components/schemas/{model}Sent"
"""What is sent and what is answered may differ (an amount may be sent as a number): each has its own schemas."""
_READ_BY_HAND: dict[Any, type[BaseModel]] = {
    auth_routes.nonce: NonceRequest, auth_routes.sign_in: Login, auth_routes.open_page: auth_routes.PageSignIn,
    node_routes.register: RegisterNode,
}  # fmt: skip
"""Bodies that are read otherwise: before anybody is signed in, or to tell versions of the protocol apart."""
_ABOUT = (
    "Messages are those of jobs/wire. Amounts of KILN are strings of decimal digits in units of 10^-18; times are "
    "Unix seconds. docs/node-protocol.md says what a worker does next at each answer; jobs.client is this API from "
    "Python. Errors have the body {code, message}: a stable word for programs, one line for people."
)


def document(app: FastAPI, routers: Sequence[APIRouter]) -> dict[str, Any]:
    """The document of the calls of `app`, which are those of `routers`."""
    routes = [one for router in routers for one in router.routes if isinstance(one, APIRoute) and one.include_in_schema]
    made: dict[str, Any] = get_openapi(
        title="kilnet", version=f"{PROTOCOL}.0.0", description=_ABOUT, routes=app.routes, openapi_version="3.1.0"
    )
    schemas = made.setdefault("components", {}).setdefault("schemas", {})
    bodies = {route.endpoint: body for route in routes if (body := _body(route)) is not None}
    asked, definitions = models_json_schema(
        [(model, "validation") for model in dict.fromkeys(bodies.values())], ref_template=_REFERENCE
    )
    schemas |= {f"{name}Sent": schema for name, schema in definitions.get("$defs", {}).items()}
    for route in routes:
        for method in sorted(route.methods or ()):
            call = made["paths"].get(route.path_format, {}).get(method.lower())
            assert call is not None, f"{method} {route.path_format} is served and not documented"
            call["operationId"] = _name(route)
            if route.endpoint in bodies:
                reference = asked[bodies[route.endpoint], "validation"]
                call["requestBody"] = {"required": True, "content": {"application/json": {"schema": reference}}}
            if any(one.call is signed_in for one in _dependencies(route.dependant)):
                call["security"] = [{"bearer": []}, {"page": []}]
    made["components"]["securitySchemes"] = {
        "bearer": {"type": "http", "scheme": "bearer", "description": "A session's token, or an API key."},
        "page": {"type": "apiKey", "in": "cookie", "name": "kilnet", "description": "The page's session."},
    }
    plain: dict[str, Any] = _plain(made)
    return plain


def _plain(value: Any) -> Any:
    """Tuples of one type as lists of a fixed length: the same, and what more programs can read."""
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if not isinstance(value, dict):
        return value
    plain = {name: _plain(one) for name, one in value.items()}
    items = plain.get("prefixItems")
    if isinstance(items, list) and plain.get("maxItems") == len(items) and all(one == items[0] for one in items):
        del plain["prefixItems"]
        plain["items"] = items[0]
    return plain


def _name(route: APIRoute) -> str:
    module = route.endpoint.__module__.rsplit(".", 1)[-1].removesuffix("_routes")
    return f"{module}_{route.name}"


def _dependencies(dependant: Dependant) -> Iterator[Dependant]:
    for one in dependant.dependencies:
        yield one
        yield from _dependencies(one)


def _body(route: APIRoute) -> type[BaseModel] | None:
    if route.endpoint in _READ_BY_HAND:
        return _READ_BY_HAND[route.endpoint]
    found = (getattr(one.call, "__kilnet_body__", None) for one in _dependencies(route.dependant))
    return next((model for model in found if model is not None), None)


def serve(app: FastAPI, routers: Sequence[APIRouter]) -> None:
    """Let `app`, whose calls are those of `routers`, answer GET /v1/openapi.json."""
    router = APIRouter()
    written = functools.cache(lambda: json.dumps(document(app, routers), separators=(",", ":")).encode())

    @router.get("/v1/openapi.json", include_in_schema=False, dependencies=[Guest])
    def openapi() -> Response:
        return Response(written(), media_type="application/json", headers={"Cache-Control": "max-age=300"})

    app.include_router(router)
