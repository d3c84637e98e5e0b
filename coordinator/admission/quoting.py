"""The quote: expected kiln-hours x a clearing price, what the proof costs, and what it proves, in words."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from coordinator.admission.proving import proven
from coordinator.config import Settings
from coordinator.planning.tiles import lay_out
from jobs.contract import InferContract, Lane, RenderContract
from jobs.errors import BadInput
from jobs.planner import InferCost, PlanPolicy, RenderCost, in_preview, tile_seconds
from jobs.pricing import clearing_price, kiln_hours, price_usd, to_units
from jobs.spec import InferSpec, RenderSpec
from jobs.tiles import InferTile, RenderTile
from jobs.wire import Quote
from verification.policy import GOOD, TOLERANT_FLOOR, floor_for, frames_again, probes

__all__ = ["WAIT_SHARE", "hourly_price", "make_quote", "wish_for_plan"]

WAIT_SHARE = 0.5
"""Machines are bought so that the job is done in this share of its deadline: the rest is for what goes wrong."""
_MOST_NODES = 256
_ALONE = 2
"""Cells that an auditor renders by themselves, to see what a call costs (node/runners/blender/render.py)."""


def wish_for_plan(
    settings: Settings, scores: Sequence[float], cost: RenderCost | InferCost, lane: Lane
) -> dict[str, int]:
    """What the plan counts on: it is kept with the job, so that the plan made later is the one that was quoted. `lane`
    is that of most machines."""
    nodes = max(1, min(len(scores) or settings.expected_nodes, _MOST_NODES))
    if not isinstance(cost, RenderCost):
        return {"nodes": nodes, "probes": settings.probes}
    floor = floor_for(cost.content, settings.probes)
    return {"nodes": nodes, "probes": max(floor, TOLERANT_FLOOR) if lane is Lane.TOLERANT else floor}


def hourly_price(asks: Sequence[tuple[float, float]], hours: float, deadline_s: float, machines: int) -> float | None:
    """USD per kiln-hour that a job offers: the ask of the last machine that is needed to be done in time, or of the
    `machines`-th cheapest where that is more, so that a job does not hang on one machine. None where nobody asks."""
    needed = clearing_price(asks, hours, deadline_s * WAIT_SHARE / 3600)
    if needed is None:
        return None
    ordered = sorted(ask for ask, _ in asks)
    return max(needed, ordered[min(machines, len(ordered)) - 1])


def make_quote(
    settings: Settings,
    contract: RenderContract | InferContract,
    spec: RenderSpec | InferSpec,
    frames: Sequence[int],
    cost: RenderCost | InferCost,
    policy: PlanPolicy,
    *,
    asks: Sequence[tuple[float, float]],
    lane: Lane,
    warnings: Sequence[str],
    now: float,
    rate: Decimal,
) -> Quote:
    """Price, time and proof of a job. `asks` are (USD per kiln-hour, score) of the machines that fit, `rate` the KILN
    that a USD buys.

    Fewer machines are counted on where that brings the price under the client's cap. Raises BadInput
    `cap_below_quote` where nothing does."""
    tiles = lay_out(contract, spec, frames, cost, policy)
    seconds = sum(tile_seconds(tile, contract, cost) for tile in tiles)
    loading = cost.load_seconds * min(policy.nodes, len(tiles))
    hours = kiln_hours(seconds + loading)
    most = None if spec.max_price_usd is None else Decimal(str(spec.max_price_usd))
    hourly, price = 0.0, Decimal(0)
    for machines in range(max(1, settings.expected_nodes), 0, -1):
        offered = hourly_price(asks, hours, spec.deadline_s, machines)
        hourly = settings.usd_per_kiln_hour if offered is None else offered
        price = price_usd(hours, hourly)
        if most is None or price <= most:
            break
    if most is not None and price > most:
        raise BadInput(
            f"the quote is {price:f} USD, above the cap of {most:f} USD: raise the cap (--max-price) to at least "
            f"{price:f}, or ask for fewer frames, samples or pixels",
            code="cap_below_quote",
        )
    cap = price_usd(float(price), settings.quote_margin)
    cap = cap if most is None else min(cap, most)
    units = max(to_units(price, rate), len(tiles))
    fit = [score for ask, score in asks if ask <= hourly]
    cells = sum(tile.cell_count() for tile in tiles)
    share = _audit_share(contract, frames, cost, tiles, seconds, policy)
    return Quote(
        price_usd=f"{price:f}",
        price=units,
        cap_usd=f"{cap:f}",
        cap=max(to_units(cap, rate), units),
        kiln_hours=hours,
        usd_per_kiln_hour=hourly,
        expected_seconds=seconds / (sum(fit) or 1.0) + cost.load_seconds,
        tiles=len(tiles),
        cells=cells,
        probes_per_tile=max(min(policy.probes, tile.cell_count()) for tile in tiles),
        audit_share=share,
        lane=lane,
        proven=proven(contract, lane, min(policy.probes, max(tile.cell_count() for tile in tiles))),
        warnings=(*warnings, *_more_warnings(contract, tiles, share), *_progressive(contract, spec, frames)),
        **_preview(contract, spec, frames, tiles, [tile_seconds(tile, contract, cost) for tile in tiles], price),
        expires_at=now + settings.quote_seconds,
    )


def _progressive(
    contract: RenderContract | InferContract, spec: RenderSpec | InferSpec, frames: Sequence[int]
) -> list[str]:
    if not isinstance(spec, RenderSpec) or not isinstance(contract, RenderContract) or not spec.progressive:
        return []
    if len(frames) > 1:
        return ["Only a still is rendered progressively; these frames are rendered one after another."]
    if not contract.merges_samples:
        return [
            "This still is not rendered progressively: its samples stay together (adaptive sampling, volumes, or "
            "another engine than Cycles)."
        ]
    return []


def _preview(
    contract: RenderContract | InferContract,
    spec: RenderSpec | InferSpec,
    frames: Sequence[int],
    tiles: Sequence[RenderTile | InferTile],
    seconds: Sequence[float],
    price: Decimal,
) -> dict[str, Any]:
    """The fields of a quote that tell of the preview."""
    if not isinstance(spec, RenderSpec) or not isinstance(contract, RenderContract) or spec.preview_every is None:
        return {}
    every = spec.preview_every
    first = [isinstance(tile, RenderTile) and in_preview(tile, contract, frames, every) for tile in tiles]
    share = sum(own for own, chosen in zip(seconds, first, strict=True) if chosen) / sum(seconds)
    return {"preview_tiles": sum(first), "preview_usd": f"{price_usd(float(price), share):f}"}


def _audit_share(
    contract: RenderContract | InferContract,
    frames: Sequence[int],
    cost: RenderCost | InferCost,
    tiles: Sequence[RenderTile] | Sequence[InferTile],
    seconds: float,
    policy: PlanPolicy,
) -> float:
    """What the proof is expected to cost, as a share of the work itself, with the auditor's own preparation; of nodes
    in good standing: a new one's first six tiles or so cost three times as much."""
    if contract.lane is Lane.PERCEPTUAL and not contract.in_cells:
        return 1.0
    if not contract.in_cells:
        again = sum(frames_again(GOOD, frames=len(tile.frames)) for tile in tiles if isinstance(tile, RenderTile))
        return again / len(frames)
    redone, preparing = 0.0, cost.sync_seconds * len(frames) if isinstance(cost, RenderCost) else 0.0
    for tile in tiles:
        cells = probes(GOOD, cells=tile.cell_count(), floor=policy.probes) * cost.cell_seconds
        if isinstance(tile, RenderTile):  # near cells are rendered together, at most all of the tile
            cells = min(cells, tile_seconds(tile, contract, cost) + _ALONE * cost.cell_seconds)
        redone += cells
    return (redone + preparing + cost.load_seconds) / seconds


def _more_warnings(contract: RenderContract | InferContract, tiles: Sequence[object], share: float) -> list[str]:
    found = []
    if share > 0.05 and contract.in_cells:
        found.append(f"The proof costs {share:.0%} of the work: what is fixed in each check is large beside it.")
    if not isinstance(contract, RenderContract):
        return found
    renders = [tile for tile in tiles if isinstance(tile, RenderTile)]
    if any(tile.only_seen(contract) for tile in renders):
        found.append(
            "The preview is rendered by itself and its samples count again: this still's do not merge (adaptive "
            "sampling or volumes)."
        )
    elif any(tile.samples != (0, contract.samples) for tile in renders):
        found.append("Frames are put together from sample ranges: equal to 1e-4 x max(1, |value|), not to the bit.")
    return found
