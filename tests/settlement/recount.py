"""The books of a deployment from its logs alone: what an outsider counts who believes nobody.

It stands on `eth_getLogs` and the events' signatures, and shares no code with the package that it checks.
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any
from urllib.request import Request, urlopen

from eth_abi.abi import decode
from eth_utils.crypto import keccak

__all__ = ["Books", "Job", "recount"]

_NOBODY = "0x" + "00" * 20
_EVENTS = {
    # name: (its signature, types of what is not indexed)
    name: (keccak(text=f"{name}({types})").hex(), data.split(",") if data else [])
    for name, types, data in (
        ("Transfer", "address,address,uint256", "uint256"),
        ("Opened", "bytes32,address,uint256,uint64", "uint256,uint64"),
        ("Awarded", "bytes32,address[],uint96", "address[],uint96"),
        ("Proposed", "bytes32,uint256,bytes32,uint64", "uint256,bytes32,uint64"),
        ("ProposalVoided", "bytes32,uint256,bytes32,uint8", "uint256,bytes32,uint8"),
        ("Finalized", "bytes32,uint256,uint256,uint256", "uint256,uint256,uint256"),
        ("Cancelled", "bytes32,address,uint256", "uint256"),
        ("Refunded", "bytes32,address,uint256", "uint256"),
        ("Staked", "address,address,uint256", "uint256"),
        ("Withdrawn", "address,address,uint256", "uint256"),
        ("Locked", "address,bytes32,uint96", "uint96"),
        ("Released", "address,bytes32,uint96", "uint96"),
        ("Slashed", "address,address,uint256,uint256", "uint256,uint256"),
        ("Rewarded", "address,uint256,uint256", "uint256,uint256"),
        ("ChallengeClosed", "uint256,uint8,uint16", "uint8,uint16"),
        ("RootPosted", "uint64,bytes32,uint256,uint40", "bytes32,uint256,uint40"),
        ("Claimed", "address,uint256,uint256", "uint256,uint256"),
    )
}
_BY_TOPIC = {topic: (name, data) for name, (topic, data) in _EVENTS.items()}


@dataclass
class Job:
    """One escrow, as its events tell it."""

    client: str
    cap: int
    prices: list[int] = field(default_factory=list)
    """Of its proposals, the last one at the end."""
    voided: int = 0
    burned: int = 0
    fee: int = 0
    refund: int = 0
    outcomes: list[str] = field(default_factory=list)
    """Its ends; there must never be two."""
    locks: dict[str, int] = field(default_factory=dict)
    """By operator; 0 once released."""


@dataclass
class Books:
    """All amounts in units of KILN, all addresses and jobs in lower-case hex."""

    balances: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    minted: list[tuple[str, int]] = field(default_factory=list)
    burned: int = 0
    jobs: dict[str, Job] = field(default_factory=dict)
    staked: int = 0
    """In the registry: staked and shared rewards, less what was withdrawn and slashed."""
    slashed: int = 0
    found: int = 0
    """Of what was slashed, the finders' share."""
    outcomes: list[int] = field(default_factory=list)
    """Of challenges: 2 upheld, 3 dismissed, 4 lapsed."""
    roots: list[tuple[int, int]] = field(default_factory=list)
    """Each root's total, and what jobs had burned by then."""
    claims: list[tuple[str, int, int]] = field(default_factory=list)
    """Account, amount, cumulative."""

    @property
    def supply(self) -> int:
        return sum(amount for _, amount in self.minted) - self.burned

    @property
    def burned_by_jobs(self) -> int:
        return sum(job.burned for job in self.jobs.values())


def recount(url: str, *, token: str, contracts: tuple[str, ...]) -> Books:
    """Read every log of the deployment, from the first block on."""
    where = [token, *contracts]
    query = {"fromBlock": "0x0", "toBlock": "latest", "address": where}
    body = {"jsonrpc": "2.0", "id": 1, "method": "eth_getLogs", "params": [query]}
    request = Request(url, data=json.dumps(body).encode(), headers={"Content-Type": "application/json"})
    with urlopen(request, timeout=60) as reply:
        logs = json.loads(reply.read())["result"]
    books = Books()
    for log in sorted(logs, key=lambda one: (int(one["blockNumber"], 16), int(one["logIndex"], 16))):
        known = _BY_TOPIC.get(log["topics"][0][2:])
        if known is not None and (known[0] == "Transfer") == (log["address"].lower() == token.lower()):
            name, types = known
            values = decode(types, bytes.fromhex(log["data"][2:]))
            _count(books, name, [topic[2:] for topic in log["topics"][1:]], values)
    return books


def _account(topic: str) -> str:
    return "0x" + topic[-40:]


def _count(books: Books, name: str, topics: list[str], values: tuple[Any, ...]) -> None:
    match name:
        case "Transfer":
            _move(books, _account(topics[0]), _account(topics[1]), values[0])
        case "Opened":
            assert topics[0] not in books.jobs
            books.jobs[topics[0]] = Job(_account(topics[1]), values[0])
        case "Proposed":
            books.jobs[topics[0]].prices.append(values[0])
        case "ProposalVoided":
            books.jobs[topics[0]].voided += 1
        case "Finalized":
            job = books.jobs[topics[0]]
            job.burned, job.fee, job.refund = values
            job.outcomes.append(name)
        case "Cancelled" | "Refunded":
            job = books.jobs[topics[0]]
            job.refund = values[0]
            job.outcomes.append(name)
        case "Locked":
            books.jobs[topics[1]].locks[_account(topics[0])] = values[0]
        case "Released":
            assert books.jobs[topics[1]].locks[_account(topics[0])] == values[0]
            books.jobs[topics[1]].locks[_account(topics[0])] = 0
        case "Staked":
            books.staked += values[0]
        case "Withdrawn":
            books.staked -= values[0]
        case "Rewarded":
            books.staked += values[1]
        case "Slashed":
            books.staked -= values[0]
            books.slashed += values[0]
            books.found += values[1]
        case "ChallengeClosed":
            books.outcomes.append(values[0])
        case "RootPosted":
            books.roots.append((values[1], books.burned_by_jobs))
        case "Claimed":
            books.claims.append((_account(topics[0]), values[0], values[1]))


def _move(books: Books, source: str, target: str, amount: int) -> None:
    if source == _NOBODY:
        books.minted.append((target, amount))
    else:
        books.balances[source] -= amount
        assert books.balances[source] >= 0, "more was sent than there was"
    if target == _NOBODY:
        books.burned += amount
    else:
        books.balances[target] += amount
