"""Who is served first where more idle machines fit a job than it has tiles left (jobs.auction)."""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from coordinator.leasing.auditors import Panel, owners_auditing
from coordinator.leasing.fitting import affordable, devices_for
from coordinator.leasing.judgeable import asked
from coordinator.leasing.workers import Worker
from coordinator.states import LEASE_LIVE
from coordinator.store.models import Job, Lease, Work
from jobs.auction import Bid, Rank, rank
from jobs.constraints import Needs
from jobs.states import WorkKind, WorkState

__all__ = ["AWARD_SECONDS", "Auctions"]

AWARD_SECONDS = 2.0
"""How long a tile waits for the machines that were awarded it: whoever waits for work is woken when it becomes free."""
_ATTENTIVE_SECONDS = 25.0
"""Who waits for work was heard of within this time; who was not is not waited for."""
_GOOD_SECONDS = 0.5
"""How long an award is good for all who ask: thousands wake at once, and ranking them takes a good part of a second."""
_MOST = 1024


class _Award(NamedTuple):
    made_at: float
    ranked: frozenset[str]
    """Everybody who was online then."""
    served: frozenset[str] | None
    """Addresses, as many as there are tiles; None: there are tiles for everybody who fits."""


class Auctions:
    """What one claim finds out about the jobs it looks at."""

    def __init__(self, session: Session, panel: Panel, worker: Worker, now: float) -> None:
        self._session, self._panel, self._worker, self._now = session, panel, worker, now

    def outbid(self, work: Work) -> bool:
        """Whether a tile is for another machine: so many that are idle rank before this one that they take all tiles
        of the job that are free. Only for AWARD_SECONDS after the tile became free: who does not come loses it."""
        if self._worker.trusted or self._now - max(work.created_at, work.not_before) >= AWARD_SECONDS:
            return False
        key = (self._session.get_bind().engine, work.job_id, frozenset(work.excluded))
        award = _awards.get(key)
        good = award is not None and 0 <= self._now - award.made_at < _GOOD_SECONDS
        if award is None or not good or self._worker.address not in award.ranked:
            rivals = [w for w in self._panel.online if not w.trusted and w.address not in self._panel.unbacked]
            ranked = frozenset({worker.address for worker in rivals} | {self._worker.address})
            award = _awards[key] = _Award(self._now, ranked, self._served(work, rivals))
            _awards.move_to_end(key)
            while len(_awards) > _MOST:
                _awards.popitem(last=False)
        return award.served is not None and self._worker.address not in award.served

    def _served(self, work: Work, rivals: list[Worker]) -> frozenset[str] | None:
        free = self._session.scalar(
            select(func.count()).where(
                Work.job_id == work.job_id, Work.kind == str(WorkKind.TILE), Work.state == str(WorkState.PENDING),
                Work.not_before <= self._now,
            )
        )  # fmt: skip
        if (free or 0) >= len(rivals):
            return None
        job = self._session.get_one(Job, work.job_id)
        bids = self._bids(job, work, self._idle(rivals))
        # Who nobody could judge stands in nobody's way; asked last, since it costs most.
        auditing = owners_auditing(self._session, job.id)
        question, runtime, _ = asked(self._session, job.id)
        served: set[str] = set()
        for _, worker, numerics_class in bids:
            if len(served) >= (free or 0):
                return frozenset(served)
            if worker.owner not in auditing and self._panel.can_be_audited(
                job.id, question, runtime, numerics_class, worker.owner
            ):
                served.add(worker.address)
        return frozenset(served) if len(served) >= (free or 0) else None

    def _bids(self, job: Job, work: Work, workers: list[Worker]) -> list[tuple[Rank, Worker, str]]:
        """Rank, worker and class of those that fit, the best first."""
        needs, price = Needs.of(job.spec), (job.quote or {}).get("usd_per_kiln_hour")
        excluded, bids = set(work.excluded), []
        for worker in workers:
            devices = devices_for(worker, needs, work.runtime)
            barred = worker.suspended or {worker.address, worker.owner} & excluded
            if devices and not barred and affordable(worker, price):
                # Without the shortest time of a lease, in which all machines would be alike.
                seconds = max(work.expected_seconds, 1e-3) / devices[0].score
                bid = Bid(worker.address, worker.ask, seconds, worker.reputation)
                bids.append((rank(bid, job.id), worker, devices[0].numerics_class))
        return sorted(bids, key=lambda one: one[0])

    def _idle(self, workers: list[Worker]) -> list[Worker]:
        """Those that wait for work; whoever asks is one of them."""
        live = [str(state) for state in LEASE_LIVE]
        busy = set(self._session.scalars(select(Lease.node).where(Lease.state.in_(live)).distinct()))
        return [
            worker
            for worker in workers
            if worker.address == self._worker.address
            or (worker.last_seen > self._now - _ATTENTIVE_SECONDS and worker.address not in busy)
        ]


_awards: OrderedDict[tuple[Engine, str, frozenset[str]], _Award] = OrderedDict()
