"""One notice to one webhook."""

from __future__ import annotations

import json
import time
from typing import Any

import httpcore

from coordinator.notify.guard import GuardedBackend
from jobs.client.webhooks import ID_HEADER, SIGNATURE_HEADER, webhook_signature
from jobs.errors import Refused, Unavailable

__all__ = ["post"]

_SECONDS = 10.0


def post(url: str, secret: str, body: dict[str, Any], *, allow_private: bool) -> None:
    """Send the notice, signed. Raises Unavailable where it was not taken (worth another try), Refused `private_address`
    and `gone` (410: the receiver wants no more). Redirects are not followed."""
    content = json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()
    headers: dict[bytes | str, bytes | str] = {
        "Content-Type": "application/json",
        "User-Agent": "kilnet-webhook/1",
        ID_HEADER: body["id"],
        SIGNATURE_HEADER: webhook_signature(secret, body["id"], content, at=int(time.time())),
    }
    limits = dict.fromkeys(("connect", "read", "write", "pool"), _SECONDS)
    try:
        with (
            httpcore.ConnectionPool(network_backend=GuardedBackend(allow_private=allow_private)) as pool,
            pool.stream("POST", url, headers=headers, content=content, extensions={"timeout": limits}) as response,
        ):
            status = response.status  # the body is nobody's business here
    except Refused:
        raise
    except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError, OSError) as error:
        raise Unavailable(f"no answer ({type(error).__name__}: {str(error)[:200]}); it is sent again") from error
    except Exception as error:  # a URL that no parser below foresaw must not stop the other notices
        raise Refused(
            f"cannot be called ({type(error).__name__}: {str(error)[:200]}); check its URL", code="bad_url"
        ) from error
    if status == 410:
        raise Refused("answered 410: it wants no more notices; add it again if it does", code="gone")
    if not 200 <= status < 300:
        raise Unavailable(f"answered {status}; it is sent again")
