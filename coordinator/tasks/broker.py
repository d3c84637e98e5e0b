"""The Celery application without its tasks: enough to send them."""

from __future__ import annotations

from celery import Celery

from coordinator.config import Settings

__all__ = ["VISIBILITY_SECONDS", "app", "apply_settings"]

VISIBILITY_SECONDS = 3600
"""An unacknowledged message is delivered again after this. It counts from delivery and is never renewed, so no task
may take nearly as long (measured: a longer one runs in several copies at once)."""
_SOFT_SECONDS = 300
_BROKER_SECONDS = 2.0

app = Celery("kilnet")
app.conf.update(
    task_serializer="json",
    accept_content=["json"],
    # Anybody who reaches the broker can forge results (measured): none are kept, none are believed.
    task_ignore_result=True,
    task_store_errors_even_if_ignored=False,
    result_backend=None,
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
    task_soft_time_limit=_SOFT_SECONDS,
    task_time_limit=2 * _SOFT_SECONDS,
    task_default_queue="kilnet",
    task_create_missing_queues=True,
    worker_enable_remote_control=False,
    worker_send_task_events=False,
    worker_hijack_root_logger=False,
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    broker_transport_options={
        "visibility_timeout": VISIBILITY_SECONDS,
        "socket_connect_timeout": _BROKER_SECONDS,
        "max_retries": 0,
    },
    enable_utc=True,
    timezone="UTC",
)


def apply_settings(target: Celery, settings: Settings) -> None:
    """Point the application at the deployment's broker."""
    target.conf.update(broker_url=settings.broker_url, broker_read_url=None, broker_write_url=None)
