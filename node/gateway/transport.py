"""One HTTP call after another: signing in, patience, and answers turned into typed errors."""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx
from pydantic import BaseModel, ValidationError

from jobs.errors import BadInput
from jobs.wire import PROTOCOL, Error, Login, Nonce, NonceRequest, Session
from node.gateway.backoff import delays
from node.gateway.errors import Away, BadSignIn, Denied, Stopping, denied
from node.keys import NodeKey

__all__ = ["Transport", "origin_of"]

_Model = TypeVar("_Model", bound=BaseModel)
_CONNECT_SECONDS = 10.0
_READ_SECONDS = 60.0
_SIGN_IN_TRIES = 3


def origin_of(url: str) -> str:
    """Scheme, host and port of a gateway's URL, as sign-in messages name it. Raises BadInput for anything else."""
    parts = urlsplit(url.strip())
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.username:
        raise BadInput(f"--gateway {url!r}: write it as https://HOST or http://127.0.0.1:PORT")
    return f"{parts.scheme}://{parts.netloc}".lower()


class _Lapsed(Exception):
    """The nonce was used or is too old: another one may be asked for."""


class Transport:
    """Calls the gateway as one node. Safe to use from several threads.

    `patience` of a call is how many seconds a gateway that is away is waited for (None: until `stop` is set). The
    transport seam of httpx (`transport=`) is for tests.
    """

    def __init__(
        self,
        url: str,
        key: NodeKey,
        *,
        transport: httpx.BaseTransport | None = None,
        wait: Callable[[], Iterator[float]] = delays,
    ) -> None:
        self.origin = origin_of(url)
        self.session: Session | None = None
        self._key = key
        self.address = key.address
        self._wait = wait
        self._signing_in = threading.Lock()
        self._http = httpx.Client(
            base_url=self.origin + urlsplit(url).path.rstrip("/"),
            timeout=httpx.Timeout(_READ_SECONDS, connect=_CONNECT_SECONDS),
            limits=httpx.Limits(max_connections=32, max_keepalive_connections=8, keepalive_expiry=20),
            headers={"User-Agent": f"kilnet-node/{PROTOCOL}"},
            transport=transport,
            trust_env=transport is None,
        )

    def close(self) -> None:
        self._http.close()

    def call(
        self,
        method: str,
        path: str,
        *,
        body: BaseModel | None = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        patience: float | None = None,
        stop: threading.Event | None = None,
        timeout: float = _READ_SECONDS,
        signed_in: bool = True,
    ) -> httpx.Response:
        """The answer, of a status below 400. Raises Denied, Away, Stopping."""

        def once() -> httpx.Response:
            sent = {**self._bearer(signed_in), **(headers or {})}
            raw = content
            if body is not None:
                raw, sent["Content-Type"] = body.model_dump_json().encode(), "application/json"
            return self._http.request(method, path, content=raw, headers=sent, timeout=timeout)

        return self._patiently(once, patience, stop or threading.Event(), signed_in)

    def read(self, model: type[_Model], method: str, path: str, **options: Any) -> _Model:
        """As `call`, with the answer's body as a message. An answer that is none counts as Away: it is a proxy's."""
        return _parse(model, self.call(method, path, **options))

    @contextmanager
    def stream(self, path: str, headers: Mapping[str, str]) -> Iterator[httpx.Response]:
        """A download under way, tried once. Raises Denied, or Away also while its bytes are read."""
        with self._once_more_signed_in() as bearer, _connection_errors(self.origin):
            request = self._http.build_request("GET", path, headers={**bearer, **headers})
            response = self._http.send(request, stream=True)
            try:
                if response.status_code >= 400:
                    response.read()
                    self._raise(response)
                yield response
            finally:
                response.close()

    def sign_in(self, *, patience: float | None = None, stop: threading.Event | None = None) -> Session:
        """A fresh session. Raises BadSignIn where the message names another origin or the signature is not taken."""
        for _ in range(_SIGN_IN_TRIES):
            with suppress(_Lapsed):
                self.session = self._sign_in({"patience": patience, "stop": stop, "signed_in": False})
                return self.session
        raise Away(f"the gateway at {self.origin} does not know the nonces that it gives out")

    def _sign_in(self, options: dict[str, Any]) -> Session:
        nonce = self.read(Nonce, "POST", "/v1/auth/nonce", body=NonceRequest(address=self._key.address), **options)
        named = {found.rstrip("/.,;)").lower() for found in re.findall(r"https?://\S+", nonce.message)}
        if named != {self.origin} or self._key.address.lower() not in nonce.message.lower():
            asked = ", ".join(sorted(named)) or "nobody"
            raise BadSignIn(401, "wrong_origin", f"the gateway at {self.origin} asks to sign for {asked}")
        signature = self._key.sign_text(nonce.message)
        login = Login(address=self._key.address, message=nonce.message, signature=signature)
        try:
            return self.read(Session, "POST", "/v1/auth/login", body=login, **options)
        except BadSignIn as error:
            # A login whose answer was lost and that was repeated has used its nonce up.
            if error.code == "nonce_lapsed":
                raise _Lapsed from error
            raise

    def _bearer(self, signed_in: bool) -> dict[str, str]:
        if not signed_in:
            return {}
        session = self._current()
        return {"Authorization": f"Bearer {session.token}"}

    def _current(self, *, other_than: str | None = None) -> Session:
        """The session, signing in where there is none or only the one that was just refused."""
        with self._signing_in:
            if self.session is None or self.session.token == other_than:
                return self.sign_in(patience=0)
            return self.session

    @contextmanager
    def _once_more_signed_in(self) -> Iterator[dict[str, str]]:
        """For streams, which their caller repeats: a 401 drops the session, so that the next try gets a new one."""
        try:
            yield self._bearer(True)
        except Denied as error:
            if error.status != 401 or error.code in ("bad_signature", "wrong_origin"):
                raise
            self.session = None
            raise Away("the session ended") from error

    def _patiently(
        self, once: Callable[[], httpx.Response], patience: float | None, stop: threading.Event, signed_in: bool
    ) -> httpx.Response:
        give_up = None if patience is None else time.monotonic() + patience
        refused_tokens = 0
        for delay in self._wait():
            try:
                used = self.session.token if self.session else None
                with _connection_errors(self.origin):
                    response = once()
                if response.status_code == 401 and signed_in and refused_tokens < 2:
                    refused_tokens += 1
                    self._current(other_than=used)
                    continue
                if response.status_code < 400:
                    return response
                pause = self._raise(response, delay)
            except Away:
                if give_up is not None and time.monotonic() + delay > give_up:
                    raise
                pause = delay
            if give_up is not None and time.monotonic() + pause > give_up:
                raise Away(f"the gateway at {self.origin} asks to come back in {pause:.0f} s")
            if stop.wait(pause):
                raise Stopping("the agent stops")
        raise AssertionError("delays never end")

    def _raise(self, response: httpx.Response, delay: float = 1.0) -> float:
        """Raise what an answer of 400 or more means; for 429 return the seconds to wait."""
        status = response.status_code
        if status == 429:
            with contextlib.suppress(ValueError):
                return max(0.05, min(float(response.headers.get("Retry-After", delay)), 300.0))
            return delay
        if status >= 500:
            raise Away(f"the gateway at {self.origin} answered {status}")
        try:
            error = Error.model_validate_json(response.content)
        except ValidationError:
            error = Error(code=f"http_{status}", message=f"the gateway at {self.origin} answered {status}")
        offset = response.headers.get("Upload-Offset", "")
        raise denied(status, error.code, error.message, upload_offset=int(offset) if offset.isdigit() else None)


@contextmanager
def _connection_errors(origin: str) -> Iterator[None]:
    try:
        yield
    except httpx.TransportError as error:
        reason = str(error) or type(error).__name__
        raise Away(f"no answer from the gateway at {origin} ({reason}); is it running?") from error


def _parse(model: type[_Model], response: httpx.Response) -> _Model:
    try:
        return model.model_validate_json(response.content)
    except ValidationError as error:
        raise Away(
            f"the answer to {response.request.url.path} is no {model.__name__}: {error.errors()[0]['msg']}"
        ) from error
