"""A connection to one deployment: what reading and sending have in common."""

from functools import cached_property
from typing import Any

from web3 import Web3
from web3.contract import Contract

from contracts.addresses import Addresses
from contracts.artifacts import abi
from contracts.errors import NotDeployed, WrongChain
from contracts.keys import account_from_key
from contracts.reverts import translated
from contracts.transactions import PreparedTx, TxResult, TxSender, connect

__all__ = ["Connection", "Sender"]


class Connection:
    """A look at one deployment.

    Args:
        rpc_url: http or https address of an EVM RPC.
        addresses: the deployment.
        timeout: seconds per request.
    """

    def __init__(self, rpc_url: str, addresses: Addresses, *, timeout: float = 20.0) -> None:
        self.url = rpc_url
        self.addresses = addresses
        self.web3 = connect(rpc_url, timeout)
        self._token = self._contract("KilnToken", addresses.token)
        self._escrow = self._contract("JobEscrow", addresses.escrow)
        self._distributor = self._contract("RewardDistributor", addresses.distributor)

    def check(self) -> None:
        """Raises WrongChain or NotDeployed unless the RPC serves the deployment. Call it once before anything."""
        with translated(self.url):
            actual = int(self.web3.eth.chain_id)
            if actual != self.addresses.chain_id:
                raise WrongChain(self.url, self.addresses.chain_id, actual)
            for contract in (self._token, self._escrow, self._distributor):
                if not self.web3.eth.get_code(contract.address):
                    raise NotDeployed(f"there is no contract at {contract.address} on chain {actual}: deploy again")

    def block(self) -> int:
        """The latest block's number."""
        with translated(self.url):
            return int(self.web3.eth.block_number)

    def time(self) -> int:
        """The latest block's time."""
        with translated(self.url):
            return int(self.web3.eth.get_block("latest")["timestamp"])

    # Making a contract's class takes as long as some calls of it: each is made once, when it is needed.
    @cached_property
    def _registry(self) -> Contract:
        return self._optional("NodeRegistry", self.addresses.registry)

    @cached_property
    def _disputes(self) -> Contract:
        return self._optional("Disputes", self.addresses.disputes)

    @cached_property
    def _oracle(self) -> Contract:
        return self._optional("PriceOracle", self.addresses.oracle)

    @cached_property
    def _bond(self) -> Contract:
        return self._optional("CoordinatorBond", self.addresses.bond)

    def _optional(self, name: str, address: str) -> Contract:
        if not address:
            raise NotDeployed(f"the address of {name} is not known here: take it from the deployment's addresses")
        return self._contract(name, address)

    def _call(self, contract: Contract, name: str, *arguments: Any) -> Any:
        with translated(self.url):
            return contract.get_function_by_name(name)(*arguments).call()

    def _contract(self, name: str, address: str) -> Contract:
        return self.web3.eth.contract(address=Web3.to_checksum_address(address), abi=abi(name))


class Sender(Connection):
    """A connection of one account, which also sends.

    Args:
        private_key: 32 bytes or hex of the account that sends; None to look only.
    """

    def __init__(
        self, rpc_url: str, addresses: Addresses, private_key: str | bytes | None = None, *, timeout: float = 20.0
    ) -> None:
        super().__init__(rpc_url, addresses, timeout=timeout)
        account = None if private_key is None else account_from_key(private_key)
        self.transactions = TxSender(self.web3, rpc_url, addresses.chain_id, account)

    def next_nonce(self) -> int:
        """The sender's next free nonce; to prepare several in a row, count on from it."""
        return self.transactions.next_nonce()

    def confirmed_nonce(self) -> int:
        """How many of the sender's transactions are mined: the nonce of the first that is not."""
        return self.transactions.confirmed_nonce()

    def send(self, raw: bytes) -> str:
        """Sends a prepared transaction's bytes, again if need be; returns the hash."""
        return self.transactions.send(raw)

    def receipt(self, tx_hash: str) -> TxResult | None:
        """What became of a transaction; None while it is not mined."""
        return self.transactions.receipt(tx_hash)

    def wait(self, tx_hash: str, timeout: float = 60.0) -> TxResult:
        """Waits until a transaction is mined; ``checked()`` of the result raises if the contract refused."""
        return self.transactions.wait(tx_hash, timeout)

    def _prepare(
        self, contract: Contract, name: str, arguments: tuple[Any, ...], options: dict[str, int]
    ) -> PreparedTx:
        data = contract.encode_abi(name, list(arguments))
        return self.transactions.prepare(name, contract.address, data, **options)

    def _run(self, prepared: PreparedTx) -> TxResult:
        return self.transactions.run(prepared)
