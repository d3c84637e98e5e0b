"""Celery: short, idempotent coordinator work. A message is only a hint that there is something to do."""

from coordinator.tasks.hints import hint, hint_after_commit

__all__ = ["hint", "hint_after_commit"]
