"""What those who run it watch: counts out of the database at each scrape, latencies of the calls."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import func, select

from coordinator.store.database import Database
from coordinator.store.models import Blob, Job, Lease, Node, Strike, Work
from coordinator.views import ONLINE_SECONDS

__all__ = ["Metrics"]

_BUCKETS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Metrics:
    """The metrics of one gateway."""

    def __init__(self, db: Database) -> None:
        self.registry = CollectorRegistry()
        self.seconds = Histogram(
            "kilnet_request_seconds",
            "Time from a call to the end of its answer",
            ["method", "route"],
            registry=self.registry,
            buckets=_BUCKETS,
        )
        self.answers = Counter("kilnet_answers", "Answers by status", ["route", "status"], registry=self.registry)
        self.received = Counter("kilnet_uploaded_bytes", "Bytes of blobs received", registry=self.registry)
        self.registry.register(_Rows(db))


class _Rows(Collector):
    """Jobs, work, leases, verdicts and nodes, as the database has them."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def describe(self) -> Iterator[Metric]:
        # Without this the registry would ask the database already when it is set up.
        return iter(())

    def collect(self) -> Iterator[Metric]:
        now = self._db.now()
        with self._db.read() as session:
            jobs = session.execute(select(Job.kind, Job.state, func.count()).group_by(Job.kind, Job.state)).all()
            work = session.execute(select(Work.kind, Work.state, func.count()).group_by(Work.kind, Work.state)).all()
            leases = session.execute(select(Lease.kind, Lease.state, func.count()).group_by(Lease.kind, Lease.state))
            lease_rows = leases.all()
            verdicts = session.execute(
                select(Lease.lane, Lease.verdict, func.count())
                .where(Lease.verdict.is_not(None))
                .group_by(Lease.lane, Lease.verdict)
            ).all()
            strikes = session.execute(
                select(Strike.kind, Strike.state, func.count()).group_by(Strike.kind, Strike.state)
            ).all()
            nodes = session.execute(
                select(Node.trusted, func.count()).where(Node.last_seen > now - ONLINE_SECONDS).group_by(Node.trusted)
            ).all()
            stored = session.scalar(select(func.coalesce(func.sum(Blob.size), 0)))
            seconds = session.execute(
                select(func.coalesce(func.sum(Job.compute_seconds), 0), func.coalesce(func.sum(Job.audit_seconds), 0))
            ).one()
        yield _family("kilnet_jobs", "Jobs", ["kind", "state"], jobs)
        yield _family("kilnet_work", "Pieces of work (tiles are one kind)", ["kind", "state"], work)
        yield _family("kilnet_leases", "Leases", ["kind", "state"], lease_rows)
        yield _family("kilnet_verdicts", "Verdicts of audits", ["lane", "verdict"], verdicts)
        yield _family("kilnet_strikes", "What counts against workers", ["kind", "state"], strikes)
        yield _family(
            "kilnet_nodes_online",
            "Workers heard of lately",
            ["trusted"],
            [("yes" if trusted else "no", count) for trusted, count in nodes],
        )
        yield _family("kilnet_blob_bytes", "Bytes of all blobs", [], [(stored,)])
        yield _family("kilnet_compute_seconds", "Worker time of accepted tiles", [], [(seconds[0],)])
        yield _family("kilnet_audit_seconds", "Worker time of audits", [], [(seconds[1],)])


def _family(name: str, text: str, labels: list[str], rows: object) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=labels)
    for *values, number in rows:  # type: ignore[attr-defined]
        family.add_metric([str(value) for value in values], float(number))
    return family
