"""A node operator's money: what was earned, and how it gets into the wallet."""

from __future__ import annotations

import textwrap
import time
from decimal import ROUND_FLOOR, Decimal

from jobs.errors import Unavailable
from jobs.pricing import UNIT, display_kiln
from jobs.wire import EarningsView, Info, RewardsOnChain
from node.keys import NodeKey
from node.stake import chain_of

__all__ = ["ALL", "claim_rewards", "earnings_lines", "unbond_stake", "withdraw_stake"]

ALL = 2**256 - 1
"""The amount that unbonds all there is."""
_SHOWN = 10
_WIDTH = 80


def both(units: int, kiln_per_usd: str) -> str:
    """An amount in KILN and USD, rounded down."""
    return f"{display_kiln(units):>16} KILN {_usd(units, kiln_per_usd):>14,.6f} USD"


def _usd(units: int, kiln_per_usd: str) -> Decimal:
    return (Decimal(units) / UNIT / Decimal(kiln_per_usd)).quantize(Decimal("0.000001"), rounding=ROUND_FLOOR)


def earnings_lines(view: EarningsView) -> list[str]:
    """For people, 80 columns wide."""

    def row(what: str, units: int, note: str = "") -> str:
        return f"{what:<24} {both(units, view.kiln_per_usd)}{'  ' + note if note else ''}"

    lines = [f"node {view.node}: {view.tiles} tiles passed"]
    if view.account != view.node:
        lines.append(f"its owner {view.account} earns")
    lines += [row("earned", view.earned), row("in no root yet", view.unpaid)]
    rewards, stake = view.rewards, view.stake
    if rewards is None:
        lines.append("the chain cannot be read at the moment: claims and stake are not shown")
    else:
        lines += [
            row("claimable", rewards.claimable, "kilnet node claim" if rewards.claimable else ""),
            row("claimed", rewards.claimed),
            row("pending (can be vetoed)", rewards.pending),
        ]
    if stake is not None and stake.registered:
        lines += [row("at stake", stake.staked), row("  locked for open jobs", stake.locked)]
        if stake.unbonding:
            left = stake.ready_at - time.time()
            when = f"ready in {left / 3600:.1f} h" if left > 0 else "ready: kilnet node withdraw"
            lines.append(row("unbonding", stake.unbonding, when))
        if stake.others:
            lines.append(row("staked by others", stake.others))
    lines.append(row("slashed", view.slashed))
    for one in view.slashes[:_SHOWN]:
        lines += [row("  of that", one.amount), *_wrapped(one.why + (f" (job {one.job})" if one.job else ""))]
        lines += [f"    {one.tx}"] if one.tx else []
    if len(view.slashes) > _SHOWN:
        lines.append(f"  and {len(view.slashes) - _SHOWN} more (--json has them)")
    rate = view.kiln_per_usd
    jobs = [(f"{one.job} {one.name}", one.tiles, one.amount, _paid(one.epoch)) for one in view.jobs]
    lines += _table("job", jobs, rate)
    if view.job is not None:
        frames = [
            ("items" if one.frame is None else f"frame {one.frame}", one.tiles, one.amount, "") for one in view.frames
        ]
        lines += _table(f"frames of {view.job}", frames, rate)
    lines += _table("epoch", [(str(one.epoch), one.tiles, one.amount, "") for one in view.epochs], rate)
    return lines


def _paid(epoch: int | None) -> str:
    return "not paid yet" if epoch is None else "refunded" if epoch == 0 else f"epoch {epoch}"


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent="    ", subsequent_indent="    ")


def _table(title: str, rows: list[tuple[str, int, int, str]], kiln_per_usd: str) -> list[str]:
    if not rows:
        return []
    lines = ["", f"{title[:28]:<28} {'tiles':>6} {'KILN':>15} {'USD':>14}"]
    for name, tiles, amount, note in rows[:_SHOWN]:
        money = f"{display_kiln(amount):>15} {_usd(amount, kiln_per_usd):>14,.6f}"
        lines.append(f"{name[:28]:<28} {tiles:>6} {money}  {note}".rstrip())
    if len(rows) > _SHOWN:
        lines.append(f"and {len(rows) - _SHOWN} more (--json has them)")
    return lines


def claim_rewards(info: Info, rewards: RewardsOnChain | None, payer: NodeKey, *, rpc: str | None) -> str | None:
    """Have the account's rewards minted to it, `payer` paying the gas; the transaction, None where there is nothing.

    Raises BadInput, Unavailable, Refused."""
    if rewards is None:
        raise Unavailable("the gateway cannot read the chain at the moment: try again later")
    if not rewards.claimable:
        return None
    chain, where, _ = chain_of(info, rpc)
    proof = [bytes.fromhex(step[2:]) for step in rewards.proof]
    arguments = (rewards.account, rewards.cumulative, proof)
    return chain.send(payer, where.distributor, "claim(address,uint256,bytes32[])", *arguments)


def unbond_stake(info: Info, operator: NodeKey, units: int, *, rpc: str | None) -> str:
    """Begin to leave with `units` of the operator's own stake, or with ALL; the transaction."""
    chain, _, registry = chain_of(info, rpc)
    return chain.send(operator, registry, "unbond(address,uint256)", operator.address, units)


def withdraw_stake(info: Info, operator: NodeKey, *, rpc: str | None) -> str:
    """Take what has been unbonding for long enough; the transaction."""
    chain, _, registry = chain_of(info, rpc)
    return chain.send(operator, registry, "withdraw(address)", operator.address)
