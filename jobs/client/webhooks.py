"""For who receives webhooks: whether a notice comes from the gateway and is fresh.

    notice = read_webhook(secret, request.headers, request.body)
    if notice["event"] == "failed": ...

A notice may come more than once; its `id` is the same each time.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import time
from collections.abc import Mapping
from typing import Any

from jobs.errors import Refused

__all__ = ["ID_HEADER", "SIGNATURE_HEADER", "read_webhook", "webhook_signature"]

ID_HEADER = "Kilnet-Notice"
SIGNATURE_HEADER = "Kilnet-Signature"
_SIGNATURE = re.compile(r"t=(\d{1,15}),v1=([0-9a-f]{64})")


def webhook_signature(secret: str, notice: str, body: bytes, *, at: int) -> str:
    """The header's value: `t=UNIX,v1=HEX`, an HMAC-SHA256 under `secret` of the time, the notice's id and the body."""
    mac = hmac.new(secret.encode(), f"{at}.{notice}.".encode() + body, hashlib.sha256)
    return f"t={at},v1={mac.hexdigest()}"


def read_webhook(
    secret: str, headers: Mapping[str, str], body: bytes, *, tolerance: float = 300.0, now: float | None = None
) -> dict[str, Any]:
    """The notice. Raises Refused `bad_signature` where it was not signed with `secret`, `too_old` where it was signed
    more than `tolerance` seconds ago."""
    lower = {name.lower(): value for name, value in headers.items()}
    match = _SIGNATURE.fullmatch(lower.get(SIGNATURE_HEADER.lower(), ""))
    notice = lower.get(ID_HEADER.lower(), "")
    if match is None or not hmac.compare_digest(
        webhook_signature(secret, notice, body, at=int(match[1])).encode(), match[0].encode()
    ):
        raise Refused("the webhook is not signed with this secret; drop it", code="bad_signature")
    if abs((time.time() if now is None else now) - int(match[1])) > tolerance:
        raise Refused("the webhook was signed too long ago; drop it, it is sent again with a new time", code="too_old")
    told: dict[str, Any] = json.loads(body)
    return told
