"""Stake on chain, from a node operator's side: register, answer for a node's key, stake with a permit.

It speaks plain JSON-RPC, so that a node needs no chain library.
"""

from node.stake.joining import Joined, join_chain
from node.stake.rpc import Chain, chain_of

__all__ = ["Chain", "Joined", "chain_of", "join_chain"]
