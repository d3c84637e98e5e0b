"""Sending a task: best effort, never in the way. What a lost one was about stands in the database, where the `resend`
task finds it."""

from __future__ import annotations

import os
import threading
import time

import structlog
from sqlalchemy.orm import Session

from coordinator.config import CONFIG_VARIABLE, Settings
from coordinator.store.database import on_commit

__all__ = ["configure", "hint", "hint_after_commit"]

_PAUSE_SECONDS = 1.0
"""After a failure nothing is sent for so long: a broker that is away must not slow every request down."""
_LOG = structlog.get_logger(__name__)

_lock = threading.Lock()
_configured = False
_silent_until = 0.0


def configure(settings: Settings) -> None:
    """Set where this process sends its tasks; without it the configuration that $KILNET_CONFIG names is taken."""
    from coordinator.tasks.broker import app, apply_settings

    global _configured
    with _lock:
        apply_settings(app, settings)
        _configured = True


def _ready() -> bool:
    if not _configured:
        if CONFIG_VARIABLE not in os.environ:
            return False
        configure(Settings.load())
    return True


def hint(task: str, *args: str, expires: float | None = None) -> bool:
    """Ask for `task` (such as `draw`) to be run with these ids. Whether the broker took it; never raises for one that
    is away. `expires`: seconds after which nobody need begin it."""
    global _silent_until
    if time.monotonic() < _silent_until or not _ready():
        return False
    from coordinator.tasks.broker import app

    try:
        app.send_task(f"kilnet.{task}", args=list(args), retry=False, ignore_result=True, expires=expires)
    except Exception as error:  # kombu raises many kinds for a broker that is away, and all mean the same here
        _silent_until = time.monotonic() + _PAUSE_SECONDS
        _LOG.debug("task_not_sent", task=task, error=str(error))
        return False
    return True


def hint_after_commit(session: Session, task: str, *args: str) -> None:
    """`hint` once the session's transaction has committed."""

    def send() -> None:
        hint(task, *args)

    on_commit(session, send)
