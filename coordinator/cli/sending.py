"""What every command that sends something to the chain needs: which deployment, whose key, what it costs, and the word
to go on."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from coordinator.cli.connection import KEY_VARIABLE
from coordinator.cli.told import told
from jobs.addresses import check_address
from jobs.errors import BadInput, KilnetError, Unavailable

if TYPE_CHECKING:
    from contracts.addresses import Addresses
    from contracts.client import ChainClient
    from contracts.reader import ChainReader
    from contracts.transactions import PreparedTx, TxResult

__all__ = [
    "Deployment",
    "Escrow",
    "GoOn",
    "Rpc",
    "client",
    "coin",
    "confirm",
    "find_deployment",
    "gas",
    "run",
    "wallet",
]

Rpc = Annotated[str | None, typer.Option(metavar="URL", help="The chain's RPC. [default: as the gateway says]")]
Escrow = Annotated[
    str | None, typer.Option(metavar="ADDRESS", help="The escrow contract, with --rpc: then no gateway is asked.")
]
GoOn = Annotated[bool, typer.Option("--yes", "-y", help="Send it without asking.")]


class Deployment(NamedTuple):
    """Where the contracts are."""

    rpc: str
    addresses: Addresses

    def reader(self) -> ChainReader:
        from contracts.reader import ChainReader

        return ChainReader(self.rpc, self.addresses)


def find_deployment(
    gateway: str | None, rpc: str | None, escrow: str | None, *, chain_id: int | None = None
) -> Deployment:
    """The contracts around an escrow: the named one (or that of a file, with its chain's id), else the gateway's. What
    else there is the chain says, not the gateway. Raises BadInput, Unavailable."""
    from contracts.discovery import discover

    if escrow is None or rpc is None:
        chain = _of_gateway(gateway)
        if escrow is not None and escrow.lower() != chain.escrow.lower():
            raise BadInput(f"escrow {escrow} is not the gateway's: name the RPC of its chain with --rpc")
        escrow, chain_id, rpc = chain.escrow, chain.chain_id, rpc or chain.rpc_url
    if rpc is None:
        raise BadInput("the operator keeps its chain's address private: name one of your own with --rpc")
    check_address(escrow, "--escrow")
    with told():
        return Deployment(rpc, discover(rpc, escrow, chain_id=chain_id))


class _Chain(NamedTuple):
    escrow: str
    chain_id: int
    rpc_url: str | None


def _of_gateway(gateway: str | None) -> _Chain:
    from coordinator.cli.public import PublicGateway

    chain = PublicGateway(gateway).info().chain
    if chain is None:
        raise Unavailable("the gateway reaches no chain at the moment: try again later, or name --rpc and --escrow")
    return _Chain(chain.escrow, chain.chain_id, chain.rpc_url)


def wallet(key: str | None) -> bytes:
    """The key that pays and signs: the named one, else the environment's, else the local stack's client's."""
    from coordinator.stack import find_running
    from jobs.client.key import read_key

    named = key or os.environ.get(KEY_VARIABLE)
    if named:
        return read_key(named)
    running = find_running()
    if running is None:
        raise BadInput(f"there is no key to sign with: name one, or its file, with --key or {KEY_VARIABLE}")
    return read_key(str(running.key_file))


def client(where: Deployment, key: str | None) -> ChainClient:
    """A connection that can send."""
    from contracts.client import ChainClient

    with told():
        return ChainClient(where.rpc, where.addresses, wallet(key))


def gas(prepared: PreparedTx) -> str:
    """What gas may cost, in words."""
    return f"{coin(prepared.most_wei)} at most ({prepared.gas_limit} gas)"


def coin(wei: int) -> str:
    """An amount of what the chain takes for gas, in words."""
    from eth_utils.currency import from_wei

    return f"{from_wei(wei, 'ether'):.6f} of the chain's own coin"


def confirm(what: str, *, yes: bool) -> None:
    """Says what is about to be sent and what it costs; asks, unless told to go on. Raises BadInput where nobody can
    answer, Abort."""
    print(what, file=sys.stderr, flush=True)
    if yes:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise BadInput("nothing was sent: add --yes to send it")
    print("Send it? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise KilnetError("nothing was sent; add --yes to send it without being asked")


def run(sender: ChainClient, prepared: PreparedTx) -> TxResult:
    """Sends and waits until it is mined. Raises BadInput where a contract refused, Unavailable."""
    with told():
        return sender.wait(sender.send(prepared.raw)).checked()
