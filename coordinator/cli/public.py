"""What a gateway tells anyone: read without an account."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TypeVar

from pydantic import BaseModel, ValidationError

from jobs.errors import BadInput, Refused, Unavailable

if TYPE_CHECKING:
    from jobs.wire import Info

__all__ = ["PublicGateway"]

_Model = TypeVar("_Model", bound=BaseModel)
_SECONDS = 30.0
_MOST = 64 << 20


class PublicGateway:
    """The gateway that is named, or in KILNET_GATEWAY, or the local stack's. Raises Unavailable where there is none."""

    def __init__(self, url: str | None) -> None:
        from coordinator.cli.connection import GATEWAY_VARIABLE
        from jobs.client.calls import base_url

        url = url or os.environ.get(GATEWAY_VARIABLE)
        if not url:
            from coordinator.stack import find_running

            running = find_running()
            if running is None:
                raise Unavailable(
                    f"no gateway: start one with `kilnet up`, or name one with --gateway or {GATEWAY_VARIABLE}"
                )
            url = running.gateway_url
        self.url = base_url(url)

    def read(self, model: type[_Model], path: str) -> _Model:
        """An answer as its type. Raises Unavailable, and BadInput for what does not exist."""
        import httpx

        try:
            response = httpx.get(self.url + path, timeout=_SECONDS, follow_redirects=False)
        except httpx.HTTPError as error:
            raise Unavailable(f"{self.url} does not answer ({type(error).__name__}): try again later") from error
        if len(response.content) > _MOST:
            raise Refused(f"{self.url}{path}: answers more than can be right; check the address")
        try:
            if response.status_code == 200:
                return model.model_validate_json(response.content)
            message = str(response.json()["message"])[:500]
        except (ValidationError, ValueError, KeyError, TypeError) as error:
            raise Unavailable(
                f"{self.url}{path}: is no gateway of kilnet, or of another version; check the address"
            ) from error
        if response.status_code == 404:
            raise BadInput(message, code="not_found")
        raise Unavailable(message)

    def info(self) -> Info:
        from jobs.wire import Info

        return self.read(Info, "/v1/info")
