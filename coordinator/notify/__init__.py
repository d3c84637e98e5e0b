"""Telling people of their jobs, by webhook and e-mail. A notice is a row in the transaction that made the news, so
none is lost; it is sent, and sent again, until the other side has taken it."""

from coordinator.notify.notices import put_notices
from coordinator.notify.sending import send_due
from coordinator.notify.targets import add_target, confirm_target, remove_target, target_views

__all__ = ["add_target", "confirm_target", "put_notices", "remove_target", "send_due", "target_views"]
