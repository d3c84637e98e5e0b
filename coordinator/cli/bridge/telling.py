"""A job in the fields that change, as every event about it has them."""

from __future__ import annotations

from typing import Any

from jobs.states import JOB_FINAL
from jobs.wire import JobView

__all__ = ["told"]


def told(job: JobView) -> dict[str, Any]:
    """Plain values: `left_seconds` None where nothing can be said, `spent_usd` about what passed so far, `cap_usd` what
    it may cost at most, of `held_usd` in escrow."""
    held = None if job.quote is None else job.quote.cap_usd
    spent = float(job.quote.price_usd) * job.tiles_passed / job.tiles if job.quote and job.tiles else 0.0
    return {
        "job": job.id,
        "name": job.name,
        "state": str(job.state),
        "ended": job.state in JOB_FINAL,
        "progress": job.progress,
        "tiles": job.tiles,
        "tiles_passed": job.tiles_passed,
        "left_seconds": job.eta_seconds,
        "spent_usd": round(spent, 6),
        "priority": job.priority,
        "cap_usd": job.lowered_cap_usd or held,
        "held_usd": held,
        "waiting_for": job.waiting_for,
        "refused": len(job.rejections),
        "error": job.error,
        "error_code": job.error_code,
    }
