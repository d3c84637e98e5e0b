"""KILN and gas of a local chain, which are worth nothing, for whoever takes part in it."""

from __future__ import annotations

from collections.abc import Sequence

from contracts.chain_keeper import call_rpc
from contracts.client import ChainClient
from contracts.errors import ChainUnavailable, NonceUsed
from coordinator.config import Settings
from coordinator.settlement.chain import addresses
from coordinator.stack.layout import Layout
from jobs.pricing import UNIT

__all__ = ["BOND_KILN", "NODE_KILN", "WALLET_KILN", "fill_bond", "fill_up"]

WALLET_KILN = 10_000
"""What the client's wallet is filled up to."""
NODE_KILN = 1_000
"""What a node's account is filled up to: the stake of some nodes."""
BOND_KILN = 1_000
"""What stands for the coordinator's acknowledgements."""
_GAS_WEI = 10**20
_TRIES = 5


def fill_up(settings: Settings, accounts: Sequence[str], kiln: int) -> int:
    """See to it that each account holds so many KILN and can pay gas; how many units were sent.

    Raises ChainError, and BadSigningKey where this machine has no keys of the chain."""
    from contracts.keys import LocalKeys

    keys = LocalKeys.load(Layout(settings.data).chain_keys)
    chain = ChainClient(settings.chain.rpc_url, addresses(settings), bytes(keys.faucet.key))
    sent = 0
    for account in accounts:
        _give_gas(settings.chain.rpc_url, account)
        missing = kiln * UNIT - chain.balance_of(account)
        if missing > 0:
            _transfer(chain, account, missing)
            sent += missing
    return sent


def fill_bond(settings: Settings, signer: str) -> None:
    """Give a signer a bond where nothing was ever deposited for it: what was claimed is not filled up, as nobody else's
    is. Raises ChainError."""
    from contracts.keys import LocalKeys

    keys = LocalKeys.load(Layout(settings.data).chain_keys)
    chain = ChainClient(settings.chain.rpc_url, addresses(settings), bytes(keys.faucet.key))
    if chain.bond_of(signer).known:
        return
    chain.approve(BOND_KILN * UNIT, chain.addresses.bond)
    chain.deposit_bond(signer, BOND_KILN * UNIT)


def _give_gas(url: str, account: str) -> None:
    try:
        if int(call_rpc(url, "eth_getBalance", account, "latest"), 16) < _GAS_WEI // 2:
            call_rpc(url, "anvil_setBalance", account, hex(_GAS_WEI))
    except (OSError, ValueError) as error:
        raise ChainUnavailable(f"{url} gives no coins ({error}): only a local chain does") from error


def _transfer(chain: ChainClient, account: str, amount: int) -> None:
    """Two that fill up at once may draw the same nonce: then one of them does so again."""
    for left in reversed(range(_TRIES)):
        try:
            chain.transfer(account, amount)
            return
        except NonceUsed:
            if not left:
                raise
