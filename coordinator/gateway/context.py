"""What the calls of one gateway share, and how they come by it."""

from __future__ import annotations

import asyncio
import functools
import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import Annotated, ParamSpec, TypeVar
from urllib.parse import urlsplit

import anyio.to_thread
import structlog
from fastapi import Depends, Request

from coordinator import settlement
from coordinator.auth import Caller, who
from coordinator.blobs import BlobStore
from coordinator.config import Settings
from coordinator.errors import Forbidden, NotSignedIn
from coordinator.events import Feed, Hints
from coordinator.gateway.limits import ACCOUNT, GUEST, SIGN_IN, Limiter, Rate
from coordinator.gateway.metrics import Metrics
from coordinator.store.database import Database
from coordinator.web.pictures import LivePictures
from jobs.wire import ChainInfo

__all__ = ["COOKIE", "Context", "Gateway", "Guest", "SignedIn", "WithWallet", "in_thread", "same_origin", "signed_in"]

P = ParamSpec("P")
T = TypeVar("T")
COOKIE = "kilnet"
"""Name of the page's session cookie: not readable by scripts, not sent from other sites."""
_READING = ("GET", "HEAD")
_KEY_BURST_SECONDS = 10.0
_SESSION_SECONDS = 10.0
"""A session is looked up again after this long."""
_SESSIONS = 10_000
_CHAIN_SECONDS = 3.0
_CHAIN_PATIENCE = 2.0
"""How long a call waits for the chain before it is told that there is none."""


async def in_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run what blocks (database, disk, chain) in a worker thread. Runs to its end even where the caller is gone."""
    return await anyio.to_thread.run_sync(functools.partial(function, *args, **kwargs))


class Gateway:
    """One gateway process's settings, connections and counters."""

    def __init__(self, settings: Settings, db: Database, store: BlobStore) -> None:
        self.settings = settings
        self.db = db
        self.store = store
        self.hints = Hints(settings.broker_url)
        self.limiter = Limiter(settings.broker_url)
        self.metrics = Metrics(db)
        self.stopping = False
        """The process is about to end: what waits is answered now."""
        self.claim_slots = asyncio.Semaphore(8)
        """Claims that look for work at once: thousands may wait, and other calls must still get through."""
        self.body_slots = asyncio.Semaphore(64)
        """Chunks of uploads in memory at once."""
        self.live_pictures = LivePictures(db, store)
        self._feeds: dict[str, Feed] = {}
        self.streams: Counter[str] = Counter()
        """Open event streams by account."""
        self._sessions: OrderedDict[str, tuple[Caller, float]] = OrderedDict()
        self._chain: tuple[ChainInfo | None, float] = (None, float("-inf"))
        self._asking: asyncio.Task[None] | None = None

    def stop(self) -> None:
        """From now on nothing waits."""
        self.stopping = True
        self.hints.wake_all()

    async def caller(self, token: str) -> Caller:
        """The account of a bearer token. Raises NotSignedIn."""
        now = time.monotonic()
        found = self._sessions.get(token)
        if found is not None and found[1] > now:
            return found[0]
        self._sessions.pop(token, None)
        caller = await in_thread(who, self.db, self.settings, token)
        self._sessions[token] = (caller, now + _SESSION_SECONDS)
        if len(self._sessions) > _SESSIONS:
            self._sessions.popitem(last=False)
        return caller

    def feed(self, name: str, read: Callable[[], dict[str, str]], *, seconds: float) -> Feed:
        """The one feed of this name; `read` is used by the first who asks."""
        if name not in self._feeds:
            self._feeds[name] = Feed(name, read, seconds=seconds)
        return self._feeds[name]

    def forget(self, token: str) -> None:
        """A session that has ended is not remembered any longer."""
        self._sessions.pop(token, None)

    async def chain(self) -> ChainInfo | None:
        """The chain, as it was a few seconds ago; None where it does not answer in time."""
        info, until = self._chain
        if time.monotonic() < until:
            return info
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask_chain())
        done, _ = await asyncio.wait({self._asking}, timeout=_CHAIN_PATIENCE)
        return self._chain[0] if done else None

    async def _ask_chain(self) -> None:
        try:
            info = await in_thread(settlement.chain_info, self.settings)
        except Exception as error:
            # Whatever is wrong there, the gateway goes on without a chain and says so.
            structlog.get_logger(__name__).warning("chain_away", error=str(error))
            info = None
        self._chain = (info, time.monotonic() + _CHAIN_SECONDS)


def _gateway(request: Request) -> Gateway:
    gateway: Gateway = request.app.state.gateway
    return gateway


Context = Annotated[Gateway, Depends(_gateway)]


def network_address(request: Request) -> str:
    """Where a call comes from; behind a proxy uvicorn has put in what the proxy says."""
    return request.client.host if request.client else "local"


async def _guest(request: Request, gateway: Context) -> None:
    await gateway.limiter.take(GUEST, network_address(request))


def same_origin(request: Request) -> bool:
    """Whether a call of a browser was made by our own page: a cookie comes along with calls of others too."""
    site = request.headers.get("sec-fetch-site")
    if site is not None and site != "same-origin":
        return False
    origin = request.headers.get("origin")
    return origin is None or urlsplit(origin).netloc == request.headers.get("host", "")


def _token(request: Request) -> str:
    """The bearer token, else that of the page's cookie. Raises NotSignedIn, Forbidden."""
    authorization = request.headers.get("authorization")
    if authorization is not None:
        scheme, _, token = authorization.partition(" ")
        token = token if scheme.lower() == "bearer" else ""
    else:
        token = request.cookies.get(COOKIE, "")
        if token and request.method not in _READING and not same_origin(request):
            raise Forbidden("this call did not come from the page itself; open the page and try there")
    if not token or len(token) > 100:
        raise NotSignedIn
    return token


async def signed_in(request: Request, gateway: Context) -> Caller:
    """Who calls. Raises NotSignedIn, Forbidden, SlowDown."""
    try:
        caller = await gateway.caller(_token(request))
    except NotSignedIn:
        await gateway.limiter.take(SIGN_IN, network_address(request))
        raise
    if caller.key is not None:
        quota = caller.key.calls_per_second
        await gateway.limiter.take(Rate("key", quota, max(1.0, quota * _KEY_BURST_SECONDS)), caller.key.id)
        minute = caller.key.calls_per_minute
        if minute is not None:
            await gateway.limiter.take(Rate("key_minute", minute / 60, minute), caller.key.id)
    if not caller.trusted:
        await gateway.limiter.take(ACCOUNT, caller.address)
    return caller


Guest = Depends(_guest)
SignedIn = Annotated[Caller, Depends(signed_in)]


def _with_wallet(caller: SignedIn) -> Caller:
    if caller.key is not None:
        raise Forbidden("an API key may not do this; sign in with the wallet of the account", code="wallet_needed")
    return caller


WithWallet = Annotated[Caller, Depends(_with_wallet)]
"""Signed in, and not by an API key."""
