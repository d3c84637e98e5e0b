"""Who is served first where more idle machines fit a job than it has tiles left (jobs.auction)."""

from __future__ import annotations

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from coordinator.leasing.auditors import Panel
from coordinator.leasing.fitting import affordable, devices_for
from coordinator.leasing.judgeable import judgeable
from coordinator.leasing.workers import Worker
from coordinator.states import LEASE_LIVE
from coordinator.store.models import Job, Lease, Work
from jobs.auction import Bid, better
from jobs.constraints import Needs
from jobs.states import WorkKind, WorkState

__all__ = ["AWARD_SECONDS", "Auctions"]

AWARD_SECONDS = 2.0
"""How long a tile waits for the machines that were awarded it: whoever is there asks at least once a second."""
_ATTENTIVE_SECONDS = 25.0
"""Who waits for work was heard of within this time; who was not is not waited for."""


class Auctions:
    """What one claim finds out about the jobs it looks at: each is asked about once."""

    def __init__(self, session: Session, panel: Panel, worker: Worker, now: float) -> None:
        self._session, self._panel, self._worker, self._now = session, panel, worker, now
        self._known: dict[str, bool] = {}

    def outbid(self, work: Work) -> bool:
        """Whether a tile is for another machine: so many that are idle rank before this one that they take all tiles
        of the job that are free. Only for AWARD_SECONDS after the tile became free: who does not come loses it."""
        if self._worker.trusted or self._now - max(work.created_at, work.not_before) >= AWARD_SECONDS:
            return False
        if work.job_id not in self._known:
            self._known[work.job_id] = self._ask(work)
        return self._known[work.job_id]

    def _ask(self, work: Work) -> bool:
        free = self._session.scalar(
            select(func.count()).where(
                Work.job_id == work.job_id, Work.kind == str(WorkKind.TILE), Work.state == str(WorkState.PENDING),
                Work.not_before <= self._now,
            )
        )  # fmt: skip
        others = [w for w in self._panel.online if not w.trusted and w.address != self._worker.address]
        others = [w for w in others if w.last_seen > self._now - _ATTENTIVE_SECONDS]
        if (free or 0) > len(others):
            return False
        job = self._session.get_one(Job, work.job_id)
        needs, price = Needs.of(job.spec), (job.quote or {}).get("usd_per_kiln_hour")
        bids = []
        for other in self._idle(others):
            devices = devices_for(other, needs, work.runtime)
            barred = {other.address, other.owner} & set(work.excluded)
            if devices and not other.suspended and not barred and affordable(other, price):
                bids.append((other, self._bid(other, work, devices[0].score)))
        mine = devices_for(self._worker, needs, work.runtime)
        if not mine:
            return False
        bid = self._bid(self._worker, work, mine[0].score)
        if better(bid, [one for _, one in bids], job.id) < (free or 0):
            return False
        # Who nobody could judge stands in nobody's way; asked last, since it costs most.
        bids = [(other, one) for other, one in bids if judgeable(self._session, self._panel, other, [job.id])]
        return better(bid, [one for _, one in bids], job.id) >= (free or 0)

    def _bid(self, worker: Worker, work: Work, score: float) -> Bid:
        # Without the shortest time of a lease, in which all machines would be alike.
        return Bid(worker.address, worker.ask, max(work.expected_seconds, 1e-3) / score, worker.reputation)

    def _idle(self, workers: list[Worker]) -> list[Worker]:
        live = [str(state) for state in LEASE_LIVE]
        addresses = [worker.address for worker in workers]
        busy = set(
            self._session.scalars(select(Lease.node).where(Lease.node.in_(addresses), Lease.state.in_(live)).distinct())
        )
        return [worker for worker in workers if worker.address not in busy]
