"""Deploys the contracts and gives everybody their role. May be repeated: what is there is kept."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from eth_typing import HexAddress, HexStr
from hexbytes import HexBytes
from web3 import Web3
from web3.contract import Contract
from web3.types import Nonce
from web3.utils import get_create_address

from contracts.addresses import Addresses
from contracts.artifacts import abi, bytecode
from contracts.errors import ChainError, NotDeployed
from contracts.keys import account_from_key
from contracts.reverts import translated
from contracts.transactions import TxSender, connect

__all__ = ["KILN", "Addresses", "DeployParams", "deploy"]

ZERO = "0x" + "00" * 20
KILN = 10**18
"""One KILN in its smallest unit."""


@dataclass(frozen=True)
class DeployParams:
    """What is fixed at deployment, except roles. Amounts are in the smallest unit of KILN, times in seconds."""

    supply_cap: int = 1_000_000_000 * KILN
    fee_bps: int = 500
    """Fee in 1/10000 of a price; at most 1000."""
    challenge_window: int = 0
    """Between a proposal and finalization. 0 is for local chains."""
    grace: int = 24 * 3600
    """After a deadline, for the coordinator to propose; then anybody refunds."""
    veto_window: int = 0
    """Between posting a reward root and claims on it. 0 is for local chains."""
    unbonding_period: int = 14 * 24 * 3600
    """Between unbonding and withdrawing stake; longer than ``challenge_window + ruling_period``."""
    finder_bps: int = 2_000
    """What a finder is given of what is slashed, in 1/10000; at most 5000."""
    bond: int = 100 * KILN
    """What a challenge costs until it is decided."""
    ruling_period: int = 3 * 24 * 3600
    """What auditors have to decide a challenge."""
    equivocation_bps: int = 5_000
    """What equivocation costs, in 1/10000 of all that is staked with the operator."""
    max_ruling_bps: int = 5_000
    """Most that a ruling slashes, in 1/10000."""
    auditors: tuple[str, ...] = ()
    """The first panel; the guardian alone if there is none."""
    threshold: int = 1
    """How many of them must sign."""
    longest_job: int = 90 * 24 * 3600
    """Time to a deadline for which the coordinator's bond stands; its notice is that, 30 days, and two disputes."""
    price: int = KILN // 10
    """USD per KILN with 18 decimals."""
    price_bounds: tuple[int, int] = (KILN // 1_000, 1_000 * KILN)
    """The lowest and the highest price that can be reported."""
    price_max_change_bps: int = 2_000
    """Most that one report moves the price, in 1/10000."""
    price_min_interval: int = 300
    """Between two reports."""
    price_max_age: int = 0
    """From when a price is refused; 0 fixes it for ever, for local chains."""
    guardian: str | None = None
    """Who may veto and pause; the deployer if None."""
    faucet: str | None = None
    """Who gets the genesis supply; only on a chain that says it is anvil."""
    genesis_supply: int = 100_000_000 * KILN


def deploy(
    rpc: str,
    deployer_key: str | bytes,
    coordinator: str,
    treasury: str,
    signer: str,
    params: DeployParams | None = None,
    *,
    addresses_file: Path | None = None,
) -> Addresses:
    """Deploys all of ``artifacts.CONTRACTS``, grants the roles and returns (and keeps) the addresses.

    If the addresses on file have code at that chain, they are reused and only missing roles are granted. The
    deployer stays admin of all that has one (the registry has none): on a public chain hand that to a timelock.

    Args:
        rpc: address of the chain's RPC.
        deployer_key: pays, and becomes admin.
        coordinator: opens, awards, proposes, cancels, posts roots, reports prices.
        treasury: receives fees, for ever.
        signer: signs receipts.
        params: the terms.
        addresses_file: where the addresses are kept.
    Raises: ChainUnavailable, NotEnoughGasMoney, BadSigningKey, Reverted; ChainError if a genesis supply is asked
        for on a chain that is not local.
    """
    params = params or DeployParams()
    web3 = connect(rpc)
    with translated(rpc):
        chain_id = int(web3.eth.chain_id)
    work = _Deployment(web3, rpc, TxSender(web3, rpc, chain_id, account_from_key(deployer_key)))
    if params.faucet is not None and not work.is_local():
        raise ChainError(f"{rpc} is no local chain: its genesis supply is not ours to mint; leave the faucet out")
    addresses = known = work.known(addresses_file, chain_id)
    if addresses is None:
        addresses = work.create(params, treasury, chain_id)
    addresses = work.with_bond(addresses, params)
    if addresses_file is not None and addresses != known:
        addresses.save(addresses_file)
    work.wire(addresses, params, coordinator, signer)
    return addresses


class _Deployment:
    def __init__(self, web3: Web3, url: str, sender: TxSender) -> None:
        self.web3 = web3
        self.url = url
        self.sender = sender
        account = sender.account
        assert account is not None
        self.deployer: str = account.address

    def is_local(self) -> bool:
        with translated(self.url):
            return self.web3.client_version.lower().startswith("anvil")

    def known(self, file: Path | None, chain_id: int) -> Addresses | None:
        if file is None or not file.exists():
            return None
        try:
            addresses = Addresses.load(file)
        except NotDeployed:
            return None
        if addresses.chain_id != chain_id:
            return None
        with translated(self.url):
            present = all(self.web3.eth.get_code(Web3.to_checksum_address(one)) for one in self._everything(addresses))
        return addresses if present else None

    @staticmethod
    def _everything(addresses: Addresses) -> tuple[str, ...]:
        """All addresses; those that an older deployment does not have as zero, where no code is."""
        all_ = (
            addresses.token, addresses.registry, addresses.escrow, addresses.disputes, addresses.distributor,
            addresses.oracle,
        )  # fmt: skip
        return tuple(one or ZERO for one in all_)

    def create(self, params: DeployParams, treasury: str, chain_id: int) -> Addresses:
        with translated(self.url):
            block = int(self.web3.eth.block_number)
        token = self._create("KilnToken", params.supply_cap, self.deployer)
        # Registry, escrow, disputes and distributor know each other for ever, so their addresses are computed first.
        nonce = self.sender.next_nonce()
        registry, escrow, disputes, distributor = (
            get_create_address(HexAddress(HexStr(self.deployer)), Nonce(nonce + offset)) for offset in range(4)
        )
        self._create_at(
            registry, "NodeRegistry", token, params.unbonding_period, params.finder_bps, escrow, disputes, distributor
        )
        times = (params.challenge_window, params.grace)
        terms = (token, treasury, self.deployer, params.fee_bps, *times, registry, disputes)
        self._create_at(escrow, "JobEscrow", *terms)
        self._create_at(
            disputes,
            "Disputes",
            escrow,
            registry,
            self.deployer,
            list(params.auditors or (params.guardian or self.deployer,)),
            params.threshold,
            (params.bond, params.ruling_period, params.equivocation_bps, params.max_ruling_bps),
        )
        self._create_at(distributor, "RewardDistributor", token, escrow, registry, self.deployer, params.veto_window)
        limits = (params.price_max_change_bps, params.price_min_interval, params.price_max_age)
        oracle = self._create("PriceOracle", self.deployer, params.price, (*params.price_bounds, *limits))
        return Addresses(chain_id, token, escrow, distributor, registry, disputes, oracle, block)

    def with_bond(self, addresses: Addresses, params: DeployParams) -> Addresses:
        """With the coordinator's bond, which no other contract knows: deployments without one are given one."""
        with translated(self.url):
            if addresses.bond and self.web3.eth.get_code(Web3.to_checksum_address(addresses.bond)):
                return addresses
        return replace(addresses, bond=self._create("CoordinatorBond", addresses.escrow, params.longest_job))

    def wire(self, addresses: Addresses, params: DeployParams, coordinator: str, signer: str) -> None:
        guardian = params.guardian or self.deployer
        token = self._at("KilnToken", addresses.token)
        escrow = self._at("JobEscrow", addresses.escrow)
        distributor = self._at("RewardDistributor", addresses.distributor)
        self._grant(escrow, "COORDINATOR_ROLE", coordinator)
        self._grant(escrow, "RECEIPT_SIGNER_ROLE", signer)
        self._grant(escrow, "PAUSER_ROLE", guardian)
        self._grant(distributor, "COORDINATOR_ROLE", coordinator)
        self._grant(distributor, "GUARDIAN_ROLE", guardian)
        self._grant(self._at("PriceOracle", addresses.oracle), "REPORTER_ROLE", coordinator)
        if params.faucet is not None and self._read(token, "totalSupply") == 0:
            self._grant(token, "MINTER_ROLE", self.deployer)
            self._send(token, "mint", params.faucet, params.genesis_supply)
        minter = self._read(token, "MINTER_ROLE")
        if self._read(token, "hasRole", minter, self.deployer):
            self._send(token, "renounceRole", minter, self.deployer)
        self._grant(token, "MINTER_ROLE", addresses.distributor)

    def _grant(self, contract: Contract, role_name: str, account: str) -> None:
        role = self._read(contract, role_name)
        if not self._read(contract, "hasRole", role, account):
            self._send(contract, "grantRole", role, account)

    def _create_at(self, expected: str, name: str, *arguments: Any) -> None:
        created = self._create(name, *arguments)
        if created != expected:
            raise ChainError(
                f"{name} came to {created} instead of {expected}, where the other contracts look for it: another "
                "transaction of the deployer came between; deploy again"
            )

    def _create(self, name: str, *arguments: Any) -> str:
        factory = self.web3.eth.contract(abi=abi(name), bytecode=HexBytes(bytecode(name)))
        data = str(factory.constructor(*arguments).data_in_transaction)
        prepared = self.sender.prepare(f"deploy {name}", None, data)
        self.sender.run(prepared)
        with translated(self.url):
            receipt = self.web3.eth.get_transaction_receipt(HexBytes(prepared.hash))
        return str(receipt["contractAddress"])

    def _at(self, name: str, address: str) -> Contract:
        return self.web3.eth.contract(address=Web3.to_checksum_address(address), abi=abi(name))

    def _read(self, contract: Contract, name: str, *arguments: Any) -> Any:
        with translated(self.url):
            return contract.get_function_by_name(name)(*arguments).call()

    def _send(self, contract: Contract, name: str, *arguments: Any) -> None:
        data = contract.encode_abi(name, list(arguments))
        self.sender.run(self.sender.prepare(name, contract.address, data))
