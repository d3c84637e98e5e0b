"""One HTTP call after another: signing in, patience with a gateway that is away, answers as types."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Mapping
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx
from pydantic import BaseModel, TypeAdapter, ValidationError

from jobs.client.effects import Alone, Next, Open, Program, Send, Sleep
from jobs.client.errors import error_of, refusal
from jobs.client.key import Credentials
from jobs.errors import BadInput, KilnetError, Refused, Unavailable
from jobs.typed_data import sign_text
from jobs.wire import PROTOCOL, Login, Nonce, NonceRequest, Session

__all__ = ["HEADERS", "READ_SECONDS", "Calls", "base_url", "origin_of"]

_T = TypeVar("_T")
HEADERS = {"User-Agent": f"kilnet-client/{PROTOCOL}"}
READ_SECONDS = 60.0
_LONGEST_PAUSE = 15.0
_MOST_OF_AN_ERROR = 64 << 10
_ORIGIN = re.compile(r"https?://[^\s/,;\"']+", re.IGNORECASE)


def origin_of(url: str) -> str:
    """Scheme, host and port of a gateway's URL, as sign-in messages name it. Raises BadInput for anything else."""
    parts = urlsplit(url.strip())
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.username:
        raise BadInput(f"gateway {url!r}: write it as https://HOST or http://127.0.0.1:PORT")
    return f"{parts.scheme}://{parts.netloc}".lower()


def base_url(url: str) -> str:
    """What paths of calls are joined to. Raises BadInput."""
    return origin_of(url) + urlsplit(url.strip()).path.rstrip("/")


class Calls:
    """Programs that call the gateway at `url`, for one account.

    A gateway that does not answer is tried again for `patience` seconds, then Unavailable is raised.
    """

    def __init__(self, url: str, credentials: Credentials, *, patience: float) -> None:
        self.origin = origin_of(url)
        self.credentials = credentials
        self.patience = patience
        self.session: Session | None = None

    def read(self, model: type[_T], method: str, path: str, **call: Any) -> Program[_T]:
        """The answer's body as `model` (anything that pydantic can validate)."""
        response = yield from self.call(method, path, **call)
        try:
            value: _T = TypeAdapter(model).validate_json(response.content)
        except ValidationError as error:
            raise Refused(
                f"the answer of {self.origin}{path} is not understood ({error.errors()[0]['msg']}); update kilnet",
                code="upgrade",
            ) from error
        return value

    def call(
        self,
        method: str,
        path: str,
        *,
        body: BaseModel | None = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        signed_in: bool = True,
    ) -> Program[httpx.Response]:
        """The answer, of a status below 400. Raises what jobs.client.errors makes of others, and Unavailable."""
        sent = dict(headers or {})
        if body is not None:
            content = body.model_dump_json().encode()
            sent["Content-Type"] = "application/json"
        give_up = time.monotonic() + self.patience
        refused_sessions = 0
        delay = 0.25
        while True:
            try:
                bearer = (yield from self.bearer()) if signed_in else {}
                response: httpx.Response = yield from self._once(Send(method, path, content, {**sent, **bearer}))
                status = response.status_code
                if status < 400:
                    return response
                if status == 401 and signed_in and self.session is not None and refused_sessions < 2:
                    refused_sessions += 1
                    self.session = None
                    continue
                if status < 500 and status != 429:
                    raise refusal(response)
                trouble: KilnetError = self._busy(response)
                pause = _retry_after(response, delay)
            except Unavailable as error:
                trouble, pause = error, delay
            if time.monotonic() + pause > give_up:
                raise trouble
            yield Sleep(pause * random.uniform(0.75, 1.25))  # noqa: S311 - jitter, nothing secret
            delay = min(delay * 2, _LONGEST_PAUSE)

    def open(self, path: str, headers: Mapping[str, str], *, timeout: float = READ_SECONDS) -> Program[httpx.Response]:
        """The answer to a GET whose body is read by `next`, tried once. Raises as `call` does."""
        bearer = yield from self.bearer()
        response: httpx.Response = yield from self._once(Open(path, {**headers, **bearer}, timeout))
        if response.status_code < 400:
            return response
        if response.status_code == 401 and self.session is not None:
            self.session = None
            raise Unavailable(f"the session at {self.origin} ended; sign in again")
        if response.status_code >= 500 or response.status_code == 429:
            raise self._busy(response)
        body = b""
        while len(body) < _MOST_OF_AN_ERROR and (piece := (yield from self.next(response))) is not None:
            body += piece
        raise refusal(httpx.Response(response.status_code, headers=response.headers, content=body,
                                     request=response.request))  # fmt: skip

    def next(self, response: httpx.Response) -> Program[bytes | None]:
        """The next piece of an opened body, None at its end. Raises Unavailable where the connection breaks off."""
        piece: bytes | None = yield from self._once(Next(response))
        return piece

    def bearer(self) -> Program[dict[str, str]]:
        """The header that signs a call in."""
        if self.credentials.api_key is not None:
            return {"Authorization": f"Bearer {self.credentials.api_key}"}
        if self.session is None or self.session.expires_at < time.time() + 5:
            yield Alone(self._sign_in())
        assert self.session is not None
        return {"Authorization": f"Bearer {self.session.token}"}

    def _sign_in(self) -> Program[None]:
        if self.session is not None and self.session.expires_at >= time.time() + 5:
            return  # another thread or task was faster
        address, key = self.credentials.address, self.credentials.wallet
        asked = NonceRequest(address=address)
        nonce: Nonce = yield from self.read(Nonce, "POST", "/v1/auth/nonce", body=asked, signed_in=False)
        named = {match.lower() for match in _ORIGIN.findall(nonce.message)}
        if named != {self.origin} or address.lower() not in nonce.message.lower():
            # Another gateway could use our signature to sign in as us.
            raise Refused(
                f"the gateway at {self.origin} asks to sign in at {', '.join(sorted(named)) or 'nowhere'}; "
                "use the address that its operator names",
                code="wrong_origin",
            )
        login = Login(address=address, message=nonce.message, signature=sign_text(nonce.message, key))
        self.session = yield from self.read(Session, "POST", "/v1/auth/login", body=login, signed_in=False)

    def _once(self, effect: Any) -> Program[Any]:
        try:
            return (yield effect)
        except httpx.TransportError as error:
            reason = str(error) or type(error).__name__
            raise Unavailable(f"no answer from the gateway at {self.origin} ({reason}); is it running?") from error

    def _busy(self, response: httpx.Response) -> Unavailable:
        """Too many calls or jobs, in the gateway's own words; or a gateway that is in trouble."""
        if response.status_code == 429 and response.is_closed and (said := error_of(response)) is not None:
            return Unavailable(said.message, code=said.code)
        return Unavailable(f"the gateway at {self.origin} answered {response.status_code}; try again later")


def _retry_after(response: httpx.Response, delay: float) -> float:
    try:
        return max(delay, min(float(response.headers.get("Retry-After", delay)), 300.0))
    except ValueError:
        return delay
