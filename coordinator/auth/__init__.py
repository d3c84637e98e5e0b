"""Who is calling: sign-in by a signed text (EIP-191), and the sessions that follow."""

from coordinator.auth.sign_in import Caller, forget_expired, issue_nonce, login, who

__all__ = ["Caller", "forget_expired", "issue_nonce", "login", "who"]
