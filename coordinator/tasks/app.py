"""The Celery application: `celery -A coordinator.tasks.app worker` and `... beat`.

Every task is short, idempotent and takes ids only. What a task decides, it decides on rows, behind one door; doubled,
reordered or forged messages change nothing.
"""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable
from typing import Any

import structlog
from celery.signals import worker_process_init

from contracts.errors import ChainError
from coordinator.admission import admit as admit_job
from coordinator.admission import deadlines as end_overdue
from coordinator.config import CONFIG_VARIABLE, Settings
from coordinator.judging import draw as draw_cells
from coordinator.judging import judge as judge_lease
from coordinator.judging import redraw, unconfirmed
from coordinator.leasing import reap
from coordinator.leasing.reaper import unfix_classes
from coordinator.notify import send_due
from coordinator.planning import complete_frame as complete_group
from coordinator.planning import plan as plan_job
from coordinator.settlement import award as lock_stake
from coordinator.settlement import close_epoch as post_epoch
from coordinator.settlement import dispute as prove
from coordinator.settlement import look_again, look_at, open_escrow, reconcile, refresh_price
from coordinator.settlement import release as release_stake
from coordinator.settlement import settle as settle_job
from coordinator.store.database import Database, Stale
from coordinator.tasks.broker import app, apply_settings
from coordinator.tasks.hints import hint
from coordinator.tasks.standing import standing_still

__all__ = ["app"]

_LOG = structlog.get_logger(__name__)
_REAP_SECONDS = 2.0
_RESEND_SECONDS = 5.0
_EXPIRES = 30.0
"""A beat's message that nobody took by then is dropped: the next ones say the same."""


@functools.cache
def _settings() -> Settings:
    return Settings.load()


@functools.cache
def _database() -> Database:
    return Database(_settings().database_url)


def _after_fork(**_: Any) -> None:
    """Connections do not survive a fork."""
    _database.cache_clear()


worker_process_init.connect(_after_fork, weak=False)


if CONFIG_VARIABLE in os.environ:
    apply_settings(app, _settings())


_running: set[tuple[str, ...]] = set()
_running_lock = threading.Lock()


def _task(name: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register a task. The same call that is running in this process is not started a second time beside it: it would
    do the same work, and lose the race at the end."""

    def register(function: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(function)
        def once(*args: str) -> None:
            call = (name, *args)
            with _running_lock:
                if call in _running:
                    return
                _running.add(call)
            try:
                function(*args)
            finally:
                with _running_lock:
                    _running.discard(call)

        app.task(name=f"kilnet.{name}")(once)
        return once

    return register


def _beat(task: str, seconds: float) -> dict[str, Any]:
    return {"task": f"kilnet.{task}", "schedule": seconds, "options": {"expires": max(_EXPIRES, seconds)}}


app.conf.beat_schedule = {
    "reap_leases": _beat("reap_leases", _REAP_SECONDS),
    "deadlines": _beat("deadlines", _REAP_SECONDS),
    "notify": _beat("notify", _RESEND_SECONDS),
    "resend": _beat("resend", _RESEND_SECONDS),
    "close_epoch": _beat("close_epoch", _settings().epoch_seconds if CONFIG_VARIABLE in os.environ else 60.0),
}


@_task("admit")
def admit(job: str) -> None:
    """The next step of a job's admission."""
    admit_job(_database(), _settings(), job)


@_task("open")
def open_(job: str) -> None:
    """Open a job's escrow; then its tiles can be made."""
    _on_chain(open_escrow, job)
    hint("plan", job)


@_task("plan")
def plan(job: str) -> None:
    """Make a job's tiles."""
    plan_job(_database(), _settings(), job)


@_task("draw")
def draw(lease: str) -> None:
    """Check an uploaded tile and draw its challenge."""
    draw_cells(_database(), _settings(), lease)


@_task("judge")
def judge(lease: str) -> None:
    """Decide about a tile's lease."""
    judge_lease(_database(), _settings(), lease)


@_task("complete_frame")
def complete_frame(job: str, group: str = "") -> None:
    """Assemble what is complete, settle what is delivered."""
    complete_group(_database(), _settings(), job, group)


@_task("settle")
def settle(job: str) -> None:
    """Bring a job to its end on chain."""
    if _on_chain(settle_job, job):
        hint("release", job)


@_task("award")
def award(job: str) -> None:
    """Lock the stake of those who work on a job."""
    _on_chain(lock_stake, job)


@_task("release")
def release(job: str) -> None:
    """End the locks of a job that is over."""
    _on_chain(release_stake, job)


@_task("dispute")
def dispute(strike: str) -> None:
    """Show the chain what a node has signed twice."""
    _on_chain(prove, strike)


@_task("look")
def look(owner: str) -> None:
    """Look up what an owner has at stake; its nodes may be waiting for that."""
    _on_chain(look_at, owner)


@_task("reap_leases")
def reap_leases() -> None:
    """End leases that nobody renews; free tiles whose class has gone; look for auditors where none comes."""
    reap(_database(), _settings())
    unfix_classes(_database())
    redraw(_database(), _settings())
    unconfirmed(_database())


@_task("deadlines")
def deadlines() -> None:
    """End what is over time."""
    end_overdue(_database(), _settings())


@_task("notify")
def notify() -> None:
    """Send the notices that are due."""
    send_due(_database(), _settings())


@_task("close_epoch")
def close_epoch() -> None:
    """Post the rewards of settled jobs."""
    _on_chain(post_epoch)


@_task("resend")
def resend() -> None:
    """Hint again at everything that stands still, and send the chain what it does not know."""
    for task, *args in standing_still(_database()):
        # Dropped where it still waits when the next one is sent: what is slow must not pile up.
        hint(task, *args, expires=2 * _RESEND_SECONDS)
    _on_chain(reconcile)
    _on_chain(refresh_price)
    _on_chain(look_again)


def _on_chain(step: Any, *args: str) -> Any:
    """A step that needs the chain; where that is away, `resend` has it done later."""
    try:
        return step(_database(), _settings(), *args)
    except (ChainError, Stale) as error:
        _LOG.warning("chain_step_waits", step=step.__name__, args=args, error=str(error))
        return None
