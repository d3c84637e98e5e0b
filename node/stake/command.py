"""What `kilnet node register` is told of owners and stake, and does about it on chain."""

from __future__ import annotations

from pathlib import Path

from jobs.errors import BadInput
from jobs.pricing import kiln_units
from node.agent import AgentSettings
from node.gateway import GatewayClient
from node.keys import NodeKey
from node.stake import Joined, join_chain

__all__ = ["join_as_asked", "owner_of", "units_of"]


def owner_of(owner: str | None, operator_key: Path | None) -> str | None:
    """The account that earns. Raises BadInput where it is not that of the operator's key."""
    if operator_key is None:
        return owner
    address = NodeKey.load(operator_key).address
    if owner is not None and owner.lower() != address.lower():
        raise BadInput(f"--owner {owner}: the key in --operator-key is of {address}; name one of the two")
    return address


def units_of(kiln: str | None, option: str = "--stake") -> int | None:
    """KILN as units. Raises BadInput naming the option."""
    if kiln is None:
        return None
    units = kiln_units(kiln)
    if not units:
        raise BadInput(f"{option} {kiln[:40]}: write a number of KILN above 0")
    return units


def join_as_asked(
    client: GatewayClient,
    settings: AgentSettings,
    operator_key: Path | None,
    rpc: str | None,
    units: int | None,
    *,
    patience: float,
) -> Joined | None:
    """The chain's part of a registration; None where the gateway has no registry or asks for no stake."""
    info, key = client.info(patience=patience), NodeKey.load(settings.data / "key")
    if units is None and (info.stake is None or info.chain is None):
        return None
    if operator_key is None and settings.owner is not None and settings.owner.lower() != key.address.lower():
        raise BadInput(
            f"--owner {settings.owner} stakes and answers for this node: name its key with --operator-key, or leave "
            "the chain out with --no-stake"
        )
    operator = key if operator_key is None else NodeKey.load(operator_key)
    return join_chain(info, key, operator, rpc=rpc, stake=units)
