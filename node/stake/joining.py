"""What makes a node's key answered for on chain: its operator is registered, has accepted the key, and has stake."""

from __future__ import annotations

import time
from typing import Any, NamedTuple

from jobs.errors import BadInput
from jobs.pricing import display_kiln
from jobs.typed_data import permit_message
from jobs.wire import ChainInfo, Info
from node.keys import NodeKey
from node.stake.rpc import Chain, ContractSaysNo, chain_of

__all__ = ["Joined", "join_chain"]

_PERMIT_SECONDS = 600
_SPARE_PERCENT = 25
"""Staked beyond what is asked for: when the price of a KILN falls, more of them are asked for."""
_NOBODY = "0x" + "00" * 20


class Joined(NamedTuple):
    """What is so now, and what was done for it."""

    operator: str
    staked: int
    """The operator's own active stake, in units."""
    done: tuple[str, ...]
    """In words, one for each transaction; empty where all of it was so before."""

    def as_json(self) -> dict[str, Any]:
        return {"operator": self.operator, "staked": str(self.staked), "done": list(self.done)}


def join_chain(
    info: Info, node: NodeKey, operator: NodeKey, *, rpc: str | None = None, stake: int | None = None
) -> Joined:
    """Register `operator`, have it answer for `node`, and stake what is missing; what is there is not done again.

    `stake` in units is added to what is staked; None: up to what the gateway asks for the node, and a quarter more.
    Raises BadInput (wrong chain, too few KILN, no gas money, a key that answers to another), Unavailable, Refused."""
    (chain, where, registry), done = chain_of(info, rpc), []
    # All that can be wrong is looked at before the first transaction: each costs gas.
    (answers,) = chain.read(registry, "answersFor(address)", ["address"], node.address)
    if answers.lower() not in (_NOBODY, operator.address.lower()):
        raise BadInput(
            f"on chain {answers} answers for node {node.address}, for ever: name its key with --operator-key, or use a "
            "fresh --data"
        )
    staked = chain.read(registry, "stakeOf(address,address)", _STAKE, operator.address, operator.address)[0]
    asked = info.stake.per_node if info.stake is not None else 0
    missing = stake if stake is not None else 0 if staked >= asked else asked * (100 + _SPARE_PERCENT) // 100 - staked
    _check_holds(chain, where, operator, missing)
    registered = chain.read(registry, "operatorOf(address)", _OPERATOR, operator.address)[0][0]
    if not registered:
        chain.send(operator, registry, "register(uint16)", 0)
        done.append(f"registered {operator.address} as an operator")
    if answers == _NOBODY:
        consent = node.accept_operator(chain_id=where.chain_id, registry=registry, operator=operator.address)
        chain.send(operator, registry, "addNode(address,bytes)", node.address, bytes.fromhex(consent[2:]))
        done.append(f"{operator.address} answers for node {node.address}")
    if missing > 0:
        _stake(chain, where, registry, operator, missing)
        done.append(f"staked {display_kiln(missing)} KILN")
        staked += missing
    return Joined(operator.address, staked, tuple(done))


_OPERATOR = ["(bool,bool,bool,uint16,uint96,(uint256,uint256,uint256),(uint256,uint256,uint256))"]
_STAKE = ["uint256", "uint256", "uint40"]


def _check_holds(chain: Chain, where: ChainInfo, operator: NodeKey, amount: int) -> None:
    """Raises BadInput where the operator has fewer KILN than are to be staked."""
    (holds,) = chain.read(where.token, "balanceOf(address)", ["uint256"], operator.address)
    if holds < amount:
        raise BadInput(
            f"{operator.address} holds {display_kiln(holds)} KILN and {display_kiln(amount)} are to be staked: send it "
            f"{display_kiln(amount - holds)} more (on a local stack: `kilnet faucet {operator.address}`)",
            code="not_enough_tokens",
        )


def _stake(chain: Chain, where: ChainInfo, registry: str, operator: NodeKey, amount: int) -> None:
    """By a permit, so that it takes one transaction and leaves no allowance behind."""
    (nonce,) = chain.read(where.token, "nonces(address)", ["uint256"], operator.address)
    # An idle chain's latest block may be old, and its clock ahead of this machine's.
    deadline = max(int(time.time()), chain.now()) + _PERMIT_SECONDS
    message = permit_message(
        token=where.token, token_name=where.token_name, chain_id=where.chain_id, owner=operator.address,
        spender=registry, value=amount, nonce=nonce, deadline=deadline,
    )  # fmt: skip
    raw = bytes.fromhex(operator.sign_typed(message)[2:])
    try:
        chain.send(
            operator, registry, "stakeWithPermit(address,uint256,uint256,uint8,bytes32,bytes32)",
            operator.address, amount, deadline, raw[64], raw[:32], raw[32:64],
        )  # fmt: skip
    except ContractSaysNo as error:
        if chain.now() > deadline:
            raise BadInput(
                f"the permit to stake {display_kiln(amount)} KILN expired at {deadline} (Unix time) before the chain "
                "took it; nothing was staked: run the command again",
                code="permit_expired",
            ) from error
        raise BadInput(str(error), code="chain_refused") from error
