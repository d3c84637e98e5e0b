"""One HTTP call after another: signing in, patience with a gateway that is away, answers as types."""

from __future__ import annotations

import random
import re
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx
from pydantic import BaseModel, TypeAdapter, ValidationError

from jobs.client.errors import GatewayRefused, refusal
from jobs.client.key import address_of
from jobs.errors import BadInput, KilnetError, Refused, Unavailable
from jobs.typed_data import sign_text
from jobs.wire import PROTOCOL, Login, Nonce, NonceRequest, Session

__all__ = ["Transport", "origin_of"]

_T = TypeVar("_T")
_CONNECT_SECONDS = 10.0
_READ_SECONDS = 60.0
_LONGEST_PAUSE = 15.0
_ORIGIN = re.compile(r"https?://[^\s/,;\"']+", re.IGNORECASE)


def origin_of(url: str) -> str:
    """Scheme, host and port of a gateway's URL, as sign-in messages name it. Raises BadInput for anything else."""
    parts = urlsplit(url.strip())
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.username:
        raise BadInput(f"gateway {url!r}: write it as https://HOST or http://127.0.0.1:PORT")
    return f"{parts.scheme}://{parts.netloc}".lower()


class Transport:
    """Calls the gateway with one key. Safe to use from several threads.

    A gateway that does not answer is tried again for `patience` seconds, then Unavailable is raised. `transport` is the
    seam of httpx, for tests.
    """

    def __init__(
        self, url: str, key: bytes, *, patience: float = 60.0, transport: httpx.BaseTransport | None = None
    ) -> None:
        self.origin = origin_of(url)
        self.address = address_of(key)
        self.patience = patience
        self._key = key
        self._session: Session | None = None
        self._signing_in = threading.Lock()
        self._http = httpx.Client(
            base_url=self.origin + urlsplit(url).path.rstrip("/"),
            timeout=httpx.Timeout(_READ_SECONDS, connect=_CONNECT_SECONDS),
            headers={"User-Agent": f"kilnet-client/{PROTOCOL}"},
            transport=transport,
        )

    def close(self) -> None:
        self._http.close()

    def read(self, model: type[_T] | Any, method: str, path: str, **call: Any) -> _T:
        """The answer's body as `model` (anything that pydantic can validate)."""
        response = self.call(method, path, **call)
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
    ) -> httpx.Response:
        """The answer, of a status below 400. Raises what jobs.client.errors makes of others, and Unavailable."""
        sent = dict(headers or {})
        if body is not None:
            content = body.model_dump_json().encode()
            sent["Content-Type"] = "application/json"

        def once() -> httpx.Response:
            with _connection_errors(self.origin):
                bearer = self._bearer() if signed_in else {}
                return self._http.request(method, path, content=content, headers={**sent, **bearer})

        return self._patiently(once, signed_in)

    @contextmanager
    def stream(
        self, path: str, headers: Mapping[str, str], *, timeout: float = _READ_SECONDS
    ) -> Iterator[httpx.Response]:
        """The answer to a GET whose body is read piece by piece, tried once. Raises as `call` does; also where the
        connection breaks off in the middle (Unavailable)."""
        limits = httpx.Timeout(timeout, connect=_CONNECT_SECONDS)
        with (
            _connection_errors(self.origin),
            self._http.stream("GET", path, headers={**headers, **self._bearer()}, timeout=limits) as response,
        ):
            if response.status_code >= 400:
                response.read()
                if response.status_code == 401:
                    self._session = None
                    raise Unavailable(f"the session at {self.origin} ended; sign in again")
                if response.status_code >= 500 or response.status_code == 429:
                    raise Unavailable(f"the gateway at {self.origin} answered {response.status_code}; try again later")
                raise refusal(response)
            yield response

    def http(self) -> httpx.Client:
        """The connection itself, for httpx-sse."""
        return self._http

    def bearer(self) -> dict[str, str]:
        """The header that signs a call in."""
        return self._bearer()

    def forget_session(self) -> None:
        """Sign in again before the next call."""
        self._session = None

    def _bearer(self) -> dict[str, str]:
        with self._signing_in:
            if self._session is None or self._session.expires_at < time.time() + 5:
                self._session = self._sign_in()
            return {"Authorization": f"Bearer {self._session.token}"}

    def _sign_in(self) -> Session:
        asked = NonceRequest(address=self.address)
        nonce: Nonce = self.read(Nonce, "POST", "/v1/auth/nonce", body=asked, signed_in=False)
        named = {match.lower() for match in _ORIGIN.findall(nonce.message)}
        if named != {self.origin} or self.address.lower() not in nonce.message.lower():
            # Another gateway could use our signature to sign in as us.
            raise Refused(
                f"the gateway at {self.origin} asks to sign in at {', '.join(sorted(named)) or 'nowhere'}; "
                "use the address that its operator names",
                code="wrong_origin",
            )
        login = Login(address=self.address, message=nonce.message, signature=sign_text(nonce.message, self._key))
        session: Session = self.read(Session, "POST", "/v1/auth/login", body=login, signed_in=False)
        return session

    def _patiently(self, once: Any, signed_in: bool) -> httpx.Response:
        give_up = time.monotonic() + self.patience
        refused_sessions = 0
        delay = 0.25
        while True:
            try:
                response: httpx.Response = once()
                status = response.status_code
                if status < 400:
                    return response
                if status == 401 and signed_in and refused_sessions < 2:
                    refused_sessions += 1
                    self.forget_session()
                    continue
                if status < 500 and status != 429:
                    raise refusal(response)
                trouble: KilnetError = Unavailable(f"the gateway at {self.origin} answered {status}; try again later")
                pause = _retry_after(response, delay)
            except Unavailable as error:
                trouble, pause = error, delay
            if time.monotonic() + pause > give_up:
                raise trouble
            time.sleep(pause * random.uniform(0.75, 1.25))  # noqa: S311 - jitter, nothing secret
            delay = min(delay * 2, _LONGEST_PAUSE)


def _retry_after(response: httpx.Response, delay: float) -> float:
    try:
        return max(delay, min(float(response.headers.get("Retry-After", delay)), 300.0))
    except ValueError:
        return delay


@contextmanager
def _connection_errors(origin: str) -> Iterator[None]:
    try:
        yield
    except GatewayRefused:
        raise
    except httpx.TransportError as error:
        reason = str(error) or type(error).__name__
        raise Unavailable(f"no answer from the gateway at {origin} ({reason}); is it running?") from error
