"""Events of one contract, from whatever RPC there is."""

from collections.abc import Mapping
from typing import Any

from web3 import Web3

from contracts.connection import Connection
from contracts.errors import ChainError
from contracts.reverts import translated

__all__ = ["logs_of"]

_SPAN = 5_000
"""Blocks per request where an RPC answers no more at once."""


def logs_of(chain: Connection, contract: str, topics: list[Any]) -> list[Mapping[str, Any]]:
    """All events of `contract` with these topics since the deployment, in the chain's order. Raises ChainError."""
    first = chain.addresses.deploy_block
    query: dict[str, Any] = {"address": Web3.to_checksum_address(contract), "topics": topics}
    try:
        with translated(chain.url):
            return list(chain.web3.eth.get_logs({**query, "fromBlock": first, "toBlock": "latest"}))  # type: ignore[typeddict-item]
    except ChainError:
        pass  # many RPCs answer for so many blocks only
    with translated(chain.url):
        last = int(chain.web3.eth.block_number)
        found: list[Mapping[str, Any]] = []
        for begin in range(first, last + 1, _SPAN):
            span = {"fromBlock": begin, "toBlock": min(begin + _SPAN - 1, last)}
            found += chain.web3.eth.get_logs({**query, **span})  # type: ignore[typeddict-item]
        return found
