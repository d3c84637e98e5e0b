"""How a quote's price came about, for those who are to pay it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from coordinator.admission.quoting import WAIT_SHARE, hourly_price
from coordinator.config import Settings
from coordinator.leasing.fitting import affordable
from coordinator.leasing.workers import Worker
from jobs.auction import Bid, counted_asks, rank
from jobs.constraints import Constraint
from jobs.spec import InferSpec, RenderSpec
from jobs.wire import AskView, AuctionView

__all__ = ["asks_of", "auction_view"]

_SHOWN = 10


def asks_of(settings: Settings, workers: Sequence[Worker]) -> list[tuple[float, float]]:
    """(USD per kiln-hour, score) of the workers that fit, as they count for the price."""
    offers = [(worker.ask, worker.score, worker.reputation) for worker in workers]
    return counted_asks(offers, settings.usd_per_kiln_hour)


def auction_view(
    settings: Settings,
    spec: RenderSpec | InferSpec,
    workers: Sequence[Worker],
    excluded: Mapping[Constraint, int],
    price: float,
    *,
    hours: float,
    lot: str,
) -> AuctionView:
    """The auction of a job of `hours` kiln-hours among the workers that fit, at the clearing price `price` in USD per
    kiln-hour. `lot`: the job's id."""
    served = [worker for worker in workers if affordable(worker, price)]
    # Of one and the same tile: what it takes on each is as its score.
    ranked = sorted(workers, key=lambda w: rank(Bid(w.address, w.ask, 1 / w.score, w.reputation), lot))
    most = hourly_price(asks_of(settings, workers), hours, spec.deadline_s, max(1, settings.expected_nodes))
    return AuctionView(
        fitting=len(workers),
        served=len(served),
        clearing_ask=price if workers else None,
        within_seconds=spec.deadline_s * WAIT_SHARE,
        excluded={str(constraint): excluded[constraint] for constraint in Constraint if excluded.get(constraint)},
        asks=tuple(
            AskView(
                node=worker.address, name=worker.name, ask=worker.ask, score=worker.score, region=worker.region,
                reputation=round(worker.reputation, 4), served=affordable(worker, price),
            )
            for worker in ranked[:_SHOWN]
        ),
        limited_by_cap=spec.max_price_usd is not None and most is not None and price < most,
    )  # fmt: skip
