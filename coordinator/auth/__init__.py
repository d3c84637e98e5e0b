"""Who is calling: sign-in by a signed text (EIP-191), the sessions that follow, and API keys."""

from coordinator.auth.api_keys import create_key, key_views, revoke_key
from coordinator.auth.key_limits import charge, count_job
from coordinator.auth.sign_in import (
    Caller,
    KeyUse,
    PageSession,
    forget_expired,
    issue_nonce,
    issue_page_code,
    login,
    open_with_code,
    open_with_key,
    sign_out,
    who,
)

__all__ = [
    "Caller", "KeyUse", "PageSession", "charge", "count_job", "create_key", "forget_expired", "issue_nonce",
    "issue_page_code", "key_views", "login", "open_with_code", "open_with_key", "revoke_key", "sign_out", "who",
]  # fmt: skip
