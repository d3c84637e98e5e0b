"""What the gateway says of itself and of the account that asks."""

from __future__ import annotations

from importlib.metadata import version

from fastapi import APIRouter, Response
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from sqlalchemy import select

from contracts.errors import ChainError
from coordinator import settlement, views
from coordinator.gateway.bodies import to_json
from coordinator.gateway.context import Context, Gateway, Guest, SignedIn, in_thread
from jobs.pricing import FEE_BPS
from jobs.wire import PROTOCOL, AccountView, Health, Info, StakeTermsView

__all__ = ["router"]

router = APIRouter()


@router.get("/v1/info", dependencies=[Guest], response_model=Info)
async def info(gateway: Context) -> Response:
    settings = gateway.settings
    rate, stake = await in_thread(_money, gateway)
    return to_json(
        Info(
            protocol=PROTOCOL,
            version=version("kilnet"),
            origin=settings.origin,
            chain=await gateway.chain(),
            kiln_per_usd=rate,
            fee_bps=FEE_BPS,
            nodes_online=await in_thread(_nodes_online, gateway),
            max_chunk_bytes=settings.limits.max_chunk_bytes,
            stake=stake,
        )
    )


@router.get("/v1/accounts/me", response_model=AccountView)
def account(gateway: Context, caller: SignedIn) -> Response:
    client = settlement.client(gateway.settings)
    return to_json(
        AccountView(
            address=caller.address,
            balance=client.balance_of(caller.address),
            permit_nonce=client.permit_nonce(caller.address),
        )
    )


@router.get("/healthz", dependencies=[Guest], response_model=Health)
async def healthz(gateway: Context) -> Response:
    """200 while calls can be answered; what is missing is named: without broker or chain much still works."""
    parts = {
        "database": await in_thread(_database_answers, gateway),
        "broker": gateway.hints.connected,
        "chain": await gateway.chain() is not None,
    }
    state = "ok" if all(parts.values()) else "degraded" if parts["database"] else "down"
    health = Health.model_validate({"status": state, "version": version("kilnet"), **parts})
    return to_json(health, 200 if parts["database"] else 503)


@router.get("/metrics", dependencies=[Guest], response_class=PlainTextResponse)
def metrics(gateway: Context) -> Response:
    return Response(generate_latest(gateway.metrics.registry), media_type=CONTENT_TYPE_LATEST)


def _money(gateway: Gateway) -> tuple[str, StakeTermsView | None]:
    """KILN per USD, and what is asked of operators."""
    with gateway.db.read() as session:
        rate = settlement.shown_kiln_per_usd(session, gateway.settings)
        try:
            asked = settlement.stake_asked(gateway.settings)
        except ChainError:  # nothing is deployed yet
            asked = False
        terms = settlement.stake_terms(session, gateway.settings) if asked else None
    if terms is None:
        return rate, None
    usd = gateway.settings.stake.usd_per_node
    return rate, StakeTermsView(per_node=terms.per_node, per_job=terms.per_job, usd_per_node=usd)


def _nodes_online(gateway: Gateway) -> int:
    with gateway.db.read() as session:
        return views.nodes_online(session, now=gateway.db.now())


def _database_answers(gateway: Gateway) -> bool:
    try:
        with gateway.db.read() as session:
            return session.scalar(select(1)) == 1
    except Exception:  # whatever the driver raises, the answer is no
        return False
