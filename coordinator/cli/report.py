"""A job as one JSON object (docs: DESIGN, "What the command line looks like") and as a table for people."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING, Any

from jobs.pricing import UNIT, display_kiln
from jobs.states import JobState

if TYPE_CHECKING:
    from rich.table import Table

    from jobs.client import Delivered
    from jobs.wire import Info, JobView, OutputView, Quote

__all__ = ["job_report", "job_table", "jobs_table", "quote_report", "quote_table", "usd"]


def usd(units: int, kiln_per_usd: str) -> str:
    """An amount of KILN in USD, to a millionth."""
    value = Decimal(units) / UNIT / Decimal(kiln_per_usd)
    return str(value.quantize(Decimal("0.000001"), rounding=ROUND_HALF_UP))


def job_report(
    job: JobView, info: Info, *, delivered: Sequence[Delivered] = (), outputs: Sequence[OutputView] = ()
) -> dict[str, Any]:
    """What --json prints. Amounts of KILN are strings of 10^-18 KILN; `outputs` are files on this disk where they were
    downloaded, else paths in the job."""
    settled = job.settlement
    files = [
        {"path": str(one.path), "sha256": one.sha256, "kind": one.kind, "frame": one.frame}
        for one in (delivered or outputs)
    ]
    report: dict[str, Any] = {
        "job": job.id,
        "kind": str(job.kind),
        "name": job.name,
        "state": str(job.state),
        "outputs": files,
        "tiles": job.tiles,
        "tiles_passed": job.tiles_passed,
        "cells": job.cells,
        "cells_audited": job.cells_audited,
        "compute_seconds": round(job.compute_seconds, 6),
        "audit_seconds": round(job.audit_seconds, 6),
        "lanes": job.lanes,
        "rejections": [
            {"node": one.node, "tile": one.tile, "attempt": one.attempt, "reason": one.reason} for one in job.rejections
        ],
        "price_usd": usd(settled.price, info.kiln_per_usd) if settled else None,
        "burned": str(settled.burned) if settled else None,
        "fee": str(settled.fee) if settled else None,
        "refund": str(settled.refund) if settled else None,
        "price": str(settled.price) if settled else None,
        "escrow": str(_escrow(job)),
        "kiln_per_usd": info.kiln_per_usd,
        "transactions": _transactions(job),
        "rewards": {one.node: str(one.amount) for one in job.rewards},
        "receipt_root": settled.receipt_root if settled else None,
        "settlement_tx": settled.settlement_tx if settled else None,
        "error": job.error,
        "error_code": job.error_code,
        "advice": job.advice,
    }
    return report


def quote_report(job: JobView) -> dict[str, Any]:
    """What `kilnet quote --json` prints."""
    assert job.quote is not None
    return {
        "kind": str(job.kind),
        "name": job.name,
        "quote": job.quote.model_dump(mode="json"),
        "description": job.description,
    }


def quote_table(job: JobView) -> Table:
    from rich.table import Table

    quote = job.quote
    assert quote is not None
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_row("price", f"{quote.price_usd} USD ({display_kiln(quote.price)} KILN)")
    table.add_row("never more than", f"{quote.cap_usd} USD; what is not used is refunded")
    table.add_row("time", f"about {seconds_text(quote.expected_seconds)}, {quote.kiln_hours:.4f} kiln-hours")
    for line in auction_lines(quote):
        table.add_row("auction", line)
    table.add_row("tiles", f"{quote.tiles}, {quote.cells} cells, {quote.probes_per_tile} redone in each tile")
    table.add_row("proof", f"{quote.lane}: {quote.proven}; about {quote.audit_share:.1%} of the work")
    if quote.preview_tiles:
        table.add_row("preview", f"{quote.preview_tiles} tiles first, {quote.preview_usd} USD if you then say no")
    for warning in quote.warnings:
        table.add_row("note", warning)
    return table


def auction_lines(quote: Quote) -> list[str]:
    """How the price came about."""
    found = quote.auction
    if found is None:
        return []
    hourly = f"{quote.usd_per_kiln_hour:g} USD per kiln-hour"
    out = ", ".join(f"{count} by {name}" for name, count in found.excluded.items()) or "nobody"
    fit = "node fits" if found.fitting == 1 else "nodes fit"
    lines = [f"{found.fitting} {fit}; left out: {out}"]
    if found.clearing_ask is None:
        return [*lines, f"nobody asks: {hourly} is what this deployment offers"]
    are = "is served," if found.served == 1 else "are served, all"
    lines.append(f"{found.served} {are} at the clearing ask of {hourly}")
    if found.limited_by_cap:
        lines.append("more machines would ask more than your cap allows: it takes longer")
    for ask in found.asks:
        name = f" {ask.name}" if ask.name else ""
        where = f", {ask.region}" if ask.region else ""
        served = "" if ask.served else " (too dear)"
        lines.append(
            f"{short(ask.node)}{name}: asks {ask.ask:g}, score {ask.score:.2f}, reputation {ask.reputation:.2f}"
            f"{where}{served}"
        )
    if found.fitting > len(found.asks):
        lines.append(f"and {found.fitting - len(found.asks)} more")
    return lines


def _escrow(job: JobView) -> int:
    """Units that are or were held for a job that was ordered; 0 before, and where its escrow could not be opened."""
    if job.deadline is None or job.quote is None:
        return 0
    if job.state is JobState.FAILED and job.settlement is None:
        return 0
    return job.quote.cap


def _transactions(job: JobView) -> dict[str, str]:
    """Hashes, by what each did."""
    settled = job.settlement
    if settled is None:
        return {}
    sent = {
        "opened": settled.open_tx, "proposed": settled.propose_tx, "settled": settled.settlement_tx,
        "rewarded": settled.reward_tx,
    }  # fmt: skip
    return {name: tx for name, tx in sent.items() if tx is not None}


def _both(units: int, info: Info | None) -> str:
    """An amount in KILN and, where the rate is known, in USD."""
    kiln = f"{display_kiln(units):>14} KILN"
    return f"{kiln} {usd(units, info.kiln_per_usd):>14} USD" if info else kiln


def job_table(job: JobView, info: Info | None, outputs: Sequence[str] = ()) -> Table:
    from rich.table import Table

    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_row("job", f"{job.id}  {job.name}")
    table.add_row("state", f"{job.state}" + (f": {job.error}" if job.error else ""))
    if job.advice:
        table.add_row("what to do", job.advice)
    if job.waiting_for:
        table.add_row("waits for", job.waiting_for)
    table.add_row("tiles", f"{job.tiles_passed} of {job.tiles} passed, {job.progress:.0%} of the work")
    if job.eta_seconds is not None:
        table.add_row("left", f"about {seconds_text(job.eta_seconds)}")
    table.add_row("proof", f"{job.cells_audited} of {job.cells} cells redone, {len(job.rejections)} tiles refused")
    if job.compute_seconds:
        share = job.audit_seconds / job.compute_seconds
        table.add_row("compute", f"{job.compute_seconds:.1f} s, audits {job.audit_seconds:.1f} s ({share:.1%})")
    if job.lanes:
        table.add_row("lanes", ", ".join(f"{count} tiles {lane}" for lane, count in job.lanes.items()))
    if _escrow(job):
        table.add_row("escrow", _both(_escrow(job), info))
    for one in job.rejections:
        table.add_row("refused", f"tile {one.tile} of {short(one.node)}: {one.reason}")
    if job.settlement is not None:
        settled = job.settlement
        for name, units in (
            ("price", settled.price), ("burned", settled.burned), ("fee", settled.fee), ("refund", settled.refund),
        ):  # fmt: skip
            table.add_row(name, _both(units, info))
        for reward in job.rewards:
            table.add_row("earned", f"{_both(reward.amount, info)}  {short(reward.node)}")
        table.add_row("receipts", settled.receipt_root)
        if settled.epoch:
            table.add_row("rewards", f"in the root of epoch {settled.epoch}: kilnet epoch verify {settled.epoch}")
    for name, sent in _transactions(job).items():
        table.add_row(f"{name} in", sent)
    for path in outputs[:12]:
        table.add_row("file", path)
    if len(outputs) > 12:
        table.add_row("", f"and {len(outputs) - 12} more")
    return table


def jobs_table(jobs: Sequence[JobView]) -> Table:
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0))
    for title in ("job", "name", "state", "tiles", "work", "price"):
        table.add_column(title)
    for job in jobs:
        price = f"{job.quote.price_usd} USD" if job.quote else ""
        table.add_row(job.id, job.name, str(job.state), f"{job.tiles_passed}/{job.tiles}", f"{job.progress:.0%}", price)
    return table


def seconds_text(seconds: float) -> str:
    """4 s, 3 min 20 s, 2 h 5 min."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def short(address: str) -> str:
    """0x1234…abcd."""
    return f"{address[:6]}…{address[-4:]}"
