"""The application, put together."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import anyio.to_thread
import structlog
from fastapi import FastAPI
from starlette.types import Lifespan

from coordinator import auth, blobs, events
from coordinator.blobs import BlobStore
from coordinator.config import Settings
from coordinator.gateway import (
    auth_routes,
    blob_routes,
    detail_routes,
    epoch_routes,
    errors,
    evidence_routes,
    info_routes,
    job_routes,
    lease_routes,
    live_routes,
    node_routes,
    notify_routes,
    openapi,
    page_routes,
)
from coordinator.gateway.context import Gateway, in_thread
from coordinator.gateway.described import ERRORS
from coordinator.gateway.edge import Edge
from coordinator.store.database import Database
from coordinator.tasks import hints as tasks

__all__ = ["create_app", "documented"]

_THREADS = 24
"""Below the size of the database's pool, so that no call waits for a connection while it holds up others."""
_TIDY_SECONDS = (60.0, 900.0)
"""First and later pauses between two sweeps."""
_ROUTERS = tuple(
    module.router
    for module in (
        info_routes,
        auth_routes,
        live_routes,
        epoch_routes,
        evidence_routes,
        notify_routes,
        node_routes,
        lease_routes,
        blob_routes,
        job_routes,
        detail_routes,
        page_routes,
    )
)
_log = structlog.get_logger(__name__)


def create_app(settings: Settings, *, db: Database | None = None, store: BlobStore | None = None) -> FastAPI:
    """The gateway of a deployment, as an ASGI application; `app.state.gateway` is its Gateway."""
    gateway = Gateway(settings, db or Database(settings.database_url), store or BlobStore.of(settings))
    events.configure(settings.broker_url)
    tasks.configure(settings)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        anyio.to_thread.current_default_thread_limiter().total_tokens = _THREADS
        await in_thread(gateway.db.migrate)
        gateway.hints.start()
        tidying = asyncio.create_task(_tidy(gateway), name="tidy")
        try:
            yield
        finally:
            gateway.stop()
            tidying.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await tidying
            await gateway.hints.stop()
            await gateway.limiter.close()
            if db is None:
                gateway.db.close()

    app = _with_calls(lifespan)
    app.state.gateway = gateway
    app.add_middleware(Edge, metrics=gateway.metrics)
    errors.install(app)
    return app


def documented() -> dict[str, Any]:
    """The OpenAPI document, of an application that serves nobody."""
    return openapi.document(_with_calls(None), _ROUTERS)


def _with_calls(lifespan: Lifespan[FastAPI] | None) -> FastAPI:
    app = FastAPI(title="kilnet", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None, responses=ERRORS)
    for router in _ROUTERS:
        app.include_router(router)
    openapi.serve(app, _ROUTERS)
    return app


async def _tidy(gateway: Gateway) -> None:
    """Now and then remove what nobody needs any more."""
    pause = _TIDY_SECONDS[0]
    while True:
        await asyncio.sleep(pause)
        pause = _TIDY_SECONDS[1]
        try:
            swept = await in_thread(blobs.sweep, gateway.db, gateway.store, gateway.settings)
            forgotten = await in_thread(auth.forget_expired, gateway.db)
            _log.info("tidied", **swept._asdict(), sign_ins=forgotten)
        except Exception as error:
            # Tried again later; nothing else depends on it.
            _log.warning("not_tidied", error=str(error), kind=type(error).__name__)
