"""One real anvil with the contracts on it; each test uses jobs and accounts of its own."""

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from eth_account import Account
from eth_account.signers.local import LocalAccount

from contracts.chain_keeper import call_rpc
from contracts.client import ChainClient
from contracts.deploy import KILN, Addresses, DeployParams, deploy
from contracts.embedded import EmbeddedChain
from contracts.errors import ToolMissing
from contracts.toolchain import find_anvil
from contracts.typed_data import JobOrder, Permit, job_order_data, sign, sign_permit

DAY = 24 * 3600
WINDOW = 60
GRACE = 3600
UNBONDING = 7 * DAY
RULING = 2 * DAY


@dataclass
class Stack:
    """A chain with the contracts, and a client for each role."""

    chain: EmbeddedChain
    addresses: Addresses
    coordinator: ChainClient
    faucet: ChainClient

    def client_with(self, amount: int) -> LocalAccount:
        """A fresh account that owns ``amount`` of KILN and no coin for gas."""
        account: LocalAccount = Account.create()
        if amount:
            self.faucet.transfer(account.address, amount)
        return account

    def signed_order(
        self, client: LocalAccount, cap: int, *, permit_deadline: int | None = None, job: bytes | None = None
    ) -> tuple[JobOrder, bytes, Permit]:
        """An order with its signature and a permit for exactly its cap."""
        now = self.coordinator.time()
        order = JobOrder(job or secrets.token_bytes(32), client.address, cap, now + DAY)
        permit = sign_permit(
            client,
            value=cap,
            nonce=self.coordinator.permit_nonce(client.address),
            deadline=now + DAY if permit_deadline is None else permit_deadline,
            addresses=self.addresses,
        )
        return order, sign(job_order_data(order, self.addresses), client), permit

    def opened(self, cap: int = 100 * KILN) -> tuple[bytes, LocalAccount]:
        """A job that is open, and its client."""
        client = self.client_with(cap)
        order, signature, permit = self.signed_order(client, cap)
        self.coordinator.open_for(order, signature, permit)
        return order.job, client

    def pass_time(self, seconds: int) -> None:
        """Moves the chain's clock on and mines a block."""
        call_rpc(self.chain.url, "evm_increaseTime", seconds)
        call_rpc(self.chain.url, "evm_mine")


def make_stack(chain: EmbeddedChain, folder: Path, *, window: int = WINDOW, veto_window: int = 0) -> Stack:
    keys = chain.keys
    addresses = deploy(
        chain.url,
        keys.deployer.key,
        keys.coordinator.address,
        keys.treasury.address,
        keys.signer.address,
        DeployParams(
            challenge_window=window,
            grace=GRACE,
            veto_window=veto_window,
            guardian=keys.guardian.address,
            faucet=keys.faucet.address,
            unbonding_period=UNBONDING,
            ruling_period=RULING,
            bond=KILN,
            auditors=(keys.auditor.address,),
            price_max_age=1_000_000_000,
        ),
        addresses_file=folder / "addresses.json",
    )
    coordinator = ChainClient(chain.url, addresses, keys.coordinator.key)
    coordinator.check()
    return Stack(chain, addresses, coordinator, ChainClient(chain.url, addresses, keys.faucet.key))


@pytest.fixture(scope="session")
def anvil() -> Path:
    try:
        return find_anvil()
    except ToolMissing as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def stack(anvil: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("chain")
    with EmbeddedChain(folder / "chain.json") as chain:
        yield make_stack(chain, folder)


@pytest.fixture
def new_chain(anvil: Path, tmp_path: Path) -> Iterator[Callable[[], EmbeddedChain]]:
    """Makes chains over one state file, and stops whatever is left of them."""
    made: list[EmbeddedChain] = []

    def make() -> EmbeddedChain:
        made.append(EmbeddedChain(tmp_path / "chain.json"))
        return made[-1]

    yield make
    for chain in made:
        chain.stop()
