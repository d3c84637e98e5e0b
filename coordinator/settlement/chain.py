"""The deployment that jobs are paid on, as the rest of the coordinator sees it."""

from __future__ import annotations

import threading
from functools import cache
from pathlib import Path

from contracts.addresses import Addresses
from contracts.client import ChainClient
from contracts.errors import ChainError
from contracts.keys import account_from_key
from coordinator.config import ChainSettings, Settings
from jobs.typed_data import Domain
from jobs.wire import ChainInfo

__all__ = ["addresses", "chain_info", "client", "domain", "receipt_signer"]

TOKEN_NAME = "Kiln"  # noqa: S105 - the EIP-712 name of the token, not a secret

_local = threading.local()


@cache
def _key(path: Path) -> str:
    return path.read_text().strip()


def client(settings: Settings) -> ChainClient:
    """This thread's connection, with the coordinator's key. Raises ChainUnavailable, NotDeployed, BadSigningKey."""
    clients: dict[ChainSettings, ChainClient] = _local.__dict__.setdefault("clients", {})
    if settings.chain not in clients:
        addresses = Addresses.load(settings.chain.addresses_file)
        clients[settings.chain] = ChainClient(
            settings.chain.rpc_url, addresses, _key(settings.chain.coordinator_key_file)
        )
    return clients[settings.chain]


def receipt_signer(settings: Settings) -> tuple[str, bytes]:
    """Address and private key (32 bytes) that sign receipts."""
    account = account_from_key(_key(settings.chain.coordinator_key_file))
    return account.address, bytes(account.key)


@cache
def _addresses(path: Path) -> Addresses:
    return Addresses.load(path)


def addresses(settings: Settings) -> Addresses:
    """Where the contracts are, by the deployment's own file. Raises NotDeployed."""
    return _addresses(settings.chain.addresses_file)


def domain(settings: Settings) -> Domain:
    """The EIP-712 domain of everything signed for this deployment; needs the address file, not the chain."""
    known = addresses(settings)
    return Domain(chain_id=known.chain_id, escrow=known.escrow)


def chain_info(settings: Settings) -> ChainInfo | None:
    """What clients are told of the chain; None while nothing is deployed or nothing answers."""
    try:
        known = addresses(settings)
        client(settings).check()
    except ChainError:
        return None
    return ChainInfo(
        chain_id=known.chain_id,
        token=known.token,
        token_name=TOKEN_NAME,
        escrow=known.escrow,
        distributor=known.distributor,
        registry=known.registry or None,
        disputes=known.disputes or None,
        oracle=known.oracle or None,
        rpc_url=settings.chain.public_rpc_url,
    )
